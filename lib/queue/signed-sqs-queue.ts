/** Sends to SQS FIFO by signed requests, for functions that often start cold: the SDK's client is 50 KB of a bundle. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod/mini";
import type { AwsRequests } from "../aws/aws-requests.ts";
import { QueueError } from "../errors.ts";
import { BatchedJobQueue } from "./fifo-batches.ts";
import type { JobQueue } from "./job-queue.ts";

const answerSchema = z.object({
  Failed: z.nullish(
    z.array(
      z.object({
        Id: z.string(),
        Code: z.optional(z.string()),
        Message: z.optional(z.string()),
        SenderFault: z.optional(z.boolean()),
      }),
    ),
  ),
});

const THROTTLED_PAUSE_MS = 200;

/** @returns Its `send` throws a QueueError if SQS refuses the request. */
export function signedSqsQueue(requests: AwsRequests, queueUrl: string): JobQueue {
  const url = `${requests.access.endpoints.sqs ?? new URL(queueUrl).origin}/`;
  return new BatchedJobQueue(async (entries) => {
    const response = await requests.send("sqs", url, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "AmazonSQS.SendMessageBatch",
      },
      body: JSON.stringify({ QueueUrl: queueUrl, Entries: entries }),
    });
    const text = await response.text();
    if (response.ok) return answerSchema.parse(JSON.parse(text)).Failed ?? [];
    if (!/Throttl/.test(text))
      throw new QueueError(`SQS answers ${response.status}`, { text: text.slice(0, 300) });
    await sleep(THROTTLED_PAUSE_MS);
    return entries.map(({ Id }) => ({ Id, Code: "Throttled", Message: "too many requests" }));
  });
}
