/** Does what Lambda does between an SQS FIFO queue and a function: polls, invokes, deletes what did not fail. */
import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";

export interface EventSourceOptions {
  readonly client: SQSClient;
  readonly queueUrl: string;
  readonly handler: (event: unknown) => Promise<{
    readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
  }>;
  /** Invocations at a time. */
  readonly concurrency: number;
  /** Messages of an invocation. Default: one. */
  readonly batchSize?: number;
}

export interface EventSource {
  /** Resolves when the queue is empty and nothing runs. */
  drained(): Promise<void>;
  close(): Promise<void>;
}

const WAIT_SECONDS = 1;

export function startEventSource(options: EventSourceOptions): EventSource {
  const stop = new AbortController();
  const poller = poll(options, stop.signal);
  return {
    drained: () => drained(options),
    async close() {
      stop.abort();
      await poller;
    },
  };
}

/** One receives for all: a queue that is empty costs one request a second. */
async function poll(options: EventSourceOptions, stop: AbortSignal): Promise<void> {
  const { client, queueUrl, concurrency, batchSize = 1 } = options;
  const running = new Set<Promise<void>>();
  while (!stop.aborted) {
    if (running.size >= concurrency) {
      await Promise.race(running);
      continue;
    }
    const { Messages: messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: batchSize,
        WaitTimeSeconds: WAIT_SECONDS,
        MessageSystemAttributeNames: ["All"],
      }),
    );
    if (messages.length === 0) continue;
    const run = handle(messages, options).finally(() => running.delete(run));
    running.add(run);
  }
  await Promise.all(running);
}

async function handle(
  messages: readonly Message[],
  { client, queueUrl, handler }: EventSourceOptions,
): Promise<void> {
  const result = await handler({ Records: messages.map(record) }).catch(() => undefined);
  // The function failed, as its log says: delivered again when the queue's visibility timeout is over.
  if (result === undefined) return;
  const failed = new Set(result.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  for (const { MessageId = "", ReceiptHandle } of messages) {
    if (failed.has(MessageId)) continue;
    await client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }));
  }
}

function record({ MessageId, ReceiptHandle, Body, Attributes }: Message): unknown {
  return {
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: Attributes,
    eventSource: "aws:sqs",
  };
}

async function drained({ client, queueUrl }: EventSourceOptions): Promise<void> {
  for (;;) {
    const { Attributes: counts = {} } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["All"] }),
    );
    const names = [
      "ApproximateNumberOfMessages",
      "ApproximateNumberOfMessagesNotVisible",
      "ApproximateNumberOfMessagesDelayed",
    ] as const;
    if (names.every((name) => counts[name] === "0")) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
