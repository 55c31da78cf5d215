/**
 * The Lambda authorizer of an API Gateway REST API (type REQUEST, without its cache). The decision is passed to the function
 * as text, so that its answer can give the reason. Only the challenge is answered by API Gateway itself: it renames
 * `WWW-Authenticate` in a function's answer, and then git cannot log in.
 */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type ApiGatewayEvent, requestOfEvent } from "./api-gateway-event.ts";
import type { HttpRequest } from "./message.ts";

/** Has no body, and the ARN of the method to authorize. */
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

/** @returns `"challenge"`: the caller must send a credential. Otherwise the context for the function. */
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
    // The whole API, for this one request: the path may contain characters with a meaning in a policy.
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

/** By this message API Gateway answers with the gateway response UNAUTHORIZED. */
function challenge(): Error {
  const error = new Error("Unauthorized");
  // The runtime would log it at the beginning of each clone.
  error.stack = "";
  return error;
}
