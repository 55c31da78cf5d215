/** Calls a Lambda function and waits for its answer. Source: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. */
import { OverloadedError } from "../errors.ts";
import type { AwsRequests } from "./aws-requests.ts";

/**
 * @param name - Of the function.
 * @param event - It goes to the function alone: Lambda keeps no event that is waited for.
 * @returns What the function returned.
 * @throws {OverloadedError} There is no answer: too many run at a time, it failed, or it took too long.
 */
export async function invokeFunction(requests: AwsRequests, name: string, event: unknown): Promise<unknown> {
  const url = `${requests.endpointOf("lambda")}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`;
  const init = {
    method: "POST",
    headers: { "content-type": "application/json", "x-amz-invocation-type": "RequestResponse" },
    body: JSON.stringify(event),
  };
  try {
    const response = await requests.send("lambda", url, init, { isOnce: true });
    const text = await response.text();
    const failure = response.headers.get("x-amz-function-error");
    if (response.ok && failure === null) return JSON.parse(text);
    const cause = new Error(
      `Lambda answers ${response.status} ${failure ?? ""} for ${name}: ${text.slice(0, 300)}`,
    );
    throw response.status === 429
      ? new OverloadedError("too many do this now, and nothing was done: try again in a minute", {
          status: 503,
          cause,
        })
      : unknownEnd(cause);
  } catch (error) {
    // A timeout, a connection that broke, an answer that is no JSON.
    throw error instanceof OverloadedError ? error : unknownEnd(error);
  }
}

function unknownEnd(cause: unknown): OverloadedError {
  const message = "there was no answer, and it may have been done: load the page again to see";
  return new OverloadedError(message, { status: 503, cause });
}
