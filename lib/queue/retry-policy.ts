/** How often a job is tried, and how long it waits in between. */
import { UpstreamError } from "../errors.ts";

export interface RetryPolicy {
  /** The first one included. */
  readonly maxTries: number;
  /** Each further wait is four times as long. */
  readonly firstRetrySeconds: number;
}

const RETRY_GROWTH = 4;
/** Bitbucket counts requests by the hour, and forgets them one by one. */
const MAX_RETRY_SECONDS = 900;

/** Spread over about 25 minutes: an outage that is longer is for the dead letters, and the next reconcile. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { maxTries: 5, firstRetrySeconds: 30 };

/** @param tries - So far, the one that failed included. */
export function retryDelaySeconds(error: unknown, tries: number, { firstRetrySeconds }: RetryPolicy): number {
  const growing = firstRetrySeconds * RETRY_GROWTH ** (tries - 1);
  const asked = error instanceof UpstreamError ? (error.retryAfterSeconds ?? 0) : 0;
  return Math.min(MAX_RETRY_SECONDS, Math.max(growing, Math.ceil(asked)));
}
