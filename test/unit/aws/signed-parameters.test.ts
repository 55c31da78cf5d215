/** Parameters of SSM, which answers 400 to what is more than its rate. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { AwsRequests, signedParameters } from "../../../lib/aws/aws-requests.ts";

const VALUE = { status: 200, body: { Parameter: { Value: "secret" } } };
const THROTTLED = { status: 400, body: { __type: "ThrottlingException", message: "Rate exceeded" } };
const DENIED = { status: 400, body: { __type: "AccessDeniedException", message: "not yours" } };
const NONE = { status: 400, body: { __type: "com.amazonaws.ssm#ParameterNotFound" } };

/** @param answers - One for each request; the last one for all further ones. */
async function parameters(...answers: readonly { readonly status: number; readonly body: object }[]) {
  const state = { requests: 0 };
  const server = createServer((_, response) => {
    const { status, body } = answers[Math.min(state.requests++, answers.length - 1)] ?? NONE;
    response.writeHead(status).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  const access = {
    region: "eu-west-1",
    credentials: { accessKeyId: "id", secretAccessKey: "key" },
    endpoints: { ssm: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
  };
  return { state, read: signedParameters(new AwsRequests(access)) };
}

test("a throttled read is repeated", async () => {
  const { state, read } = await parameters(THROTTLED, THROTTLED, VALUE);
  expect(await read("/nearside/token")).toBe("secret");
  expect(state.requests).toBe(3);
});

test("five tries, and the error says why", async () => {
  const { state, read } = await parameters(THROTTLED);
  await expect(read("/nearside/token")).rejects.toThrow("SSM answers 400 ThrottlingException: Rate exceeded");
  expect(state.requests).toBe(5);
});

test("no other refusal is repeated", async () => {
  const denied = await parameters(DENIED);
  await expect(denied.read("/nearside/token")).rejects.toThrow("AccessDeniedException");
  const missing = await parameters(NONE);
  expect(await missing.read("/nearside/token")).toBeUndefined();
  expect([denied.state.requests, missing.state.requests]).toEqual([1, 1]);
});
