/** The sending side of SQS FIFO, whatever sends its requests. Source: SQS, SendMessageBatch. */
import { QueueError } from "../errors.ts";
import type { JobQueue, QueueMessage } from "./job-queue.ts";

interface SqsEntry {
  readonly Id: string;
  readonly MessageGroupId: string;
  readonly MessageDeduplicationId: string;
  readonly MessageBody: string;
}

interface SqsFailure {
  readonly Id?: string | undefined;
  readonly Code?: string | undefined;
  readonly Message?: string | undefined;
  readonly SenderFault?: boolean | undefined;
}

/** One request. @returns The entries that SQS rejected. */
type SendSqsBatch = (entries: readonly SqsEntry[]) => Promise<readonly SqsFailure[]>;

/** SQS's own limits. */
export const MAX_BATCH = 10;
const MAX_BATCH_BYTES = 256 * 1024;

/** Retries of single entries that SQS rejected; the client retries whole requests. */
const MAX_TRIES = 4;

/** Concurrent batches: a reconcile of a large workspace sends thousands of messages. */
const CONCURRENT_BATCHES = 8;

export class BatchedJobQueue implements JobQueue {
  readonly #send: SendSqsBatch;

  constructor(send: SendSqsBatch) {
    this.#send = send;
  }

  async send(messages: readonly QueueMessage[]): Promise<void> {
    const rounds = inChunks(batchesInOrder(messages), CONCURRENT_BATCHES);
    // Messages of one group must stay in order: batches that share a group are sent one after the other.
    for (const round of rounds) {
      const groups = round.map((batch) => new Set(batch.map(({ groupId }) => groupId)));
      const isDisjoint =
        groups.reduce((sum, { size }) => sum + size, 0) === new Set(groups.flatMap((one) => [...one])).size;
      if (isDisjoint) await Promise.all(round.map((batch) => this.#sendBatch(batch)));
      else for (const batch of round) await this.#sendBatch(batch);
    }
  }

  async #sendBatch(batch: readonly QueueMessage[]): Promise<void> {
    let left = batch;
    let reasons: unknown[] = [];
    for (let tries = 1; tries <= MAX_TRIES && left.length > 0; tries++) {
      const Entries = left.map(({ groupId, dedupId, body }, index) => ({
        Id: String(index),
        MessageGroupId: groupId,
        MessageDeduplicationId: dedupId,
        MessageBody: body,
      }));
      const failures = await this.#send(Entries);
      const sent = left;
      left = failures.flatMap(({ Id }) => sent[Number(Id)] ?? []);
      reasons = failures.map(({ Code, Message: text }) => `${Code}: ${text}`);
      if (failures.some(({ SenderFault }) => SenderFault)) break;
    }
    if (left.length > 0) throw new QueueError("SQS rejected some messages", { count: left.length, reasons });
  }
}

function batchesInOrder(messages: readonly QueueMessage[]): (readonly QueueMessage[])[] {
  const batches: QueueMessage[][] = [];
  let batch: QueueMessage[] = [];
  let batchBytes = 0;
  for (const message of messages) {
    const bytes = Buffer.byteLength(message.body);
    if (batch.length === 0 || batch.length === MAX_BATCH || batchBytes + bytes > MAX_BATCH_BYTES) {
      batch = [];
      batchBytes = 0;
      batches.push(batch);
    }
    batch.push(message);
    batchBytes += bytes;
  }
  return batches;
}

function inChunks<T>(items: readonly T[], size: number): (readonly T[])[] {
  const chunks: (readonly T[])[] = [];
  for (let start = 0; start < items.length; start += size) chunks.push(items.slice(start, start + size));
  return chunks;
}
