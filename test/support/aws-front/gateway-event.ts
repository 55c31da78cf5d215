/** A request of node:http as the event that an API Gateway REST API sends to a function (proxy integration, 1.0). */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { ApiGatewayEvent } from "../../../lib/http/api-gateway-event.ts";
import type { ApiDefinition, ApiRoute } from "./api-definition.ts";
import { ACCOUNT } from "./template.ts";

export interface RoutedRequest {
  readonly api: ApiDefinition;
  readonly route: ApiRoute;
  readonly parameters: Readonly<Record<string, string>>;
  readonly incoming: IncomingMessage;
  /** Without the stage. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

/** With fields that the functions do not read. */
interface GatewayEvent extends ApiGatewayEvent {
  readonly resource: string;
  readonly queryStringParameters: Readonly<Record<string, string>> | null;
  readonly pathParameters: Readonly<Record<string, string>>;
  readonly stageVariables: null;
}

export function gatewayEvent(
  { api, route, parameters, incoming, path, query, body }: RoutedRequest,
  authorizer: Readonly<Record<string, unknown>> | undefined,
): GatewayEvent {
  const multiValueQuery: Record<string, string[]> = {};
  for (const [name, value] of query) multiValueQuery[name] = [...(multiValueQuery[name] ?? []), value];
  const multiValueHeaders: Record<string, string[]> = {};
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index] ?? "";
    multiValueHeaders[name] = [...(multiValueHeaders[name] ?? []), incoming.rawHeaders[index + 1] ?? ""];
  }
  const isBinary = api.binaryMediaTypes.includes(incoming.headers["content-type"] ?? "");
  const httpMethod = incoming.method ?? "GET";
  const isEmpty = Object.keys(multiValueQuery).length === 0;
  const requestContext = {
    accountId: ACCOUNT,
    apiId: "api",
    stage: api.stage,
    resourcePath: route.path,
    path: `/${api.stage}${path}`,
    httpMethod,
    protocol: "HTTP/1.1",
    requestId: randomUUID(),
    identity: {
      sourceIp: sourceAddress(incoming),
      userAgent: incoming.headers["user-agent"] ?? null,
    },
    ...(authorizer !== undefined && { authorizer }),
  };
  return {
    resource: route.path,
    path,
    httpMethod,
    headers: lastValues(multiValueHeaders),
    multiValueHeaders,
    queryStringParameters: isEmpty ? null : lastValues(multiValueQuery),
    multiValueQueryStringParameters: isEmpty ? null : multiValueQuery,
    pathParameters: parameters,
    stageVariables: null,
    requestContext,
    body: body.length === 0 ? null : body.toString(isBinary ? "base64" : "utf8"),
    isBase64Encoded: isBinary && body.length > 0,
  };
}

export function sourceAddress({ socket }: IncomingMessage): string {
  return socket.remoteAddress ?? "";
}

function lastValues(multiValues: Readonly<Record<string, string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(multiValues).map(([name, values]) => [name, values.at(-1) ?? ""]));
}
