/** What an S3 server answers, where the store adapter does not see it or where a lax server would go unseen. */
import { createHash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { SignatureV4 } from "@smithy/signature-v4";
import { expect, test } from "vitest";
import { NodeSha256 } from "../support/s3-server/node-sha256.ts";

export interface S3Target {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

const PART_BYTES = 5 * 1024 * 1024;

export function s3ProtocolContract(getTarget: () => S3Target): void {
  /** The SDK's own defaults: checksums in headers, and in trailers of aws-chunked bodies. */
  const client = (changes: Partial<S3Target> = {}) => {
    const { endpoint, region, credentials } = { ...getTarget(), ...changes };
    return new S3Client({ endpoint, region, credentials, forcePathStyle: true, maxAttempts: 1 });
  };
  const address = (name = "object") => ({ Bucket: getTarget().bucket, Key: `${randomUUID()}/${name}` });

  test("a body with a checksum header is kept, and comes back with it", async () => {
    const object = address();
    await client().send(new PutObjectCommand({ ...object, Body: "hello", ChecksumAlgorithm: "CRC32" }));
    const output = await client().send(new GetObjectCommand({ ...object, ChecksumMode: "ENABLED" }));
    expect(await output.Body?.transformToString()).toBe("hello");
    expect(output.ChecksumCRC32).toBe("NhCmhg==");
  });

  test("a streamed body in aws-chunked form with a trailing checksum is stored without its framing", async () => {
    const object = address();
    const pieces = [Buffer.from("hello, "), Buffer.alloc(100_000, "x"), Buffer.from("end")];
    const body = Buffer.concat(pieces);
    const input = { ...object, Body: Readable.from(pieces), ContentLength: body.length };
    await client().send(new PutObjectCommand(input));
    const output = await client().send(new GetObjectCommand(object));
    expect(Buffer.compare((await output.Body?.transformToByteArray()) ?? Buffer.alloc(0), body)).toBe(0);
  });

  test("a body that its MD5 contradicts is refused", async () => {
    const object = address();
    const wrong = createHash("md5").update("other").digest("base64");
    const put = client().send(new PutObjectCommand({ ...object, Body: "hello", ContentMD5: wrong }));
    expect(await refusalOf(put)).toEqual({ status: 400, code: "BadDigest" });
    expect(await refusalOf(client().send(new GetObjectCommand(object)))).toEqual({
      status: 404,
      code: "NoSuchKey",
    });
  });

  test("the ETag is the MD5 of one part, or of the parts' MD5s", async () => {
    const object = address();
    const { ETag } = await client().send(new PutObjectCommand({ ...object, Body: "hello" }));
    expect(ETag).toBe(`"${createHash("md5").update("hello").digest("hex")}"`);
    const { parts, uploadId } = await uploadParts(client(), object, [
      Buffer.alloc(PART_BYTES, 1),
      Buffer.from("end"),
    ]);
    const completed = await client().send(
      new CompleteMultipartUploadCommand({
        ...object,
        UploadId: uploadId,
        MultipartUpload: { Parts: parts },
      }),
    );
    expect(completed.ETag).toMatch(/^"[0-9a-f]{32}-2"$/);
    const head = await client().send(new HeadObjectCommand(object));
    expect({ tag: head.ETag, size: head.ContentLength }).toEqual({
      tag: completed.ETag,
      size: PART_BYTES + 3,
    });
  });

  test("writes are refused when their condition does not hold", async () => {
    const object = address();
    const put = (changes: object) =>
      client().send(new PutObjectCommand({ ...object, Body: "x", ...changes }));
    expect(await refusalOf(put({ IfMatch: '"0"' }))).toEqual({ status: 404, code: "NoSuchKey" });
    const { ETag } = await put({ IfNoneMatch: "*" });
    expect(await refusalOf(put({ IfNoneMatch: "*" }))).toEqual({ status: 412, code: "PreconditionFailed" });
    expect(await refusalOf(put({ IfMatch: '"0"' }))).toEqual({ status: 412, code: "PreconditionFailed" });
    await put({ IfMatch: ETag, Body: "y" });
    expect(await refusalOf(put({ IfMatch: ETag }))).toEqual({ status: 412, code: "PreconditionFailed" });
  });

  test("completing a multipart upload is refused when its condition does not hold, and for parts that are not right", async () => {
    const object = address();
    await client().send(new PutObjectCommand({ ...object, Body: "x" }));
    const bodies = [Buffer.alloc(PART_BYTES, 1), Buffer.alloc(PART_BYTES, 2), Buffer.from("end")];
    const { parts, uploadId } = await uploadParts(client(), object, bodies);
    const complete = (Parts: typeof parts, changes: object = {}) => {
      const input = { ...object, UploadId: uploadId, MultipartUpload: { Parts }, ...changes };
      return client().send(new CompleteMultipartUploadCommand(input));
    };
    expect(await refusalOf(complete(parts, { IfNoneMatch: "*" }))).toEqual({
      status: 412,
      code: "PreconditionFailed",
    });
    const wrong = parts.map((part, index) => (index === 1 ? { ...part, ETag: '"0"' } : part));
    expect(await refusalOf(complete(wrong))).toEqual({ status: 400, code: "InvalidPart" });
    await complete(parts);
    const { ContentLength } = await client().send(new HeadObjectCommand(object));
    expect(ContentLength).toBe(2 * PART_BYTES + 3);
  });

  test("a part before the last must have 5 MiB", async () => {
    const object = address();
    const { parts, uploadId } = await uploadParts(client(), object, [
      Buffer.from("small"),
      Buffer.from("end"),
    ]);
    const complete = client().send(
      new CompleteMultipartUploadCommand({
        ...object,
        UploadId: uploadId,
        MultipartUpload: { Parts: parts },
      }),
    );
    expect(await refusalOf(complete)).toEqual({ status: 400, code: "EntityTooSmall" });
  });

  test("ranges: from, up to, the last bytes, and none", async () => {
    const object = address();
    await client().send(new PutObjectCommand({ ...object, Body: "0123456789" }));
    const get = (Range: string) => client().send(new GetObjectCommand({ ...object, Range }));
    const answers: string[] = [];
    for (const range of ["bytes=2-4", "bytes=7-", "bytes=-3", "bytes=8-100"]) {
      const output = await get(range);
      answers.push(`${output.ContentRange} ${await output.Body?.transformToString()}`);
    }
    expect(answers).toEqual(["bytes 2-4/10 234", "bytes 7-9/10 789", "bytes 7-9/10 789", "bytes 8-9/10 89"]);
    expect(await refusalOf(get("bytes=10-12"))).toEqual({ status: 416, code: "InvalidRange" });
  });

  test("a listing has pages and folders", async () => {
    const folder = `${randomUUID()}/`;
    const names = ["a", "b/1", "b/2", "c", "d/1", "e & <f>"];
    for (const name of names) {
      await client().send(
        new PutObjectCommand({ Bucket: getTarget().bucket, Key: folder + name, Body: name }),
      );
    }
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page = await client().send(
        new ListObjectsV2Command({
          Bucket: getTarget().bucket,
          Prefix: folder,
          Delimiter: "/",
          MaxKeys: 2,
          ContinuationToken: token,
        }),
      );
      for (const { Key } of page.Contents ?? []) seen.push(`${Key}`.slice(folder.length));
      for (const { Prefix } of page.CommonPrefixes ?? []) seen.push(`${Prefix}`.slice(folder.length));
      token = page.NextContinuationToken;
      expect(page.IsTruncated).toBe(token !== undefined);
    } while (token !== undefined);
    expect(seen.sort()).toEqual(["a", "b/", "c", "d/", "e & <f>"]);
  });

  test("a missing bucket, a missing object and a missing upload are different errors", async () => {
    const object = address();
    const get = (Bucket: string) => client().send(new GetObjectCommand({ ...object, Bucket }));
    expect(await refusalOf(get(`no-${randomUUID()}`))).toEqual({ status: 404, code: "NoSuchBucket" });
    expect(await refusalOf(get(object.Bucket))).toEqual({ status: 404, code: "NoSuchKey" });
    const part = new UploadPartCommand({ ...object, UploadId: randomUUID(), PartNumber: 1, Body: "x" });
    expect(await refusalOf(client().send(part))).toEqual({ status: 404, code: "NoSuchUpload" });
    await client().send(new DeleteObjectCommand(object));
  });

  test("a request with a wrong key, a wrong secret or none is refused", async () => {
    const object = address();
    const { credentials } = getTarget();
    const get = (changes: Partial<S3Target>) => client(changes).send(new GetObjectCommand(object));
    const wrongSecret = get({ credentials: { ...credentials, secretAccessKey: "wrong" } });
    expect(await refusalOf(wrongSecret)).toEqual({ status: 403, code: "SignatureDoesNotMatch" });
    const wrongKey = get({ credentials: { ...credentials, accessKeyId: "WRONG" } });
    expect(await refusalOf(wrongKey)).toEqual({ status: 403, code: "InvalidAccessKeyId" });
    const anonymous = await fetch(urlOf(getTarget(), object.Key));
    expect(anonymous.status).toBe(403);
    expect(await anonymous.text()).toContain("<Code>AccessDenied</Code>");
  });

  test("a presigned URL works until it expires, for what it was made for", async () => {
    const target = getTarget();
    const key = `${randomUUID()}/ünï +%&.bin`;
    const put = await fetch(await presign(target, "PUT", key), {
      method: "PUT",
      body: Buffer.from("presigned"),
    });
    expect(put.status).toBe(200);
    const url = await presign(target, "GET", key);
    expect(await (await fetch(url)).text()).toBe("presigned");
    const ranged = await fetch(url, { headers: { range: "bytes=3-5" } });
    expect([ranged.status, await ranged.text()]).toEqual([206, "sig"]);

    const refused = [
      fetch(url.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))),
      fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
      fetch(url.replace("/ünï", "/other").replace("/%C3%BCn%C3%AF", "/other")),
      fetch(url, { method: "DELETE" }),
      fetch(await presign(target, "GET", key, new Date(Date.now() - 120_000))),
    ];
    for (const response of await Promise.all(refused)) expect(response.status).toBe(403);
  });
}

