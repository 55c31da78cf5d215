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
}

export interface EventSource {
  /** Resolves when the queue is empty and nothing runs. */
  drained(): Promise<void>;
  close(): Promise<void>;
}

const WAIT_SECONDS = 1;

export function startEventSource(options: EventSourceOptions): EventSource {
  const stop = new AbortController();
  const pollers = Array.from({ length: options.concurrency }, () => poll(options, stop.signal));
  return {
    drained: () => drained(options),
    async close() {
      stop.abort();
      await Promise.all(pollers);
    },
  };
}

async function poll({ client, queueUrl, handler }: EventSourceOptions, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const { Messages: messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: 1,
        WaitTimeSeconds: WAIT_SECONDS,
        MessageSystemAttributeNames: ["All"],
      }),
    );
    if (messages.length === 0) continue;
    const { batchItemFailures } = await handler({ Records: messages.map(record) });
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    for (const { MessageId = "", ReceiptHandle } of messages) {
      if (failed.has(MessageId)) continue;
      await client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }));
    }
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
