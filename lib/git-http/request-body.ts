/** A request's body without its content encoding: git compresses requests above 1 KiB. */
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { ProtocolError } from "../errors.ts";
import type { HttpRequest } from "../http/message.ts";

/**
 * Inflates as it is read, so a reader that stops at a limit is safe from bombs.
 * @returns `undefined` for an encoding that is not supported.
 */
export function decodedBody(request: HttpRequest): AsyncIterable<Uint8Array> | undefined {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (encoding === "identity" || encoding === "") return request.body;
  return encoding === "gzip" || encoding === "x-gzip" ? gunzipped(request.body) : undefined;
}

/** @throws {ProtocolError} While iterating: not gzip, or cut off. */
async function* gunzipped(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const gunzip = createGunzip();
  // The iteration below sees every failure, because pipeline passes it on to its last stream.
  pipeline(Readable.from(body, { objectMode: false }), gunzip, () => {});
  try {
    yield* gunzip;
  } catch (error) {
    throw isZlibError(error) ? new ProtocolError("the request's body is not gzip", { cause: error }) : error;
  }
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
}
