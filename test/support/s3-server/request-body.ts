/** Takes a request's body to a file, and checks it against everything the request says about it. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import { decodeAwsChunked } from "./aws-chunked.ts";
import { invalidRequest, notImplemented, S3Error } from "./s3-error.ts";

export interface ReceivedBody {
  readonly path: string;
  readonly sizeBytes: number;
  readonly md5: Buffer;
  /** The checksum headers that the client sent, all found right. */
  readonly checksums: Readonly<Record<string, string>>;
}

const STREAMING_PAYLOAD = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CHECKSUM_HEADER = /^x-amz-checksum-(?!algorithm$|type$|mode$)/;

/**
 * @param payload - What the signature says of the body.
 * @throws {S3Error} The body contradicts its hash, its length or a checksum; the file is removed.
 */
export async function receiveBody(
  request: IncomingMessage,
  payload: string,
  path: string,
): Promise<ReceivedBody> {
  const claimed = new Map<string, string>();
  for (const [name, value] of Object.entries(request.headers)) claimed.set(name, String(value));
  const chunks = bodyChunks(request, payload, claimed);
  const digests = {
    crc32: 0,
    md5: createHash("md5"),
    sha1: createHash("sha1"),
    sha256: createHash("sha256"),
  };
  let sizeBytes = 0;
  try {
    await pipeline(
      chunks,
      async function* (source: AsyncIterable<Uint8Array>) {
        for await (const chunk of source) {
          sizeBytes += chunk.length;
          digests.crc32 = crc32(chunk, digests.crc32);
          for (const hash of [digests.md5, digests.sha1, digests.sha256]) hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(path, { flags: "wx" }),
    );
    const md5 = digests.md5.digest();
    const found: Record<string, string> = {
      "x-amz-checksum-crc32": crcText(digests.crc32),
      "x-amz-checksum-sha1": digests.sha1.digest("base64"),
      "x-amz-checksum-sha256": digests.sha256.copy().digest("base64"),
    };
    checkLength(claimed, sizeBytes);
    checkPayloadHash(payload, digests.sha256.digest("hex"));
    if ((claimed.get("content-md5") ?? md5.toString("base64")) !== md5.toString("base64"))
      throw badDigest("content-md5");
    return { path, sizeBytes, md5, checksums: checkChecksums(claimed, found) };
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

function bodyChunks(
  request: IncomingMessage,
  payload: string,
  claimed: Map<string, string>,
): AsyncIterable<Uint8Array> {
  if (payload === STREAMING_PAYLOAD) {
    const announced = (claimed.get("x-amz-trailer") ?? "")
      .split(",")
      .map((name) => name.trim().toLowerCase());
    return decodeAwsChunked(request, (name, value) => {
      if (!announced.includes(name)) throw invalidRequest(`trailer ${name} was not announced`);
      claimed.set(name, value);
    });
  }
  if (payload.startsWith("STREAMING-")) throw notImplemented(payload);
  if (claimed.get("content-length") === undefined) throw new S3Error(411, "MissingContentLength");
  return request;
}

function checkLength(claimed: ReadonlyMap<string, string>, sizeBytes: number): void {
  const expected = claimed.get("x-amz-decoded-content-length") ?? claimed.get("content-length");
  if (expected === undefined) throw new S3Error(411, "MissingContentLength");
  if (Number(expected) !== sizeBytes) throw new S3Error(400, "IncompleteBody");
}

function checkPayloadHash(payload: string, sha256: string): void {
  if (/^[0-9a-f]{64}$/.test(payload)) {
    if (payload !== sha256) throw new S3Error(400, "XAmzContentSHA256Mismatch");
  } else if (payload !== "UNSIGNED-PAYLOAD" && payload !== STREAMING_PAYLOAD) {
    throw new S3Error(400, "InvalidArgument", "x-amz-content-sha256 is neither a hash nor a known word");
  }
}

function checkChecksums(
  claimed: ReadonlyMap<string, string>,
  found: Readonly<Record<string, string>>,
): Record<string, string> {
  const announced = claimed.get("x-amz-trailer");
  if (announced !== undefined && !claimed.has(announced.toLowerCase()))
    throw invalidRequest("the announced trailer is missing");
  const checked: Record<string, string> = {};
  for (const [name, value] of claimed) {
    if (!CHECKSUM_HEADER.test(name)) continue;
    if (found[name] === undefined) throw notImplemented(name);
    if (found[name] !== value) throw badDigest(name);
    checked[name] = value;
  }
  return checked;
}

function badDigest(name: string): S3Error {
  return new S3Error(400, "BadDigest", `the body does not match ${name}`);
}

function crcText(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString("base64");
}
