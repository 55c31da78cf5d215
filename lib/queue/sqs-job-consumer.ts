/**
 * Runs the jobs that Lambda takes from an SQS FIFO queue. A job that fails comes again after a delay that grows, and
 * after the queue's last try goes to its dead-letter queue. Jobs of the same group that follow it must wait for it.
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
  /** @throws {Error} Not a job: it can only go to the dead-letter queue. */
  readonly parse: (body: string) => Job;
  /** `signal` aborts shortly before Lambda would end the process. */
  readonly run: (job: Job, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** How many tries there are is the queue's own setting. */
  readonly retries?: Pick<RetryPolicy, "firstRetrySeconds">;
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
  attributes: z.object({
    ApproximateReceiveCount: z.coerce.number().int().positive(),
    MessageGroupId: z.string(),
  }),
});

type SqsRecord = z.infer<typeof recordSchema>;

const eventSchema = z.object({ Records: z.array(recordSchema) });

/** What is left for putting an interrupted job back. */
const LAST_STEPS_MS = 15_000;

export function sqsJobConsumer<Job>(
  options: SqsJobConsumerOptions<Job>,
): (event: unknown, context: InvocationContext) => Promise<BatchResult> {
  return async (event, context) => {
    const { Records: records } = eventSchema.parse(event);
    const signal = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - LAST_STEPS_MS));
    /** By group, how long its first failed message waits. */
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

/** Never rejects. @returns After how many seconds to try again; `undefined` when it is done. */
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
    options.log.error("queue:job-failed", { messageId, retryAfterSeconds, ...errorFields(error) });
    return retryAfterSeconds;
  }
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
