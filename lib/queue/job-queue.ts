/**
 * The port to a queue of jobs, in the manner of SQS FIFO. Jobs of a group are run one at a time, in the order they were sent;
 * groups do not wait for each other. One that fails comes again after a delay that grows, its group waits for it, and after its
 * last try it becomes a dead letter. It may be run twice, if a process dies at the wrong moment.
 * test/contract/job-queue.contract.ts holds every implementation to these words.
 */

import { UpstreamError } from "../errors.ts";

export interface QueueMessage {
  /** At most 128 letters, digits and punctuation, as SQS has it. */
  readonly groupId: string;
  /** A message whose id was sent within the last five minutes is dropped. As `groupId`. */
  readonly dedupId: string;
  readonly body: string;
}

export interface JobQueue {
  /**
   * Resolves when all messages are safe.
   * @throws {QueueError} Some are not. Send all of them again: those that arrived are dropped by their ids.
   */
  send(messages: readonly QueueMessage[]): Promise<void>;
}

export interface DeadLetter {
  readonly groupId: string;
  readonly body: string;
}

export interface DeadLetters {
  /** Looks, and changes nothing. Perhaps only the oldest of each group. */
  list(maxCount: number): Promise<readonly DeadLetter[]>;
  /** Puts dead letters back into the queue. @returns How many: below `maxCount` there are no more. */
  replay(maxCount: number): Promise<number>;
}

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
