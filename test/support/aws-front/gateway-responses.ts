/** What API Gateway answers itself. Source: docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html. */
import type { IncomingHttpHeaders } from "node:http";
import type { ApiDefinition } from "./api-definition.ts";

const TYPES = {
  ACCESS_DENIED: [403, "User is not authorized to access this resource"],
  AUTHORIZER_CONFIGURATION_ERROR: [500, "Internal server error"],
  AUTHORIZER_FAILURE: [500, "Internal server error"],
  /** The function fails, or its answer is no answer. It cannot be set on its own. */
  BAD_GATEWAY: [502, "Internal server error"],
  INTEGRATION_FAILURE: [504, "Internal server error"],
  INTEGRATION_TIMEOUT: [504, "Endpoint request timed out"],
  MISSING_AUTHENTICATION_TOKEN: [403, "Missing Authentication Token"],
  REQUEST_TOO_LARGE: [413, "Request Too Long"],
  THROTTLED: [429, "Too Many Requests"],
  /** Lambda refuses an invocation, and INTEGRATION_FAILURE is not set. */
  UNSPECIFIED: [500, "Internal server error"],
  UNAUTHORIZED: [401, "Unauthorized"],
} as const;

export type ResponseType = keyof typeof TYPES;

export interface RenderedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Lambda's refusal of an invocation: INTEGRATION_FAILURE where that is set, else 500 as of no type. */
export function refusedInvocation({ gatewayResponses }: ApiDefinition): ResponseType {
  return gatewayResponses["INTEGRATION_FAILURE"] === undefined ? "UNSPECIFIED" : "INTEGRATION_FAILURE";
}

export function gatewayResponse(
  { gatewayResponses }: ApiDefinition,
  type: ResponseType,
  { accept = "" }: IncomingHttpHeaders,
): RenderedResponse {
  const [ownStatus, message] = TYPES[type];
  const set = gatewayResponses[type] ?? gatewayResponses[ownStatus < 500 ? "DEFAULT_4XX" : "DEFAULT_5XX"];
  const status = set?.statusCode ?? ownStatus;
  const templates = Object.entries(set?.templates ?? {});
  // By the `Accept` header; where nothing fits, the first.
  const [contentType, body] = templates.find(([name]) => accept.includes(name)) ??
    templates[0] ?? ["application/json", JSON.stringify({ message })];
  return { status, headers: { "content-type": contentType, ...set?.headers }, body };
}
