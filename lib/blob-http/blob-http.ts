/**
 * Serves immutable blobs at signed addresses, whole or in part: what S3 does for presigned ones.
 * Source: RFC 9110, sections 13.1.5 ("If-Range") and 14.2 ("Range").
 */
import { textResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { SignedBlob, SignedBlobUrls } from "./signed-blob-urls.ts";

export interface BlobHttpOptions {
  readonly store: BlobStore;
  readonly urls: SignedBlobUrls;
}

export function blobHttp({ store, urls }: BlobHttpOptions): HttpHandler {
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return textResponse(405, "method not allowed, use GET, HEAD", { allow: "GET, HEAD" });
    }
    const blob = urls.verify(request.path, request.query);
    if (blob === undefined) return textResponse(403, "this address is not valid, or no longer");
    return send(store, blob, request);
  };
}

/** @throws {NotFoundError} There is no such blob, perhaps not any more. */
async function send(
  store: BlobStore,
  { key, sizeBytes }: SignedBlob,
  request: HttpRequest,
): Promise<HttpResponse> {
  // A blob never changes, so its name is as good as a checksum.
  const etag = `"${key.slice(key.lastIndexOf("/") + 1)}"`;
  const ifRange = request.headers["if-range"];
  const isStillThat = ifRange === undefined || ifRange.trim() === etag;
  const range = isStillThat ? requestedRange(request.headers["range"], sizeBytes) : undefined;
  const headers = { etag, "accept-ranges": "bytes", "cache-control": "private" };
  if (range === "unsatisfiable") {
    return textResponse(416, "the range is not inside the file", {
      ...headers,
      "content-range": `bytes */${sizeBytes}`,
    });
  }
  const { startBytes, endBytes } = range ?? { startBytes: 0, endBytes: sizeBytes };
  // The transport reads the beginning of a body before it sends the status, so a missing blob is 404; HEAD has no body.
  if (request.method === "HEAD") await store.readRange(key, startBytes, 0);
  return {
    status: range === undefined ? 200 : 206,
    headers: {
      ...headers,
      "content-type": "application/octet-stream",
      "content-length": String(endBytes - startBytes),
      ...(range && { "content-range": `bytes ${startBytes}-${endBytes - 1}/${sizeBytes}` }),
    },
    body: store.readStream(key, startBytes, endBytes - startBytes, { signal: request.signal }),
  };
}

export interface ByteRange {
  readonly startBytes: number;
  /** Exclusive. */
  readonly endBytes: number;
}

/**
 * @returns `undefined` if the whole is to be sent: no range, several, or what is none (all of which a server may pass over);
 *   `"unsatisfiable"` if it begins past the end.
 */
export function requestedRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | "unsatisfiable" | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") {
    if (Number(last) === 0 || sizeBytes === 0) return "unsatisfiable";
    return { startBytes: Math.max(0, sizeBytes - Number(last)), endBytes: sizeBytes };
  }
  const startBytes = Number(first);
  if (last !== "" && Number(last) < startBytes) return undefined;
  if (startBytes >= sizeBytes) return "unsatisfiable";
  return { startBytes, endBytes: last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) };
}
