/** SQS FIFO by AWS's SDK: the sending side, and dead letters. Source: the SQS API reference. */
import { randomUUID } from "node:crypto";
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { withCleanUp } from "../errors.ts";
import { BatchedJobQueue, MAX_BATCH } from "./fifo-batches.ts";
import type { DeadLetter, DeadLetters, JobQueue } from "./job-queue.ts";

export class SqsJobQueue extends BatchedJobQueue {
  constructor(client: SQSClient, QueueUrl: string) {
    super(async (Entries) => {
      const { Failed = [] } = await client.send(
        new SendMessageBatchCommand({ QueueUrl, Entries: [...Entries] }),
      );
      return Failed;
    });
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

  /** At most `maxCount` are looked at. */
  async list(
    maxCount: number,
    isWanted: (body: string) => boolean = () => true,
  ): Promise<readonly DeadLetter[]> {
    const seen: Message[] = [];
    const receiveAll = async () => {
      for (;;) {
        const received = await this.#receive(maxCount - seen.length);
        if (received.length === 0) break;
        seen.push(...received);
      }
      return seen.map(letterOf).filter(({ body }) => isWanted(body));
    };
    return withCleanUp(receiveAll, () => this.#release(seen));
  }

  /** At most `maxCount` are looked at. */
  async replay(maxCount: number, isWanted: (body: string) => boolean = () => true): Promise<number> {
    let count = 0;
    const others: Message[] = [];
    const replayAll = async () => {
      for (;;) {
        const received = await this.#receive(maxCount - count - others.length);
        if (received.length === 0) return count;
        for (const message of received) {
          const letter = letterOf(message);
          if (!isWanted(letter.body)) {
            others.push(message);
            continue;
          }
          // Sent before it is deleted: a job may run twice.
          await this.#queue.send([{ ...letter, dedupId: `replay-${randomUUID()}` }]);
          const input = { QueueUrl: this.#queueUrl, ReceiptHandle: message.ReceiptHandle };
          await this.#client.send(new DeleteMessageCommand(input));
          count += 1;
        }
      }
    };
    return withCleanUp(replayAll, () => this.#release(others));
  }

  async #release(messages: readonly Message[]): Promise<void> {
    for (const { ReceiptHandle } of messages) {
      const input = { QueueUrl: this.#queueUrl, ReceiptHandle, VisibilityTimeout: 0 };
      await this.#client.send(new ChangeMessageVisibilityCommand(input));
    }
  }

  async #receive(maxCount: number): Promise<Message[]> {
    if (maxCount <= 0) return [];
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
