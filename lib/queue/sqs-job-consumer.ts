/**
 * Runs the jobs of an SQS FIFO queue in Lambda. A job that fails is retried with a growing delay, and moves to the dead-letter
 * queue after the queue's last try. Later jobs of its group wait for it.
 * Source: "Handling errors for an SQS event source in Lambda" in Lambda's developer guide.
 */
import { ChangeMessageVisibilityCommand, type SQSClient } from "@aws-sdk/client-sqs";
import * as z from "zod";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retryDelaySeconds } from "./job-queue.ts";

export interface SqsJobConsumerOptions<Job> {
  readonly client: SQSClient;
  readonly queueUrl: string;
  /** @throws {Error} Not a job: retries cannot help, so it ends in the dead-letter queue. */
  readonly parse: (body: string) => Job;
  /** `signal` aborts shortly before Lambda's timeout. */
  readonly run: (job: Job, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** The number of tries is the queue's own setting. */
  readonly retries?: Pick<RetryPolicy, "firstRetrySeconds">;
}

/** To Lambda: the messages to deliver again. */
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
  attributes: z.object({
    ApproximateReceiveCount: z.coerce.number().int().positive(),
    MessageGroupId: z.string(),
  }),
});

type SqsRecord = z.infer<typeof recordSchema>;

const eventSchema = z.object({ Records: z.array(recordSchema) });

/** Time to requeue an interrupted job. */
const LAST_STEPS_MS = 15_000;

export function sqsJobConsumer<Job>(
  options: SqsJobConsumerOptions<Job>,
): (event: unknown, context: InvocationContext) => Promise<BatchResult> {
  return async (event, context) => {
    const { Records: records } = eventSchema.parse(event);
    const signal = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - LAST_STEPS_MS));
    /** The delay of each group's first failed message. */
    const delays = new Map<string, number>();
    const failures: SqsRecord[] = [];
    for (const record of records) {
      const group = record.attributes.MessageGroupId;
      // A later message of the same group must not overtake the one that failed.
      const delaySeconds = delays.get(group) ?? (await run(record, signal, options));
      if (delaySeconds === undefined) continue;
      delays.set(group, delaySeconds);
      failures.push(record);
      await delay(record, delaySeconds, options);
    }
    return { batchItemFailures: failures.map(({ messageId }) => ({ itemIdentifier: messageId })) };
  };
}

/** Never rejects. @returns The retry's delay in seconds; `undefined` when the job is done. */
async function run<Job>(
  record: SqsRecord,
  signal: AbortSignal,
  options: SqsJobConsumerOptions<Job>,
): Promise<number | undefined> {
  const { messageId } = record;
  try {
    await options.run(options.parse(record.body), signal);
    return undefined;
  } catch (error) {
    const policy = { ...DEFAULT_RETRY_POLICY, ...options.retries };
    const retryAfterSeconds = retryDelaySeconds(error, record.attributes.ApproximateReceiveCount, policy);
    const groupId = record.attributes.MessageGroupId;
    const fields = { messageId, groupId, retryAfterSeconds, ...errorFields(error) };
    options.log.error("queue:job-failed", fields, { JobFailures: 1 });
    return retryAfterSeconds;
  }
}

/** Else the message and its group would wait for the queue's visibility timeout, which is longer than any sync. */
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
