import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { realS3 } from "./real-s3.ts";
import { s3ProtocolContract } from "./s3-protocol.contract.ts";

describe("the test server", () => {
  let folder: string;
  let server: S3Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nearside-s3-protocol-"));
    server = await startS3Server({ folder });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  test("it runs by itself, and a killed one's objects are there in the next", async () => {
    const objects = join(folder, "standalone");
    const first = await startAlone(objects);
    const bytes = new Uint8Array(9 * 1024 * 1024).fill(3);
    const upload = await first.store.startUpload("big");
    await upload.write(bytes);
    const version = await upload.complete();
    await first.store.write("small", new Uint8Array([1]));
    const unfinished = await first.store.startUpload("unfinished");
    await unfinished.write(new Uint8Array(30 * 1024 * 1024));
    first.process.kill("SIGKILL");
    await once(first.process, "exit");
    await unfinished.abort();

    const second = await startAlone(objects);
    expect(await second.store.readIfChanged("big", version)).toBe("unchanged");
    expect(Buffer.compare((await second.store.read("big")).bytes, bytes)).toBe(0);
    expect((await second.store.read("small")).bytes).toEqual(new Uint8Array([1]));
    second.process.kill("SIGTERM");
    expect(await once(second.process, "exit")).toEqual([0, null]);
  });

  test("parts out of order are refused", async () => {
    const { endpoint, region, credentials, bucketName: Bucket } = server;
    const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    const object = { Bucket, Key: "parts" };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
    const Parts: CompletedPart[] = [];
    for (const PartNumber of [2, 1]) {
      const { ETag } = await client.send(
        new UploadPartCommand({ ...object, UploadId, PartNumber, Body: "x" }),
      );
      Parts.push({ PartNumber, ETag });
    }
    const complete = new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts } });
    await expect(client.send(complete)).rejects.toMatchObject({ name: "InvalidPartOrder" });
  });

  s3ProtocolContract(() => ({ ...server, bucket: server.bucketName }));
});

const real = realS3();
if (real !== undefined) {
  describe("the server in NEARSIDE_TEST_S3_ENDPOINT", () => {
    s3ProtocolContract(() => ({ ...real.clientOptions, bucket: real.bucket }));
  });
}

async function startAlone(folder: string) {
  const main = fileURLToPath(new URL("../support/s3-server/main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, "--port", "0", "--folder", folder, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(child.stdout, "data");
  const { endpoint, bucket, accessKeyId, secretAccessKey } = JSON.parse(String(line));
  const client = createS3Client({ endpoint, credentials: { accessKeyId, secretAccessKey } });
  return { process: child, store: new S3BlobStore({ client, bucket }) };
}
