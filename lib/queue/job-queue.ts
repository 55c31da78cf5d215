/**
 * The port to a job queue with the semantics of SQS FIFO. Jobs of a group run one at a time, in the order they were sent; groups
 * do not wait for each other. A job that fails is retried with a growing delay while its group waits, and becomes a dead letter
 * after its last try. Delivery is at least once: a job may run twice if a process is killed.
 * Contract suite: test/contract/job-queue.contract.ts.
 */

import { UpstreamError } from "../errors.ts";

export interface QueueMessage {
  /** At most 128 letters, digits and punctuation, as SQS has it. */
  readonly groupId: string;
  /** A message whose id was sent within the last five minutes is dropped. Limits as of `groupId`. */
  readonly dedupId: string;
  readonly body: string;
}

export interface JobQueue {
  /**
   * Resolves when all messages are stored.
   * @throws {QueueError} Some are not. Send all again: duplicates are dropped by their ids.
   */
  send(messages: readonly QueueMessage[]): Promise<void>;
}

export interface DeadLetter {
  readonly groupId: string;
  readonly body: string;
}

export interface DeadLetters {
  /**
   * Reads without removing. Maybe only the oldest of each group.
   * @param isWanted - By its body; all unless given.
   */
  list(maxCount: number, isWanted?: (body: string) => boolean): Promise<readonly DeadLetter[]>;
  /**
   * Sends dead letters to the queue again. @returns How many; fewer than `maxCount` means that none are left.
   * @param isWanted - As of `list`.
   */
  replay(maxCount: number, isWanted?: (body: string) => boolean): Promise<number>;
}

export interface RetryPolicy {
  /** Including the first one. */
  readonly maxTries: number;
  /** Each further wait is four times as long. */
  readonly firstRetrySeconds: number;
}

const RETRY_GROWTH = 4;
/** Bitbucket's rate limit is a sliding window of an hour. */
const MAX_RETRY_SECONDS = 900;

/** About 25 minutes in all: after a longer outage, dead letters and the next reconcile take over. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { maxTries: 5, firstRetrySeconds: 30 };

/** @param tries - So far, including the one that failed. */
export function retryDelaySeconds(error: unknown, tries: number, { firstRetrySeconds }: RetryPolicy): number {
  const growing = firstRetrySeconds * RETRY_GROWTH ** (tries - 1);
  const asked = error instanceof UpstreamError ? (error.retryAfterSeconds ?? 0) : 0;
  return Math.min(MAX_RETRY_SECONDS, Math.max(growing, Math.ceil(asked)));
}
