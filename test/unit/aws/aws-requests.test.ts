/** Requests to AWS: when they end, and how often they are made. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, expect, test } from "vitest";
import { AwsRequests } from "../../../lib/aws/aws-requests.ts";
import { invokeFunction } from "../../../lib/aws/invoke-function.ts";

let server: Server | undefined;
let requestCount = 0;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function requestsTo(answer: RequestListener): Promise<{ requests: AwsRequests; url: string }> {
  requestCount = 0;
  const started = createServer((request, response) => {
    requestCount += 1;
    answer(request, response);
  });
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
  const access = { region: "eu-west-1", credentials, endpoints: { lambda: url } };
  return { requests: new AwsRequests(access), url };
}

test("a request ends at its time although garbage was collected meanwhile", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const { requests, url } = await requestsTo(() => undefined);
  const sent = requests.send("s3", url, { method: "GET", signal: AbortSignal.timeout(500) });
  const ended = expect(sent).rejects.toMatchObject({ name: "TimeoutError" });
  await sleep(100);
  collectGarbage();
  await ended;
});

test("after a 5xx a request is made up to three times more; after a broken connection once", async () => {
  const failing = await requestsTo((_, response) => response.writeHead(500).end());
  expect((await failing.requests.send("s3", failing.url, { method: "GET" })).status).toBe(500);
  expect(requestCount).toBe(4);
  server?.close();
  const broken = await requestsTo((request) => request.socket.destroy());
  await expect(broken.requests.send("s3", broken.url, { method: "GET" })).rejects.toThrow("fetch failed");
  expect(requestCount).toBe(2);
});

test.each<[string, RequestListener, string]>([
  ["breaks the connection", (request) => request.socket.destroy(), "it may have been done"],
  ["answers 500", (_, response) => response.writeHead(500).end(), "it may have been done"],
  [
    "answers that the function failed",
    (_, response) => response.writeHead(200, { "x-amz-function-error": "Unhandled" }).end("{}"),
    "it may have been done",
  ],
  ["answers no JSON", (_, response) => response.end("<html>"), "it may have been done"],
])(
  "a function is called once where Lambda %s, and the error says that it may have run",
  async (_, answer, message) => {
    const { requests } = await requestsTo(answer);
    const called = invokeFunction(requests, "Administer", {});
    await expect(called).rejects.toMatchObject({
      code: "OVERLOADED",
      message: expect.stringContaining(message),
    });
    await expect(called).rejects.not.toThrow("Administer");
    expect(requestCount).toBe(1);
  },
);

test("where too many calls run, nothing was done, and it is tried again", async () => {
  const { requests } = await requestsTo((_, response) => response.writeHead(429).end());
  await expect(invokeFunction(requests, "Administer", {})).rejects.toThrow("nothing was done");
  expect(requestCount).toBe(4);
});
