/** Presigned addresses, against the S3 test server, which checks their signatures. */
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
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

test.each([
  { region: "eu-central-1" },
  { region: "us-gov-east-1" },
  { endpoint: "https://store.example:9000/s3" },
])("it is what the SDK would make: %o", async (place) => {
  const credentials = {
    accessKeyId: "AKIA",
    secretAccessKey: "secret",
    sessionToken: "token/+=".repeat(100),
  };
  const client = createS3Client({ ...place, credentials });
  const made = new URL(await new S3BlobUrls({ client, bucket: "a-bucket", prefix: "a/b" }).urlOf(KEY));
  const signingDate = new Date(
    made.searchParams.get("X-Amz-Date")?.replace(/(\d{4})(..)(..T..)(..)(..Z)/, "$1-$2-$3:$4:$5") ?? "",
  );
  const command = new GetObjectCommand({ Bucket: "a-bucket", Key: `a/b/${KEY}` });
  const expected = new URL(await getSignedUrl(client, command, { expiresIn: 3600, signingDate }));
  const parameters = (url: URL) =>
    Object.fromEntries(
      [...url.searchParams].filter(([name]) => !/^(x-amz-checksum-mode|X-Amz-Signature)$/.test(name)),
    );
  expect(made.origin + made.pathname).toBe(expected.origin + expected.pathname);
  expect(parameters(made)).toEqual(parameters(expected));
  expect(made.searchParams.get("X-Amz-SignedHeaders")).toBe("host");
});

test("it is signed by S3's clock, where the SDK has found this machine's to be off", async () => {
  const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret" };
  const client = createS3Client({ region: "eu-central-1", credentials });
  client.config.systemClockOffset = 2 * 86_400_000;
  const made = new URL(await new S3BlobUrls({ client, bucket: "a-bucket" }).urlOf(KEY));
  const day = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10).replaceAll("-", "");
  expect(made.searchParams.get("X-Amz-Date")).toMatch(new RegExp(`^${day}T`));
  expect(made.searchParams.get("X-Amz-Credential")).toContain(`/${day}/`);
});

test("it ends with the credentials that sign it", async () => {
  const lifetime = async (expiration: Date | undefined) => {
    const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret", ...(expiration && { expiration }) };
    return new S3BlobUrls({
      client: createS3Client({ region: "eu-central-1", credentials }),
      bucket: "b",
    }).lifetimeSeconds();
  };
  expect(await lifetime(undefined)).toBe(3600);
  expect(await lifetime(new Date(Date.now() + 4 * 3_600_000))).toBe(3600);
  const seconds = await lifetime(new Date(Date.now() + 600_000));
  expect(seconds).toBeGreaterThan(500);
  expect(seconds).toBeLessThanOrEqual(600);
});

test("credentials of a session that do not say when they end are good for six hours of the process", async () => {
  const lifetime = (sessionToken: string | undefined, processAgeSeconds: number) => {
    const credentials = {
      accessKeyId: "ASIA",
      secretAccessKey: "secret",
      ...(sessionToken && { sessionToken }),
    };
    const client = createS3Client({ region: "eu-central-1", credentials });
    return new S3BlobUrls({
      client,
      bucket: "b",
      processAgeSeconds: () => processAgeSeconds,
    }).lifetimeSeconds();
  };
  expect(await lifetime("token", 60)).toBe(3600);
  expect(await lifetime("token", 5.5 * 3600)).toBe(1800);
  expect(await lifetime("token", 7 * 3600)).toBe(0);
  expect(await lifetime(undefined, 7 * 3600)).toBe(3600);
});
