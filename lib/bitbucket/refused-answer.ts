/** What the primary's refusals mean, by HTTP and by their errors. */
import { NotFoundError, UpstreamError } from "../errors.ts";
import { parseRetryAfter } from "../retry-after.ts";

/** @returns Retryable for 429 and 5xx. @param context - What is logged beside the status. */
export function refusedAnswer(
  message: string,
  { status, headers }: Response,
  context: Readonly<Record<string, unknown>>,
): UpstreamError {
  const retryAfterSeconds = parseRetryAfter(headers.get("retry-after"));
  return new UpstreamError(message, {
    retryable: status === 429 || status >= 500,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    status,
    ...context,
  });
}

/** Also a page in place of an answer of git's: nothing is known of what Bitbucket says to a uuid. */
export function isRefusal(error: unknown): boolean {
  return error instanceof NotFoundError || (error instanceof UpstreamError && !error.retryable);
}
