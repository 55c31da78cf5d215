/** Errors and plain statements as HTTP responses: a status and one line of text, which git shows to its user. */
import {
  LimitExceededError,
  NotFoundError,
  OverloadedError,
  ProtocolError,
  UpstreamError,
} from "../errors.ts";
import { printableLine } from "../printable-line.ts";
import type { HttpResponse } from "./message.ts";

/** What a primary that refuses without naming a time is given to recover. */
const DEFAULT_RETRY_AFTER_SECONDS = 30;

/** One text for absent, not mirrored and not allowed: they must look the same from outside. */
const NOT_FOUND_TEXT =
  "not found: there is no such repository here, or your credential may not read it " +
  "(an API token needs the scope read:repository:bitbucket)";

export function notFoundResponse(headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return textResponse(404, NOT_FOUND_TEXT, headers);
}

/** A response of one line. `text` comes without the line's end. */
export function textResponse(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  const bytes = new TextEncoder().encode(`${text}\n`);
  return {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(bytes.length),
      "cache-control": "no-cache",
      ...headers,
    },
    body: oneChunk(bytes),
  };
}

/**
 * The response to an error that was thrown before the first byte of another one. Only messages about the request itself
 * are shown; what the project's own side reports may name internals, so its text is fixed.
 */
export function errorResponse(error: unknown): HttpResponse {
  if (error instanceof ProtocolError) return textResponse(400, printableLine(error.message));
  if (error instanceof NotFoundError) return notFoundResponse();
  if (error instanceof LimitExceededError) return textResponse(413, printableLine(error.message));
  if (error instanceof OverloadedError) return overloadedResponse(error);
  if (error instanceof UpstreamError) return upstreamResponse(error);
  return textResponse(500, "internal error of the mirror");
}

function overloadedResponse({ status, message, retryAfterSeconds }: OverloadedError): HttpResponse {
  const after = retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) };
  return textResponse(status, message, { ...after });
}

function upstreamResponse(error: UpstreamError): HttpResponse {
  if (!error.retryable) return textResponse(502, "the primary refused or failed");
  const retryAfterSeconds = Math.ceil(error.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS);
  return textResponse(503, "the primary cannot be reached right now, please retry", {
    "retry-after": String(retryAfterSeconds),
  });
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
