import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openBlobUrls, openStore } from "../../../functions/local/open-store.ts";
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

test("links lead to where clients reach the S3 server", async () => {
  const place = { store: `s3://${server.bucketName}/git`, s3Endpoint: server.endpoint };
  const linkOf = async (more: { s3PublicEndpoint?: string }) =>
    new URL((await openBlobUrls({ ...place, ...more })?.urlOf("a/key", 1)) ?? "");
  expect((await linkOf({})).origin).toBe(server.endpoint);
  const { origin, pathname } = await linkOf({ s3PublicEndpoint: "https://files.example.com:8443" });
  expect([origin, pathname]).toEqual(["https://files.example.com:8443", `/${server.bucketName}/git/a/key`]);
  expect(openBlobUrls({ store: folder })).toBeUndefined();
  expect(() => openBlobUrls({ store: folder, s3PublicEndpoint: "https://files.example.com" })).toThrow(
    "--s3-public-endpoint goes with --store s3://bucket/prefix",
  );
});
