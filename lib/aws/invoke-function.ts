/** Calls a Lambda function and waits for its answer. Source: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. */
import { OverloadedError } from "../errors.ts";
import type { AwsRequests } from "./aws-requests.ts";

/**
 * @param name - Of the function.
 * @param event - It goes to the function alone: Lambda keeps no event that is waited for.
 * @returns What the function returned.
 * @throws {OverloadedError} There is no answer: too many run at a time, or it failed, which is in its log.
 */
export async function invokeFunction(requests: AwsRequests, name: string, event: unknown): Promise<unknown> {
  const url = `${requests.endpointOf("lambda")}/2015-03-31/functions/${encodeURIComponent(name)}/invocations`;
  const response = await requests.send("lambda", url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-amz-invocation-type": "RequestResponse" },
    body: JSON.stringify(event),
  });
  const text = await response.text();
  const failure = response.headers.get("x-amz-function-error");
  if (response.ok && failure === null) return JSON.parse(text);
  const cause = new Error(`Lambda answers ${response.status} ${failure ?? ""}: ${text.slice(0, 300)}`);
  throw Object.assign(
    new OverloadedError(`the function ${name} gave no answer; its log says why. Try again`, { status: 503 }),
    { cause },
  );
}
