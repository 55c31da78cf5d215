/** Answers of the pages: headers that keep a browser safe, and compression. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { jsonEnvelope } from "../json-envelope.ts";
import type { ApiSchemaName } from "./api-schemas.ts";
import type { Html } from "./page-layout.ts";

const SECURITY_HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  // With no-referrer browsers would send `Origin: null` with forms.
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
} as const;

/** Pages and JSON depend on who asks. */
const PRIVATE_HEADERS = {
  "cache-control": "no-store",
  vary: "accept, accept-encoding, authorization, cookie",
};

const MIN_COMPRESSED_BYTES = 1_000;

type Headers = Readonly<Record<string, string>>;

/** @param origins - What the page's script may ask, beside this server. @returns Headers of such a page. */
export function reaching(origins: readonly string[]): Headers {
  if (origins.length === 0) return {};
  const policy = SECURITY_HEADERS["content-security-policy"];
  const asked = ["connect-src 'self'", ...new Set(origins)].join(" ");
  return { "content-security-policy": policy.replace("connect-src 'self'", asked) };
}

export function htmlResponse(request: HttpRequest, status: number, page: Html, headers: Headers = {}) {
  const contentType = { "content-type": "text/html; charset=utf-8" };
  return compressed(request, status, String(page), { ...PRIVATE_HEADERS, ...contentType, ...headers });
}

export function textPage(request: HttpRequest, text: string, contentType: string) {
  return compressed(request, 200, text, { ...PRIVATE_HEADERS, "content-type": contentType });
}

/** The address holds the asset's hash, so it never changes. */
export function assetResponse(request: HttpRequest, text: string, contentType: string) {
  const headers = {
    ...{ "content-type": contentType, "cache-control": "public, max-age=31536000, immutable" },
    // Pages of other mirrors measure with it how near this one is.
    "cross-origin-resource-policy": "cross-origin",
  };
  return compressed(request, 200, text, { ...headers, vary: "accept-encoding" });
}

export function redirectResponse(location: string, headers: Headers = {}): HttpResponse {
  return {
    status: 303,
    headers: { ...SECURITY_HEADERS, ...PRIVATE_HEADERS, ...headers, location },
    body: chunks(),
  };
}

/** With an ETag of the data alone, so that a client that polls gets 304. */
export function apiResponse(
  request: HttpRequest,
  { status = 200, schema, data, now }: { status?: number; schema: ApiSchemaName; data: object; now: number },
  headers: Headers = {},
): Promise<HttpResponse> | HttpResponse {
  return jsonUnlessKnown(request, { status, value: jsonEnvelope(schema, data, now), tagged: data, headers });
}

/** What pages poll for: 304 while it stays the same. */
export function polledResponse(request: HttpRequest, value: object) {
  return jsonUnlessKnown(request, { status: 200, value, tagged: value, headers: {} });
}

interface TaggedAnswer {
  readonly status: number;
  readonly value: object;
  /** What the ETag is made of. */
  readonly tagged: object;
  readonly headers: Headers;
}

function jsonUnlessKnown(
  request: HttpRequest,
  { status, value, tagged, headers }: TaggedAnswer,
): Promise<HttpResponse> | HttpResponse {
  const hash = createHash("sha256").update(JSON.stringify(tagged)).digest("base64url");
  const etag = `W/"${hash.slice(0, 22)}"`;
  const answerHeaders = { ...PRIVATE_HEADERS, "cache-control": "private, no-cache", etag, ...headers };
  const known = (request.headers["if-none-match"] ?? "").split(",").map((tag) => tag.trim());
  if (status === 200 && known.includes(etag))
    return { status: 304, headers: { ...SECURITY_HEADERS, ...answerHeaders }, body: chunks() };
  return jsonResponse(request, status, value, answerHeaders);
}

export function jsonResponse(request: HttpRequest, status: number, value: object, headers: Headers = {}) {
  const contentType = { "content-type": "application/json" };
  return compressed(request, status, JSON.stringify(value), {
    ...PRIVATE_HEADERS,
    ...contentType,
    ...headers,
  });
}

export function streamResponse(contentType: string, body: AsyncIterable<Uint8Array>): HttpResponse {
  return {
    status: 200,
    headers: {
      ...SECURITY_HEADERS,
      ...PRIVATE_HEADERS,
      "content-type": contentType,
      "x-accel-buffering": "no",
    },
    body,
  };
}

async function compressed(
  request: HttpRequest,
  status: number,
  text: string,
  headers: Headers,
): Promise<HttpResponse> {
  const plain = Buffer.from(text);
  const isCompressed = plain.length >= MIN_COMPRESSED_BYTES && acceptsGzip(request);
  const bytes = isCompressed ? await promisify(gzip)(plain) : plain;
  return {
    status,
    headers: {
      ...SECURITY_HEADERS,
      ...headers,
      "content-length": String(bytes.length),
      ...(isCompressed && { "content-encoding": "gzip" }),
    },
    body: chunks(bytes),
  };
}

function acceptsGzip({ headers }: HttpRequest): boolean {
  return /(^|[,\s])gzip\s*(,|$|;\s*q=(1|0\.[0-9]*[1-9]))/i.test(headers["accept-encoding"] ?? "");
}

async function* chunks(...some: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* some;
}