async function refusalOf(sending: Promise<unknown>): Promise<{ status: number | undefined; code: string }> {
  try {
    await sending;
  } catch (error) {
    if (error instanceof S3ServiceException)
      return { status: error.$metadata.httpStatusCode, code: error.name };
    throw error;
  }
  return expect.fail("the request was not refused");
}

async function uploadParts(
  client: S3Client,
  object: { Bucket: string; Key: string },
  bodies: readonly Buffer[],
) {
  const { UploadId: uploadId } = await client.send(new CreateMultipartUploadCommand(object));
  const parts: { PartNumber: number; ETag: string | undefined; ChecksumCRC32: string | undefined }[] = [];
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1;
    const { ETag, ChecksumCRC32 } = await client.send(
      new UploadPartCommand({ ...object, UploadId: uploadId, PartNumber, Body }),
    );
    parts.push({ PartNumber, ETag, ChecksumCRC32 });
  }
  return { parts, uploadId };
}

function urlOf({ endpoint, bucket }: S3Target, key: string): string {
  return `${endpoint}/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

/** @returns A URL that is good for a minute. */
async function presign(
  target: S3Target,
  method: string,
  key: string,
  signingDate = new Date(),
): Promise<string> {
  const { credentials, region } = target;
  const url = new URL(urlOf(target, key));
  const signer = new SignatureV4({
    credentials,
    region,
    service: "s3",
    sha256: NodeSha256,
    uriEscapePath: false,
  });
  const request = {
    method,
    protocol: url.protocol,
    hostname: url.hostname,
    path: url.pathname,
    headers: { host: url.host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD" },
  };
  const { query } = await signer.presign(request, {
    signingDate,
    expiresIn: 60,
    unhoistableHeaders: new Set(["x-amz-content-sha256"]),
    unsignableHeaders: new Set(["x-amz-content-sha256"]),
  });
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, String(value));
  return url.href;
}
