/**
 * The port to a queue of jobs, in the manner of SQS FIFO. Jobs of a group are run one at a time, in the order they were sent;
 * groups do not wait for each other. One that fails comes again after a delay that grows, its group waits for it, and after its
 * last try it becomes a dead letter. It may be run twice, if a process dies at the wrong moment.
 * test/contract/job-queue.contract.ts holds every implementation to these words.
 */

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
