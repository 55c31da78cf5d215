import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { VersionConflictError } from "../../../lib/errors.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../../lib/store/s3-client.ts";
import { type S3Server, startS3Server } from "../../support/s3-server/s3-server.ts";

const MEBIBYTE = 1024 * 1024;
const BLOB = Buffer.alloc(6 * MEBIBYTE, "0123456789abcdefg");

let folder: string;
let server: S3Server;
let store: S3BlobStore;
let intercept: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nearside-s3-store-"));
  server = await startS3Server({ folder, intercept: (request, response) => intercept(request, response) });
  store = new S3BlobStore({ client: createS3Client(server), bucket: server.bucketName });
});
afterEach(() => {
  intercept = () => false;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

test("a stream that breaks goes on where it broke", async () => {
  await store.write("broken", BLOB);
  let cuts = 0;
  intercept = (_request, response) => {
    if (cuts < 4) cutAfter(response, MEBIBYTE);
    cuts += 1;
    return false;
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.readStream("broken", 3, BLOB.length - 5)) chunks.push(chunk);
  expect(Buffer.compare(Buffer.concat(chunks), BLOB.subarray(3, -2))).toBe(0);
  expect(cuts).toBe(5);
});

test("an aborted stream frees its connection, though its reader does not ask for more, and is not opened again", async () => {
  await store.write("aborted", BLOB);
  let requests = 0;
  const closed = Promise.withResolvers<boolean>();
  intercept = (_request, response) => {
    requests += 1;
    response.once("close", () => closed.resolve(response.writableFinished));
    return false;
  };
  const controller = new AbortController();
  const options = { signal: controller.signal };
  const chunks = store.readStream("aborted", 0, BLOB.length, options)[Symbol.asyncIterator]();
  await chunks.next();
  const reason = new Error("the client has left");
  controller.abort(reason);
  expect(await closed.promise).toBe(false);
  // Some chunks may have come before.
  const rest = async () => {
    for (let step = await chunks.next(); !step.done; step = await chunks.next());
  };
  await expect(rest()).rejects.toBe(reason);
  expect(requests).toBe(1);
});

test("a stream that breaks without a byte, again and again, fails", async () => {
  await store.write("dead", BLOB);
  let requests = 0;
  intercept = (_request, response) => {
    requests += 1;
    cutAfter(response, 0);
    return false;
  };
  await expect(drain(store.readStream("dead", 0, BLOB.length))).rejects.toThrow();
  expect(requests).toBe(4);
});

test("a stream that breaks does not go on with other bytes", async () => {
  await store.write("replaced", BLOB);
  let requests = 0;
  intercept = (_request, response) => {
    requests += 1;
    if (requests === 1) cutAfter(response, MEBIBYTE);
    return false;
  };
  const read = async () => {
    for await (const _chunk of store.readStream("replaced", 0, BLOB.length)) {
      if (requests === 1) await store.write("replaced", Buffer.alloc(BLOB.length));
    }
  };
  await expect(read()).rejects.toMatchObject({ name: "PreconditionFailed" });
});

test.each([409, 412])("%d on a conditional write is a conflict, on any other it is not", async (status) => {
  const version = await store.write("raced", Buffer.from("x"));
  intercept = (request, response) => refuse(request, response, "PUT", status);
  await expect(store.write("raced", BLOB, { ifVersion: version })).rejects.toThrow(VersionConflictError);
  await expect(store.write("raced", BLOB, { ifVersion: "absent" })).rejects.toThrow(VersionConflictError);
  await expect(store.write("raced", BLOB)).rejects.not.toBeInstanceOf(VersionConflictError);
});

test("409 on completing an upload is a conflict, and the parts are freed", async () => {
  const upload = await store.startUpload("raced", { ifVersion: "absent" });
  await upload.write(new Uint8Array(20 * MEBIBYTE));
  intercept = (request, response) =>
    request.url?.includes("uploadId") === true && refuse(request, response, "POST", 409);
  await expect(upload.complete()).rejects.toThrow(VersionConflictError);
  expect(server.openUploadCount()).toBe(0);
});

test("an upload whose part fails for good is freed when it is aborted", async () => {
  const upload = await store.startUpload("failed");
  intercept = (request, response) =>
    request.url?.includes("partNumber=3") === true && refuse(request, response, "PUT", 403);
  const writeAll = async () => {
    await upload.write(new Uint8Array(40 * MEBIBYTE));
    await upload.complete();
  };
  await expect(writeAll()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
  await upload.abort();
  expect(server.openUploadCount()).toBe(0);
});

test("a request that fails once is tried again", async () => {
  let failures = 0;
  intercept = (request, response) => {
    failures += 1;
    return failures === 1 && refuse(request, response, "PUT", 503);
  };
  await store.write("retried", Buffer.from("there"));
  expect((await store.read("retried")).bytes).toEqual(new Uint8Array(Buffer.from("there")));
});

test("a missing bucket is no missing blob", async () => {
  const nowhere = new S3BlobStore({ client: createS3Client(server), bucket: "no-such-bucket" });
  await expect(nowhere.read("a")).rejects.toMatchObject({ name: "NoSuchBucket" });
  await expect(nowhere.write("a", BLOB, { ifVersion: '"0"' })).rejects.toMatchObject({
    name: "NoSuchBucket",
  });
});

/** Answers a method with an error. */
function refuse(request: IncomingMessage, response: ServerResponse, method: string, status: number): boolean {
  if (request.method !== method) return false;
  request.resume();
  response.writeHead(status, { "content-type": "application/xml" });
  response.end("<Error><Code>Refused</Code><Message>for the test</Message></Error>");
  return true;
}

/** Lets so many bytes of the answer's body go out, then cuts the connection. */
function cutAfter(response: ServerResponse, limitBytes: number): void {
  let sentBytes = 0;
  const { write } = response;
  response.write = (chunk: Uint8Array, ...rest: unknown[]) => {
    sentBytes += chunk.length;
    if (sentBytes <= limitBytes) return Reflect.apply(write, response, [chunk, ...rest]);
    response.flushHeaders();
    setImmediate(() => response.destroy());
    return false;
  };
}

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _chunk of chunks);
}
