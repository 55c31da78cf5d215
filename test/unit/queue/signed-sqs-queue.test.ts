/** What the test server of SQS does not do: it refuses, and limits the rate. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AwsRequests } from "../../../lib/aws/aws-requests.ts";
import { signedSqsQueue } from "../../../lib/queue/signed-sqs-queue.ts";

const MESSAGE = { groupId: "g", dedupId: "d", body: "{}" };
const QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/1/q.fifo";

let answers: { readonly status: number; readonly json: object }[];
let asked: { readonly target: unknown; readonly authorization: unknown }[];
const server = createServer((request, response) => {
  const { "x-amz-target": target, authorization } = request.headers;
  asked.push({ target, authorization });
  const { status, json } = answers.shift() ?? { status: 200, json: {} };
  response.writeHead(status).end(JSON.stringify(json));
});

beforeEach(async () => {
  [answers, asked] = [[], []];
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

function send() {
  const sqs = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  const requests = new AwsRequests({ region: "eu-west-1", credentials, endpoints: { sqs } });
  return signedSqsQueue(requests, QUEUE_URL).send([MESSAGE]);
}

test("a batch is one request, signed for SQS", async () => {
  await send();
  expect(asked).toEqual([
    {
      target: "AmazonSQS.SendMessageBatch",
      authorization: expect.stringContaining("/eu-west-1/sqs/aws4_request"),
    },
  ]);
});

test("a limited rate is retried, and entries that SQS rejects for its own reasons", async () => {
  answers = [
    { status: 400, json: { __type: "com.amazonaws.sqs#RequestThrottled", message: "slow down" } },
    { status: 200, json: { Failed: [{ Id: "0", Code: "InternalError", SenderFault: false }] } },
    { status: 200, json: { Successful: [{ Id: "0" }] } },
  ];
  await send();
  expect(asked).toHaveLength(3);
});

test("a refusal is an error with SQS's words, and is not repeated", async () => {
  answers = [{ status: 400, json: { __type: "com.amazonaws.sqs#QueueDoesNotExist" } }];
  await expect(send()).rejects.toMatchObject({
    message: "SQS answers 400",
    context: { text: expect.stringContaining("QueueDoesNotExist") },
  });
  expect(asked).toHaveLength(1);
});
