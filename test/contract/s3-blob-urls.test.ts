/** Presigned addresses, against the S3 test server, which checks their signatures. */
import { beforeAll, expect, test } from "vitest";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { S3BlobUrls } from "../../lib/store/s3-blob-urls.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { utf8 } from "../support/byte-chunks.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";

const KEY = "repos/one/ü +&=/pack-1.pack";
let urls: S3BlobUrls;

beforeAll(async () => {
  const folder = await temporaryFolder();
  const server = await startS3Server({ folder: folder.path });
  const client = createS3Client(server);
  const location = { client, bucket: server.bucketName, prefix: "mirror/one" };
  urls = new S3BlobUrls({ ...location, protocol: "http" });
  await new S3BlobStore(location).write(KEY, utf8("0123456789"));
  return async () => {
    client.destroy();
    await server.close();
    await folder.remove();
  };
});

test("a presigned address needs no credentials, and takes ranges", async () => {
  const url = await urls.urlOf(KEY);
  const whole = await fetch(url);
  expect([whole.status, await whole.text()]).toEqual([200, "0123456789"]);
  const part = await fetch(url, { headers: { range: "bytes=2-4" } });
  expect([part.status, await part.text()]).toEqual([206, "234"]);
});

test("it is good for reading this blob for an hour, and nothing else", async () => {
  const url = await urls.urlOf(KEY);
  expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe("3600");
  expect((await fetch(url, { method: "DELETE" })).status).toBe(403);
  expect((await fetch(url.replace("pack-1", "pack-2"))).status).toBe(403);
});
