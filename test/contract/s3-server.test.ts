import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
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
  s3ProtocolContract(() => ({ ...server, bucket: server.bucketName }));
});

const real = realS3();
if (real !== undefined) {
  describe("the server in NEARSIDE_TEST_S3_ENDPOINT", () => {
    s3ProtocolContract(() => ({ ...real.clientOptions, bucket: real.bucket }));
  });
}
