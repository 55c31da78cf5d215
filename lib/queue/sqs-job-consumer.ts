/**
 * Runs the jobs that Lambda takes from an SQS FIFO queue. A job that fails comes again after a delay that grows, and
 * after the queue's last try goes to its dead-letter queue. Jobs of the same group that follow it must wait for it.
 * Source: "Handling errors for an SQS event source in Lambda" in Lambda's developer guide.
 */
import { ChangeMessageVisibilityCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { z } from "zod";
import { errorFields, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";

export interface SqsJobConsumerOptions<Job> {
  readonly client: SQSClient;
  readonly queueUrl: string;
  /** @throws {Error} Not a job: it can only go to the dead-letter queue. */
  readonly parse: (body: string) => Job;
  /** `signal` aborts shortly before Lambda would end the process. */
  readonly run: (job: Job, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
}

/** To Lambda: which messages are to come again. */
interface BatchResult {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

const recordSchema = z.object({
  messageId: z.string(),
  receiptHandle: z.string(),
  body: z.string(),
  attributes: z.object({ ApproximateReceiveCount: z.coerce.number().int().positive() }),
});

type SqsRecord = z.infer<typeof recordSchema>;

const eventSchema = z.object({ Records: z.array(recordSchema) });

/** What is left for putting an interrupted job back. */
const LAST_STEPS_MS = 15_000;

const FIRST_RETRY_SECONDS = 30;
const RETRY_GROWTH = 4;
const MAX_RETRY_SECONDS = 900;

export function sqsJobConsumer<Job>(
  options: SqsJobConsumerOptions<Job>,
): (event: unknown, context: InvocationContext) => Promise<BatchResult> {
  return async (event, context) => {
    const { Records: records } = eventSchema.parse(event);
    const signal = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - LAST_STEPS_MS));
    for (const [index, record] of records.entries()) {
      if (await succeeds(record, signal, options)) continue;
      // Later messages may be of the same group, and must not overtake this one.
      return {
        batchItemFailures: records.slice(index).map(({ messageId }) => ({ itemIdentifier: messageId })),
      };
    }
    return { batchItemFailures: [] };
  };
}

/** Never rejects. */
async function succeeds<Job>(
  record: SqsRecord,
  signal: AbortSignal,
  options: SqsJobConsumerOptions<Job>,
): Promise<boolean> {
  const { messageId } = record;
  try {
    await options.run(options.parse(record.body), signal);
    return true;
  } catch (error) {
    const retryAfterSeconds = retryDelay(error, record.attributes.ApproximateReceiveCount);
    options.log.error("queue:job-failed", { messageId, retryAfterSeconds, ...errorFields(error) });
    await delay(record, retryAfterSeconds, options);
    return false;
  }
}

function retryDelay(error: unknown, receiveCount: number): number {
  const growing = FIRST_RETRY_SECONDS * RETRY_GROWTH ** (receiveCount - 1);
  const asked = error instanceof UpstreamError ? (error.retryAfterSeconds ?? 0) : 0;
  return Math.min(MAX_RETRY_SECONDS, Math.ceil(Math.max(growing, asked)));
}

/** Without it the message, and its whole group, would wait for the queue's visibility timeout: longer than any sync. */
async function delay<Job>(
  { messageId, receiptHandle }: SqsRecord,
  seconds: number,
  { client, queueUrl, log }: SqsJobConsumerOptions<Job>,
): Promise<void> {
  try {
    const input = { QueueUrl: queueUrl, ReceiptHandle: receiptHandle, VisibilityTimeout: seconds };
    await client.send(new ChangeMessageVisibilityCommand(input));
  } catch (error) {
    log.warn("queue:delay-failed", { messageId, ...errorFields(error) });
  }
}
