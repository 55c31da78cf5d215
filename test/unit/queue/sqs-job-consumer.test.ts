import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { sqsJobConsumer } from "../../../lib/queue/sqs-job-consumer.ts";

const QUEUE_URL = "http://queue.example/000000000000/sync.fifo";
const CONTEXT = { getRemainingTimeInMillis: () => 900_000 };

/** Stands where SQS does, and keeps what it is asked. */
const sqsRequests: unknown[] = [];
let sqsStatus = 200;
const sqs = createServer((incoming, outgoing) => {
  void text(incoming).then((body) => {
    const { "x-amz-target": operation } = incoming.headers;
    sqsRequests.push({ operation, ...JSON.parse(body) });
    outgoing.writeHead(sqsStatus, { "content-type": "application/x-amz-json-1.0" }).end("{}");
  });
});
let client: SQSClient;

beforeAll(async () => {
  sqs.listen(0, "127.0.0.1");
  await once(sqs, "listening");
  client = new SQSClient({
    endpoint: `http://127.0.0.1:${(sqs.address() as AddressInfo).port}`,
    // The queue's URL would take the endpoint's place.
    useQueueUrlAsEndpoint: false,
    region: "us-east-1",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    maxAttempts: 1,
  });
});

beforeEach(() => {
  sqsRequests.length = 0;
  sqsStatus = 200;
});

afterAll(() => {
  client.destroy();
  sqs.close();
});

function event(...messages: { id: string; body: string; receiveCount?: number; group?: string }[]): unknown {
  return {
    Records: messages.map(({ id, body, receiveCount = 1, group = "group" }) => ({
      messageId: id,
      receiptHandle: `handle of ${id}`,
      body,
      attributes: { ApproximateReceiveCount: String(receiveCount), MessageGroupId: group },
      eventSource: "aws:sqs",
    })),
  };
}

function consumer(run: (job: string, signal: AbortSignal) => Promise<void>) {
  const parse = (body: string): string => {
    if (body === "garbage") throw new Error("not a job");
    return body;
  };
  return sqsJobConsumer({ client, queueUrl: QUEUE_URL, parse, run, log: SILENT_LOGGER });
}

function delayRequest(id: string, seconds: number): unknown {
  return {
    operation: "AmazonSQS.ChangeMessageVisibility",
    QueueUrl: QUEUE_URL,
    ReceiptHandle: `handle of ${id}`,
    VisibilityTimeout: seconds,
  };
}

test("a job that succeeds is done with", async () => {
  const done: string[] = [];
  const consume = consumer(async (job) => void done.push(job));
  expect(await consume(event({ id: "1", body: "a" }, { id: "2", body: "b" }), CONTEXT)).toEqual({
    batchItemFailures: [],
  });
  expect(done).toEqual(["a", "b"]);
  expect(sqsRequests).toEqual([]);
});

test("what follows a failed job comes again with it, in order", async () => {
  const tried: string[] = [];
  const consume = consumer(async (job) => {
    tried.push(job);
    if (job === "b") throw new Error("failed");
  });
  const batch = event({ id: "1", body: "a" }, { id: "2", body: "b" }, { id: "3", body: "c" });
  expect(await consume(batch, CONTEXT)).toEqual({
    batchItemFailures: [{ itemIdentifier: "2" }, { itemIdentifier: "3" }],
  });
  expect(tried).toEqual(["a", "b"]);
  expect(sqsRequests).toEqual([delayRequest("2", 30), delayRequest("3", 30)]);
});

test("jobs of other groups are not held up by the failed one, nor counted as tried", async () => {
  const tried: string[] = [];
  const consume = consumer(async (job) => {
    tried.push(job);
    if (job === "a") throw new Error("failed");
  });
  const batch = event({ id: "1", body: "a", group: "one" }, { id: "2", body: "b", group: "two" });
  expect(await consume(batch, CONTEXT)).toEqual({ batchItemFailures: [{ itemIdentifier: "1" }] });
  expect(tried).toEqual(["a", "b"]);
});

describe("a failed job comes again", () => {
  test.each([
    { receiveCount: 1, seconds: 30 },
    { receiveCount: 2, seconds: 120 },
    { receiveCount: 3, seconds: 480 },
    { receiveCount: 4, seconds: 900 },
    { receiveCount: 400, seconds: 900 },
  ])("after try $receiveCount in $seconds s", async ({ receiveCount, seconds }) => {
    const consume = consumer(() => Promise.reject(new Error("failed")));
    await consume(event({ id: "1", body: "a", receiveCount }), CONTEXT);
    expect(sqsRequests).toEqual([delayRequest("1", seconds)]);
  });

  test("not before the primary wants to be asked again", async () => {
    const consume = consumer(() =>
      Promise.reject(new UpstreamError("429", { retryable: true, retryAfterSeconds: 71.5 })),
    );
    await consume(event({ id: "1", body: "a" }), CONTEXT);
    expect(sqsRequests).toEqual([delayRequest("1", 72)]);
  });

  test("also when SQS refuses the delay", async () => {
    sqsStatus = 500;
    const consume = consumer(() => Promise.reject(new Error("failed")));
    expect(await consume(event({ id: "1", body: "a" }), CONTEXT)).toEqual({
      batchItemFailures: [{ itemIdentifier: "1" }],
    });
  });
});

test("a message that is no job counts as failed, so that it ends in the dead-letter queue", async () => {
  const consume = consumer(async () => undefined);
  expect(await consume(event({ id: "1", body: "garbage" }), CONTEXT)).toEqual({
    batchItemFailures: [{ itemIdentifier: "1" }],
  });
});

test("a job's signal aborts when Lambda's time is nearly up", async () => {
  let isAborted = false;
  const consume = consumer(async (_job, signal) => {
    await once(signal, "abort");
    isAborted = signal.aborted;
  });
  await consume(event({ id: "1", body: "a" }), { getRemainingTimeInMillis: () => 15_050 });
  expect(isAborted).toBe(true);
});
