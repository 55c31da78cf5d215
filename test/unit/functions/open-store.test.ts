import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openStore } from "../../../functions/local/open-store.ts";
import { type S3Server, startS3Server } from "../../support/s3-server/s3-server.ts";

let folder: string;
let server: S3Server;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nearside-open-store-"));
  const requested: string[] = [];
  server = await startS3Server({
    folder,
    intercept: ({ url = "" }) => {
      requested.push(url.replace(/\?.*/, ""));
      return false;
    },
  });
  urls = requested;
  vi.stubEnv("AWS_ACCESS_KEY_ID", server.credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", server.credentials.secretAccessKey);
  vi.stubEnv("AWS_REGION", server.region);
});
let urls: readonly string[];

afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ["/git/mirror", "git/mirror/"],
  ["/git/mirror/", "git/mirror/"],
  ["/süd west/%41#1?", "süd west/%41#1?/"],
  ["", ""],
  ["/", ""],
])("what stands behind the bucket, %j, is the start of the keys as it stands", async (path, prefix) => {
  const store = openStore(`s3://${server.bucketName}${path}`, server.endpoint);
  await store.write("a/key", new Uint8Array(1));
  const [url = ""] = urls;
  expect(decodeURIComponent(url)).toBe(`/${server.bucketName}/${prefix}a/key`);
});
