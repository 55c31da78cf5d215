import { afterAll, beforeAll, describe } from "vitest";
import { AwsRequests } from "../../lib/aws/aws-requests.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { signedSqsQueue } from "../../lib/queue/signed-sqs-queue.ts";
import { sqsJobConsumer } from "../../lib/queue/sqs-job-consumer.ts";
import { SqsDeadLetters, SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { startEventSource } from "../support/queue/event-source.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";
import { jobQueueContract } from "./job-queue.contract.ts";

const log = SILENT_LOGGER;
const CONTEXT = { getRemainingTimeInMillis: () => 900_000 };

describe("memory", () => {
  jobQueueContract(async ({ run, concurrency, maxTries }) => {
    const queue = new MemoryJobQueue({
      run,
      log,
      concurrency,
      retries: { maxTries, firstRetrySeconds: 0.01 },
    });
    return { queue, deadLetters: queue, drained: () => queue.drained(), close: () => queue.close() };
  });
});

describe.each(["by the SDK", "by signed requests"])("SQS, the test server, %s", (way) => {
  let server: SqsServer;
  beforeAll(async () => {
    server = await startSqsServer();
  });
  afterAll(() => server.close());

  jobQueueContract(async ({ run, concurrency, maxTries }) => {
    const { client } = server;
    const { queueUrl, deadLetterQueueUrl } = await server.createQueues({ maxReceiveCount: maxTries });
    const requests = new AwsRequests({
      region: "eu-west-1",
      credentials: { accessKeyId: "key", secretAccessKey: "secret" },
      endpoints: { sqs: server.endpoint },
    });
    const queue =
      way === "by the SDK" ? new SqsJobQueue(client, queueUrl) : signedSqsQueue(requests, queueUrl);
    const consume = sqsJobConsumer({
      client,
      queueUrl,
      parse: (body) => body,
      run,
      log,
      retries: { firstRetrySeconds: 0 },
    });
    const handler = (event: unknown) => consume(event, CONTEXT);
    const source = startEventSource({ client, queueUrl, handler, concurrency });
    const deadLetters = new SqsDeadLetters(client, deadLetterQueueUrl, queue);
    return { queue, deadLetters, drained: () => source.drained(), close: () => source.close() };
  });
});
