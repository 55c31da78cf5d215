/** A list of refs asked for without the advertisement before it. */
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import {
  answerUnmeasured,
  pkt,
  REFS,
  serve,
  servingLists,
  upstreamAt,
  V2,
  V2_LIST,
} from "../../support/primary-server.ts";

const KNOWN = ["agent=git/2", "ls-refs=unborn", "fetch=shallow"];

/** @param answer - To a command without an advertisement before it. */
async function listedWith(answer: (response: ServerResponse) => void) {
  const asked: string[] = [];
  const url = await serve((request, response) => {
    asked.push(`${request.method}`);
    if (request.method === "POST" && !asked.includes("GET")) answer(response);
    else servingLists(V2, V2_LIST)(request, response);
  });
  return {
    asked,
    outcome: await upstreamAt(url)
      .listRefs(KNOWN)
      .catch((error: unknown) => error),
  };
}

test("with the capabilities of the last list, the next one takes one request", async () => {
  const { asked, outcome } = await listedWith((response) => answerUnmeasured(response, "result", V2_LIST));
  expect(asked).toEqual(["POST"]);
  expect(outcome).toMatchObject({ protocol: 2, refs: REFS, capabilities: KNOWN });
});

test.each([
  [
    "an error in git's words",
    (response: ServerResponse) => answerUnmeasured(response, "result", pkt("ERR expected want")),
  ],
  ["nothing", (response: ServerResponse) => answerUnmeasured(response, "result", Buffer.alloc(0))],
  ["no refs at all", (response: ServerResponse) => answerUnmeasured(response, "result", pkt())],
  ["400", (response: ServerResponse) => void response.writeHead(400).end()],
  ["a redirect", (response: ServerResponse) => void response.writeHead(301, { location: "/x" }).end()],
])("a server that answers the command with %s is asked for its capabilities again", async (_, answer) => {
  const { asked, outcome } = await listedWith(answer);
  expect(asked.slice(-2)).toEqual(["GET", "POST"]);
  expect(outcome).toMatchObject({ protocol: 2, refs: REFS });
});

test.each([
  [401, 2, { context: { status: 401 } }],
  [403, 2, { context: { status: 403 } }],
  [404, 1, { name: "NotFoundError" }],
  [429, 1, { retryable: true, context: { status: 429 } }],
  [500, 2, { retryable: true, context: { status: 500 } }],
  [503, 2, { retryable: true, context: { status: 503 } }],
])("%i is an answer: as many requests as without the capabilities, %i", async (status, count, expected) => {
  const { asked, outcome } = await listedWith((response) => void response.writeHead(status).end());
  expect(asked).toEqual(Array(count).fill("POST"));
  expect(outcome).toMatchObject(expected);
});

test("a connection that breaks is tried again, and its capabilities are not asked for", async () => {
  const { asked, outcome } = await listedWith((response) => void response.destroy());
  expect(asked).toEqual(["POST", "POST"]);
  expect(outcome).toMatchObject({ name: "UpstreamError", retryable: true });
});
