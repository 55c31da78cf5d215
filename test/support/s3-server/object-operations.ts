/** S3's operations on one object: PUT, GET, HEAD, DELETE. */
import { createReadStream } from "node:fs";
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Bucket, Segment, StoredObject } from "./object-folder.ts";
import { receiveBody } from "./request-body.ts";
import type { S3Call } from "./s3-call.ts";
import { notImplemented, S3Error } from "./s3-error.ts";

export async function putObject(call: S3Call): Promise<void> {
  const { request, response, bucket, key, headers } = call;
  if (headers["x-amz-copy-source"] !== undefined) throw notImplemented("copying");
  const objectAtStart = bucket.find(key);
  checkWriteCondition(headers, objectAtStart);
  const file = bucket.newDataFile();
  const body = await receiveBody(request, call.payload, bucket.dataPath(file));
  const segments = [{ file, sizeBytes: body.sizeBytes }];
  try {
    checkNotOvertaken(headers, objectAtStart, bucket.find(key));
  } catch (error) {
    bucket.removeData(segments);
    throw error;
  }
  const etag = `"${body.md5.toString("hex")}"`;
  bucket.put({
    key,
    etag,
    sizeBytes: body.sizeBytes,
    modifiedAtMs: Date.now(),
    contentType: headers["content-type"] ?? "binary/octet-stream",
    checksums: body.checksums,
    segments,
  });
  response.writeHead(200, { etag, ...body.checksums, "content-length": 0 }).end();
}

/** @throws {S3Error} 412, or 404 where there is nothing to match. */
export function checkWriteCondition(
  headers: Readonly<Record<string, string>>,
  object: StoredObject | undefined,
): void {
  const ifNoneMatch = headers["if-none-match"];
  const ifMatch = headers["if-match"];
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*")
    throw notImplemented("If-None-Match with an ETag on a write");
  if (ifNoneMatch !== undefined && object !== undefined) throw new S3Error(412, "PreconditionFailed");
  if (ifMatch === undefined) return;
  if (object === undefined) throw new S3Error(404, "NoSuchKey");
  if (!matches(ifMatch, object)) throw new S3Error(412, "PreconditionFailed");
}

/** A conditional write during which another one landed gets another error than one that came later. */
function checkNotOvertaken(
  headers: Readonly<Record<string, string>>,
  before: StoredObject | undefined,
  now: StoredObject | undefined,
): void {
  const isConditional = headers["if-match"] !== undefined || headers["if-none-match"] !== undefined;
  if (isConditional && before !== now) throw new S3Error(409, "ConditionalRequestConflict");
}

export async function getObject({ request, response, bucket, key, headers }: S3Call): Promise<void> {
  const object = bucket.get(key);
  if (headers["if-match"] !== undefined && !matches(headers["if-match"], object)) {
    throw new S3Error(412, "PreconditionFailed");
  }
  const common = {
    etag: object.etag,
    "last-modified": new Date(object.modifiedAtMs).toUTCString(),
    "accept-ranges": "bytes",
  };
  if (headers["if-none-match"] !== undefined && matches(headers["if-none-match"], object)) {
    response.writeHead(304, common).end();
    return;
  }
  const { range: rangeHeader } = headers;
  const range = requestedRange(rangeHeader, object.sizeBytes);
  const { startBytes, endBytes } = range ?? { startBytes: 0, endBytes: object.sizeBytes };
  response.writeHead(range === undefined ? 200 : 206, {
    ...common,
    "content-type": object.contentType,
    "content-length": endBytes - startBytes,
    ...(range && { "content-range": `bytes ${startBytes}-${endBytes - 1}/${object.sizeBytes}` }),
    ...(headers["x-amz-checksum-mode"] === "ENABLED" && range === undefined && object.checksums),
  });
  if (request.method === "HEAD") response.end();
  else await sendBytes(response, bucket, object, startBytes, endBytes);
}

export function deleteObject({ response, bucket, key, headers }: S3Call): void {
  const object = bucket.find(key);
  if (headers["if-match"] !== undefined && object !== undefined && !matches(headers["if-match"], object)) {
    throw new S3Error(412, "PreconditionFailed");
  }
  bucket.delete(key);
  response.writeHead(204).end();
}

function matches(condition: string, { etag }: StoredObject): boolean {
  return condition
    .split(",")
    .map((tag) => tag.trim())
    .some((tag) => tag === "*" || tag === etag || `"${tag}"` === etag);
}

/** Like S3, passes over what is not one range of bytes. @throws {S3Error} It starts past the end. */
function requestedRange(header: string | undefined, sizeBytes: number) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  const startBytes = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const endBytes = first === "" || last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (first !== "" && last !== "" && Number(last) < startBytes) return undefined;
  if (startBytes >= sizeBytes) throw new S3Error(416, "InvalidRange");
  return { startBytes, endBytes };
}

async function sendBytes(
  response: ServerResponse,
  bucket: Bucket,
  object: StoredObject,
  startBytes: number,
  endBytes: number,
): Promise<void> {
  const release = bucket.hold(object);
  try {
    await pipeline(Readable.from(readRanges(bucket, object.segments, startBytes, endBytes)), response);
  } finally {
    release();
  }
}

async function* readRanges(
  bucket: Bucket,
  segments: readonly Segment[],
  startBytes: number,
  endBytes: number,
): AsyncGenerator<Uint8Array> {
  let segmentStart = 0;
  for (const { file, sizeBytes } of segments) {
    const start = Math.max(startBytes - segmentStart, 0);
    const end = Math.min(endBytes - segmentStart, sizeBytes);
    // `end` of a read stream is the last byte, so an empty range must not get there.
    if (start < end)
      yield* createReadStream(bucket.dataPath(file), { start, end: end - 1, highWaterMark: 256 * 1024 });
    segmentStart += sizeBytes;
  }
}
