/**
 * The Lambda authorizer of an API Gateway REST API (type REQUEST, nothing cached there). What it decides goes on to the
 * function behind it as text, so that the function's answer can say why. Only the challenge is API Gateway's own answer:
 * it renames `WWW-Authenticate` in answers of functions, and git could not log in.
 */

import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type ApiGatewayEvent, requestOfEvent } from "./api-gateway-event.ts";
import type { HttpRequest } from "./message.ts";

/** The authorizer's event has no body, and names what it authorizes. */
export interface AuthorizerEvent extends Omit<ApiGatewayEvent, "body" | "isBase64Encoded"> {
  /** `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>`. */
  readonly methodArn: string;
}

export interface AuthorizerResult {
  readonly principalId: string;
  readonly policyDocument: {
    readonly Version: "2012-10-17";
    readonly Statement: readonly {
      readonly Action: "execute-api:Invoke";
      readonly Effect: "Allow";
      readonly Resource: string;
    }[];
  };
  readonly context: Readonly<Record<string, string>>;
}

/** `"challenge"`: the caller has to show a credential. Otherwise what the function is told. */
export type AuthorizeRequest = (
  request: HttpRequest,
) => Promise<"challenge" | { readonly context: Readonly<Record<string, string>> }>;

/** API Gateway gives an authorizer 29 s. */
const TIMEOUT_MS = 28_000;

export function lambdaAuthorizer(
  authorize: AuthorizeRequest,
  { log }: { readonly log: Logger },
): (event: AuthorizerEvent) => Promise<AuthorizerResult> {
  return async (event) => {
    const decision = await authorize(requestOfEvent(event, AbortSignal.timeout(TIMEOUT_MS))).catch(
      (error: unknown) => {
        log.error("authorizer:failed", errorFields(error));
        throw error;
      },
    );
    if (decision === "challenge") throw challenge();
    const [api = "", stage = ""] = event.methodArn.split("/");
    // The whole API, as the path might hold what has a meaning in a policy. It is for this one request.
    const statement = {
      Action: "execute-api:Invoke",
      Effect: "Allow",
      Resource: `${api}/${stage}/*`,
    } as const;
    return {
      principalId: "caller",
      policyDocument: { Version: "2012-10-17", Statement: [statement] },
      context: decision.context,
    };
  };
}

/** API Gateway knows it by its message, and answers with the gateway response UNAUTHORIZED. */
function challenge(): Error {
  const error = new Error("Unauthorized");
  // The runtime logs it, and it happens at the beginning of each clone.
  error.stack = "";
  return error;
}
