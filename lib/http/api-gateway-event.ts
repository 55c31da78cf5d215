/** The event that an API Gateway REST API sends to a Lambda function (proxy integration, payload 1.0) as an HttpRequest. */
import type { HttpRequest } from "./message.ts";

/** The fields read here; the event has more. `null` is how API Gateway says "none". */
export interface ApiGatewayEvent {
  readonly httpMethod: string;
  /** Without the stage. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | undefined>> | null;
  readonly multiValueHeaders?: Readonly<Record<string, readonly string[] | undefined>> | null;
  readonly multiValueQueryStringParameters?: Readonly<Record<string, readonly string[] | undefined>> | null;
  readonly body?: string | null;
  readonly isBase64Encoded?: boolean;
  readonly requestContext?: {
    /** With the stage, unless the API has a domain of its own. */
    readonly path?: string;
    readonly identity?: { readonly sourceIp?: string | null };
    /** What the authorizer gave as its context. */
    readonly authorizer?: Readonly<Record<string, unknown>> | null;
  };
}

/** Of gzip, RFC 1952 section 2.3.1. No git request begins so: it begins with four hex digits. */
const GZIP_MAGIC = [0x1f, 0x8b] as const;

export function requestOfEvent(event: ApiGatewayEvent, signal: AbortSignal): HttpRequest {
  const bodyBytes = decodeBody(event);
  const { identity, authorizer, path: wholePath = "" } = event.requestContext ?? {};
  return {
    ...(identity?.sourceIp && { remoteAddress: identity.sourceIp }),
    ...(authorizer && { authorizerContext: authorizer }),
    method: event.httpMethod.toUpperCase(),
    path: event.path,
    basePath: wholePath.endsWith(event.path) ? wholePath.slice(0, -event.path.length) : "",
    query: decodeQuery(event),
    headers: truthfulHeaders(decodeHeaders(event), bodyBytes),
    body: oneChunk(bodyBytes),
    signal,
  };
}

function decodeBody(event: ApiGatewayEvent): Uint8Array {
  const text = event.body ?? "";
  return new Uint8Array(Buffer.from(text, event.isBase64Encoded === true ? "base64" : "utf8"));
}

function decodeQuery(event: ApiGatewayEvent): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(event.multiValueQueryStringParameters ?? {})) {
    for (const value of values ?? []) query.append(name, value);
  }
  return query;
}

function decodeHeaders(event: ApiGatewayEvent): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(event.headers ?? {})) {
    if (value !== undefined) headers[name.toLowerCase()] = value;
  }
  for (const [name, values] of Object.entries(event.multiValueHeaders ?? {})) {
    if (values !== undefined) headers[name.toLowerCase()] = values.join(", ");
  }
  return headers;
}

/** API Gateway may inflate a body and leave the headers that described it, so the body decides. */
function truthfulHeaders(headers: Record<string, string>, bodyBytes: Uint8Array): Record<string, string> {
  const { "content-encoding": contentEncoding, "content-length": _asSent, ...others } = headers;
  const isGzip = GZIP_MAGIC.every((byte, index) => bodyBytes[index] === byte);
  const isInflated = contentEncoding !== undefined && /^(x-)?gzip$/i.test(contentEncoding) && !isGzip;
  return {
    ...others,
    ...(contentEncoding === undefined || isInflated ? {} : { "content-encoding": contentEncoding }),
    "content-length": String(bodyBytes.length),
  };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.length > 0) yield bytes;
}
