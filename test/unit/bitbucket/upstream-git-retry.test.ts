/** Requests to the primary's git server that break: repeated once, on a new connection, where nothing was read of the answer. */
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { UpstreamError } from "../../../lib/errors.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { encodePktLine } from "../../../lib/git/pktline.ts";
import { collect } from "../../support/byte-chunks.ts";
import {
  answerUnmeasured,
  type Handler,
  ID,
  REFS,
  serve,
  servingLists,
  upstreamAt,
  V2,
  V2_LIST,
} from "../../support/primary-server.ts";

type Fault = (response: ServerResponse) => void;

const FAULTS: readonly [string, Fault][] = [
  ["a reset before the headers", ({ socket }) => void socket?.resetAndDestroy()],
  ["a reset after the headers", resetAfterHeaders],
  ["a 500", (response) => void response.writeHead(500).end("<html>")],
];

function resetAfterHeaders(response: ServerResponse): void {
  const kind = response.req.method === "GET" ? "advertisement" : "result";
  response.writeHead(200, { "Content-Type": `application/x-git-upload-pack-${kind}`, "Content-Length": 100 });
  response.flushHeaders();
  setTimeout(() => response.socket?.resetAndDestroy(), 20);
}

/** Serves `handler`; the requests whose places are given fail. @returns What was asked, one line each. */
async function serveWithFaults(handler: Handler, places: readonly number[], fault: Fault) {
  const seen: string[] = [];
  const url = await serve((request, response) => {
    seen.push(`${request.method}`);
    return places.includes(seen.length) ? fault(response) : handler(request, response);
  });
  return { url, seen };
}

test.each(FAULTS)(
  "%s in a list is repeated once, at once, for each of its requests",
  async (_name, fault) => {
    const { url, seen } = await serveWithFaults(servingLists(V2, V2_LIST), [1, 3], fault);
    expect((await upstreamAt(url).listRefs()).refs).toEqual(REFS);
    expect(seen).toEqual(["GET", "GET", "POST", "POST"]);
  },
);

test("a list that is cut is repeated once", async () => {
  const cut: Fault = (response) => answerUnmeasured(response, "advertisement", V2.subarray(0, -4));
  const { url, seen } = await serveWithFaults(servingLists(V2, V2_LIST), [1], cut);
  expect((await upstreamAt(url).listRefs()).refs).toEqual(REFS);
  expect(seen).toEqual(["GET", "GET", "POST"]);
});

const FETCH = { protocol: 0 as const, wants: [parseObjectId(ID)], haves: [] };
const PACK_ANSWER = Buffer.concat([encodePktLine("NAK\n"), Buffer.from("PACKETS")]);
const servingPack: Handler = (_request, response) => answerUnmeasured(response, "result", PACK_ANSWER);

test.each(FAULTS)("%s before the first byte of a pack is repeated once", async (_name, fault) => {
  const good = await serveWithFaults(servingPack, [], fault);
  const expected = await collect(upstreamAt(good.url).fetchPack(FETCH)).catch(String);
  const { url, seen } = await serveWithFaults(servingPack, [1], fault);
  expect(await collect(upstreamAt(url).fetchPack(FETCH)).catch(String)).toEqual(expected);
  expect(seen).toEqual(["POST", "POST"]);
});

test("a reset after the first byte of a pack is not repeated", async () => {
  const { url, seen } = await serveWithFaults(servingPack, [1], (response) => {
    response.writeHead(200, { "Content-Type": "application/x-git-upload-pack-result" });
    response.write(PACK_ANSWER.subarray(0, 8));
    setTimeout(() => response.socket?.resetAndDestroy(), 20);
  });
  await expect(collect(upstreamAt(url).fetchPack(FETCH))).rejects.toThrow(UpstreamError);
  expect(seen).toEqual(["POST"]);
});
