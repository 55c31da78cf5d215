/** The sending side of SQS FIFO, and its dead letters. Source: the SQS API reference. */
import { randomUUID } from "node:crypto";
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { QueueError, withCleanUp } from "../errors.ts";
import type { DeadLetter, DeadLetters, JobQueue, QueueMessage } from "./job-queue.ts";

/** SQS's own limits. */
const MAX_BATCH = 10;
const MAX_BATCH_BYTES = 256 * 1024;

/** Retries of single entries that SQS rejected; the client retries whole requests. */
const MAX_TRIES = 4;

/** Concurrent batches: a reconcile of a large workspace sends thousands of messages. */
const CONCURRENT_BATCHES = 8;

export class SqsJobQueue implements JobQueue {
  readonly #client: SQSClient;
  readonly #queueUrl: string;

  constructor(client: SQSClient, queueUrl: string) {
    this.#client = client;
    this.#queueUrl = queueUrl;
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
      const answer = await this.#client.send(
        new SendMessageBatchCommand({ QueueUrl: this.#queueUrl, Entries }),
      );
      const { Failed: failures = [] } = answer;
      const sent = left;
      left = failures.flatMap(({ Id }) => sent[Number(Id)] ?? []);
      reasons = failures.map(({ Code, Message: text }) => `${Code}: ${text}`);
      if (failures.some(({ SenderFault }) => SenderFault)) break;
    }
    if (left.length > 0) throw new QueueError("SQS rejected some messages", { count: left.length, reasons });
  }
}

/** Visibility timeout while messages are inspected: a killed process returns them after this time. */
const LOOK_SECONDS = 30;

export class SqsDeadLetters implements DeadLetters {
  readonly #client: SQSClient;
  readonly #queueUrl: string;
  readonly #queue: JobQueue;

  /** @param queue - Destination of replayed messages. */
  constructor(client: SQSClient, deadLetterQueueUrl: string, queue: JobQueue) {
    this.#client = client;
    this.#queueUrl = deadLetterQueueUrl;
    this.#queue = queue;
  }

  async list(maxCount: number): Promise<readonly DeadLetter[]> {
    const seen: Message[] = [];
    const receiveAll = async () => {
      while (seen.length < maxCount) {
        const received = await this.#receive(maxCount - seen.length);
        if (received.length === 0) break;
        seen.push(...received);
      }
      return seen.map(letterOf);
    };
    return withCleanUp(receiveAll, async () => {
      for (const { ReceiptHandle } of seen) {
        const input = { QueueUrl: this.#queueUrl, ReceiptHandle, VisibilityTimeout: 0 };
        await this.#client.send(new ChangeMessageVisibilityCommand(input));
      }
    });
  }

  async replay(maxCount: number): Promise<number> {
    let count = 0;
    while (count < maxCount) {
      const received = await this.#receive(maxCount - count);
      if (received.length === 0) return count;
      for (const message of received) {
        // Sent before it is deleted: a job may run twice.
        await this.#queue.send([{ ...letterOf(message), dedupId: `replay-${randomUUID()}` }]);
        const input = { QueueUrl: this.#queueUrl, ReceiptHandle: message.ReceiptHandle };
        await this.#client.send(new DeleteMessageCommand(input));
        count += 1;
      }
    }
    return count;
  }

  async #receive(maxCount: number): Promise<Message[]> {
    const { Messages: messages = [] } = await this.#client.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#queueUrl,
        MaxNumberOfMessages: Math.min(MAX_BATCH, maxCount),
        VisibilityTimeout: LOOK_SECONDS,
        MessageSystemAttributeNames: ["MessageGroupId"],
      }),
    );
    return messages;
  }
}

function letterOf({ Body: body = "", Attributes: attributes }: Message): DeadLetter {
  return { body, groupId: attributes?.MessageGroupId ?? "unknown" };
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
