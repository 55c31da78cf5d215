/** A request of node:http as the event that an API Gateway REST API sends to a function (proxy integration, 1.0). */
import type { IncomingMessage } from "node:http";
import type { ApiGatewayEvent } from "../../../lib/http/api-gateway-event.ts";

/** The types whose bodies arrive as bytes; infra/git-endpoint.ts sets the same. */
const BINARY_MEDIA_TYPES = ["application/x-git-upload-pack-request"];

export function gatewayEvent(
  incoming: IncomingMessage,
  body: Buffer,
  authorizer: Readonly<Record<string, unknown>> | undefined,
): ApiGatewayEvent {
  const url = new URL(incoming.url ?? "/", "http://gateway");
  const query: Record<string, string[]> = {};
  for (const [name, value] of url.searchParams) query[name] = [...(query[name] ?? []), value];
  const multiValueHeaders: Record<string, string[]> = {};
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index] ?? "";
    multiValueHeaders[name] = [...(multiValueHeaders[name] ?? []), incoming.rawHeaders[index + 1] ?? ""];
  }
  const isBinary = BINARY_MEDIA_TYPES.includes(incoming.headers["content-type"] ?? "");
  return {
    httpMethod: incoming.method ?? "GET",
    path: url.pathname,
    headers: lastValues(multiValueHeaders),
    multiValueHeaders,
    multiValueQueryStringParameters: Object.keys(query).length === 0 ? null : query,
    body: body.length === 0 ? null : body.toString(isBinary ? "base64" : "utf8"),
    isBase64Encoded: isBinary && body.length > 0,
    requestContext: {
      identity: { sourceIp: incoming.socket.remoteAddress ?? null },
      ...(authorizer !== undefined && { authorizer }),
    },
  };
}

function lastValues(multiValues: Readonly<Record<string, string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(multiValues).map(([name, values]) => [name, values.at(-1) ?? ""]));
}
