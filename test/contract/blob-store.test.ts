import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { AwsRequests } from "../../lib/aws/aws-requests.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client, type S3ClientOptions } from "../../lib/store/s3-client.ts";
import { S3WholeBlobs } from "../../lib/store/s3-whole-blobs.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { blobStoreContract } from "./blob-store.contract.ts";
import { realS3 } from "./real-s3.ts";

describe("memory", () => {
  const store = new MemoryBlobStore();
  blobStoreContract(() => store);
});

describe("folder", () => {
  let folder: string;
  let store: FsBlobStore;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nearside-contract-"));
    store = new FsBlobStore(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  blobStoreContract(() => store);
});

/** The operations that need no SDK in place of the SDK's; the rest is as it was. */
function withSignedRequests(s3: Required<Omit<S3ClientOptions, "onRequest">>, bucket: string): BlobStore {
  const location = { bucket, prefix: "signed/+ ü" };
  const store = new S3BlobStore({ client: createS3Client(s3), ...location });
  const { endpoint, region, credentials } = s3;
  const requests = new AwsRequests({ region, credentials, endpoints: { s3: endpoint } });
  const whole = new S3WholeBlobs({ requests, ...location });
  return new Proxy(store, {
    get(target, name) {
      const owner = name === "read" || name === "readIfChanged" || name === "write" ? whole : target;
      const member: unknown = Reflect.get(owner, name);
      return typeof member === "function" ? member.bind(owner) : member;
    },
  });
}

describe("S3, the test server", () => {
  let folder: string;
  let server: S3Server;
  let store: S3BlobStore;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nearside-contract-s3-"));
    server = await startS3Server({ folder });
    const client = createS3Client(server);
    store = new S3BlobStore({ client, bucket: server.bucketName, prefix: "some/prefix" });
  });
  afterAll(async () => {
    expect(server.openUploadCount()).toBe(0);
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  blobStoreContract(() => store);
  describe("by signed requests", () => {
    let signed: BlobStore;
    beforeAll(() => {
      signed = withSignedRequests(server, server.bucketName);
    });
    blobStoreContract(() => signed);
  });
});

const real = realS3();
if (real !== undefined) {
  describe("S3, the server in NEARSIDE_TEST_S3_ENDPOINT", () => {
    const store = new S3BlobStore({
      client: createS3Client(real.clientOptions),
      bucket: real.bucket,
      prefix: "some/prefix",
    });
    blobStoreContract(() => store);
    describe("by signed requests", () => {
      const signed = withSignedRequests(real.clientOptions, real.bucket);
      blobStoreContract(() => signed);
    });
  });
}
