/** Pushes that are passed through to the primary: what it gets, what the caller gets, and what a broken connection means. */
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as openRequest,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseAddressRanges } from "../../../lib/address-ranges.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { RequestLoad } from "../../../lib/git-http/request-load.ts";
import { type NodeServer, startNodeServer } from "../../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { type MirrorConfig, mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { RetryBudget } from "../../../lib/retry-read.ts";

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  body: Buffer;
}

let primary: Server;
let mirror: NodeServer;
let seen: Seen[];
let pushed: unknown[];
let config: MirrorConfig;
let maxIdleMs: number;
/** Of the limits of bodies that arrive slowly. */
let nowMs: number;
/** What the primary does with a request. */
let answer: (request: IncomingMessage, response: ServerResponse, seen: Seen) => Promise<void> | void;

beforeEach(async () => {
  seen = [];
  pushed = [];
  config = mirrorConfigOf([{ workspace: "Acme", projects: "all" }]);
  maxIdleMs = 60_000;
  nowMs = 0;
  answer = async (request, response, one) => {
    one.body = await readAll(request);
    response.writeHead(200, RESULT_TYPE).end("0000");
  };
  primary = createServer((request, response) => {
    const one = { method: request.method, url: request.url, headers: request.headers, body: Buffer.alloc(0) };
    seen.push(one);
    void answer(request, response, one);
  });
  primary.listen(0, "127.0.0.1");
  await once(primary, "listening");
  const gitUrl = `http://127.0.0.1:${(primary.address() as AddressInfo).port}`;
  const handler = gitHttp({
    access: async () => ({ kind: "allowed", primaryPath: "acme/a b" }),
    find: async () => undefined,
    push: {
      ...{ kind: "relay", gitUrl, fetch },
      get maxIdleMs() {
        return maxIdleMs;
      },
      readConfig: async () => config,
      retryBudget: new RetryBudget(() => 0),
    },
    onPushed: (asked) => pushed.push(asked),
    load: new RequestLoad(undefined, undefined, () => nowMs),
    log: SILENT_LOGGER,
    agent: "nearside/test",
  });
  const trustedProxies = parseAddressRanges(["127.0.0.1"]);
  mirror = await startNodeServer(handler, { trustedProxies, log: SILENT_LOGGER, closeGraceMs: 0 });
});
afterEach(async () => {
  primary.closeAllConnections();
  await Promise.all([mirror.close(), new Promise((resolve) => primary.close(resolve))]);
});

const REQUEST_TYPE = { "content-type": "application/x-git-receive-pack-request" };
const RESULT_TYPE = { "content-type": "application/x-git-receive-pack-result" };
const AUTHORIZATION = { authorization: "Basic YTpi" };
const REFS = "/acme/site.git/info/refs?service=git-receive-pack";
const PACK = "/acme/site.git/git-receive-pack";
const PACK_AT_PRIMARY = "/acme/a%20b.git/git-receive-pack";

async function readAll(request: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function open(headers: OutgoingHttpHeaders) {
  const request = openRequest(mirror.url + PACK, {
    method: "POST",
    headers: { ...REQUEST_TYPE, ...AUTHORIZATION, ...headers },
  });
  const response = once(request, "response") as Promise<[IncomingMessage]>;
  response.catch(() => undefined);
  request.on("error", () => undefined);
  return { request, response };
}

async function push(body: Uint8Array, headers: OutgoingHttpHeaders = {}) {
  const { request, response } = open(headers);
  request.end(body);
  const [answered] = await response;
  return {
    status: answered.statusCode,
    headers: answered.headers,
    text: (await readAll(answered)).toString("latin1"),
  };
}

test.each([
  ["git's probe", Buffer.from("0000"), { "content-length": "4" }],
  ["a body with a length", Buffer.alloc(5_000, 7), { "content-length": "5000" }],
  ["a body in chunks", Buffer.alloc(300_000, 7), { "transfer-encoding": "chunked" }],
  ["a compressed body", gzipSync(Buffer.alloc(5_000, 7)), { "content-encoding": "gzip" }],
  ["a body after 100 Continue", Buffer.alloc(5_000, 7), { "content-length": "5000", expect: "100-continue" }],
  ["another protocol version", Buffer.from("0000"), { "git-protocol": "version=1" }],
] as const)("the primary gets %s as it was sent", async (_, body, headers) => {
  const result = await push(body, { ...headers, "user-agent": "git/2.55.0", "x-forwarded-for": "10.0.0.1" });
  expect(result).toMatchObject({ status: 200, text: "0000", headers: RESULT_TYPE });
  expect(seen).toHaveLength(1);
  const [{ method, url, headers: got, body: bytes }] = seen as [Seen];
  expect([method, url]).toEqual(["POST", PACK_AT_PRIMARY]);
  expect(bytes.equals(body)).toBe(true);
  const { expect: _expect, "transfer-encoding": _chunked, ...kept } = headers as Record<string, string>;
  expect(got).toMatchObject({ ...REQUEST_TYPE, ...AUTHORIZATION, ...kept, "user-agent": "git/2.55.0" });
  expect(got).not.toHaveProperty("x-forwarded-for");
  expect(got).not.toHaveProperty("expect");
  expect(pushed).toEqual([{ kind: "name", workspace: "acme", slug: "site" }]);
});

test("the list of refs comes from the primary, with its own refusals and challenge", async () => {
  const headers = { ...AUTHORIZATION, "git-protocol": "version=1" };
  answer = (_, response) =>
    void response
      .writeHead(200, { "content-type": "application/x-git-receive-pack-advertisement" })
      .end("refs");
  const listed = await fetch(mirror.url + REFS, { headers });
  expect([listed.status, await listed.text(), listed.headers.get("content-type")]).toEqual([
    200,
    "refs",
    "application/x-git-receive-pack-advertisement",
  ]);
  expect(seen[0]).toMatchObject({
    method: "GET",
    url: "/acme/a%20b.git/info/refs?service=git-receive-pack",
    headers,
  });
  answer = (_, response) =>
    void response
      .writeHead(401, { "www-authenticate": 'Basic realm="B"', "set-cookie": "a=b" })
      .end("expired\n");
  const refused = await fetch(mirror.url + REFS, { headers });
  expect([refused.status, await refused.text(), refused.headers.get("www-authenticate")]).toEqual([
    401,
    "expired\n",
    'Basic realm="B"',
  ]);
  expect(refused.headers.get("set-cookie")).toBeNull();
  expect(pushed).toEqual([]);
});

test.each(["a reset", "a 500"])("the list of refs is asked for once more after %s", async (kind) => {
  answer = (request, response) => {
    if (seen.length > 1) response.writeHead(200, RESULT_TYPE).end("refs");
    else if (kind === "a reset") request.socket.destroy();
    else response.writeHead(500).end();
  };
  expect((await fetch(mirror.url + REFS)).status).toBe(200);
  expect(seen).toHaveLength(2);
});

test("a push is never repeated: git learns that it may have arrived", async () => {
  answer = (request) => void request.socket.destroy();
  const { status, text } = await push(Buffer.alloc(5_000));
  expect([status, text]).toEqual([502, expect.stringMatching(/^the connection to Bitbucket broke, .*\n$/)]);
  expect(seen).toHaveLength(1);
  expect(pushed).toEqual([]);
});

test("a repository that is renamed just now: the caller comes again", async () => {
  answer = (_, response) =>
    void response.writeHead(301, { location: "/acme/other.git/git-receive-pack" }).end();
  const { status, headers } = await push(Buffer.from("0000"));
  expect([status, headers["retry-after"]]).toEqual([503, "60"]);
});

test("a refusal reaches a caller who has not sent everything", async () => {
  answer = (_, response) =>
    void response.writeHead(403, { "content-type": "text/plain" }).end("You have no write access.\n");
  const { request, response } = open({ "transfer-encoding": "chunked" });
  request.write(Buffer.alloc(100_000));
  const [refused] = await response;
  expect([refused.statusCode, String(await readAll(refused))]).toEqual([403, "You have no write access.\n"]);
});

test("both bodies stream: what the primary does not read is not taken, what it says is passed on at once", async () => {
  const sent = 64 * 1024 * 1024;
  let startReading = (): void => undefined;
  const reading = new Promise<void>((resolve) => {
    startReading = resolve;
  });
  answer = async (request, response) => {
    await reading;
    const bytes = (await readAll(request)).length;
    response.writeHead(200, RESULT_TYPE).write(`progress ${bytes}`);
    await pause(50);
    response.end("end");
  };
  const { request, response } = open({ "transfer-encoding": "chunked" });
  const chunk = Buffer.alloc(1024 * 1024);
  let takenBytes = 0;
  const sending = (async () => {
    for (let bytes = 0; bytes < sent; bytes += chunk.length) {
      if (!request.write(chunk)) await once(request, "drain");
      takenBytes += chunk.length;
    }
    request.end();
  })();
  let before = -1;
  // Until nothing moves any more: buffers of sockets are full.
  while (takenBytes !== before) {
    before = takenBytes;
    await pause(300);
  }
  expect(takenBytes).toBeLessThan(32 * 1024 * 1024);
  startReading();
  const [answered] = await response;
  const [first] = (await once(answered, "data")) as [Buffer];
  expect(String(first)).toBe(`progress ${sent}`);
  await sending;
  expect(String(await readAll(answered))).toBe("end");
});

test("a caller who leaves ends the request to the primary", async () => {
  let gone: Promise<unknown> = Promise.resolve();
  const begun = new Promise<void>((resolve) => {
    answer = (request) => {
      gone = new Promise((resolve) => request.on("close", resolve));
      request.on("error", () => undefined).resume();
      resolve();
    };
  });
  const { request } = open({ "transfer-encoding": "chunked" });
  request.write("0000");
  await begun;
  request.destroy();
  await gone;
  expect(pushed).toEqual([]);
});

test("an answer that the primary cuts is cut for the caller", async () => {
  answer = async (request, response) => {
    await readAll(request);
    response.writeHead(200, RESULT_TYPE).write("0010");
    await pause(20);
    response.destroy();
  };
  await expect(push(Buffer.from("0000"))).rejects.toThrow("aborted");
});

test.each(["another workspace", "a removed workspace"])(
  "a push to %s is not passed through",
  async (kind) => {
    const removedAt = "2026-01-01T00:00:00.000Z";
    config = mirrorConfigOf([
      kind === "another workspace"
        ? { workspace: "acme2", projects: "all" }
        : { workspace: "acme", projects: "all", removedAt },
    ]);
    const { status, text } = await push(Buffer.from("0000"));
    expect([status, text]).toEqual([403, expect.stringContaining("/acme/a%20b.git")]);
    expect((await fetch(mirror.url + REFS, { headers: AUTHORIZATION })).status).toBe(403);
    expect(seen).toEqual([]);
  },
);

test("one caller has eight pushes at a time, and others do not wait for them", async () => {
  const held: ServerResponse[] = [];
  answer = async (request, response) => {
    await readAll(request);
    if (request.headers.authorization === AUTHORIZATION.authorization) held.push(response);
    else response.writeHead(200, RESULT_TYPE).end("0000");
  };
  const pushes = Array.from({ length: 10 }, () => push(Buffer.from("0000")));
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(8);
  expect(await push(Buffer.from("0000"), { authorization: "Basic Yzpk" })).toMatchObject({ status: 200 });
  expect(held).toHaveLength(8);
  for (const response of held.splice(0)) response.writeHead(200, RESULT_TYPE).end("0000");
  await expect.poll(() => held.length, { timeout: 20_000 }).toBe(2);
  for (const response of held) response.writeHead(200, RESULT_TYPE).end("0000");
  expect((await Promise.all(pushes)).map(({ status }) => status)).toEqual(Array(10).fill(200));
});

test("where pushes of many callers use up all places, one that sends next to nothing is cut for another one", async () => {
  const receivedBytes: number[] = [];
  let cutCount = 0;
  answer = async (request, response) => {
    const index = receivedBytes.push(0) - 1;
    request.on("close", () => {
      if (!request.complete) cutCount += 1;
    });
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => {
      receivedBytes[index] = (receivedBytes[index] ?? 0) + chunk.length;
    });
    request.on("end", () => response.writeHead(200, RESULT_TYPE).end("0000"));
  };
  const caller = (number: number) => ({
    authorization: `Basic ${btoa(`user-${number}:token-${number}`)}`,
    "x-forwarded-for": `192.0.2.${number}`,
  });
  const pushes = Array.from({ length: 64 }, (_, number) =>
    open({ ...caller(number), "transfer-encoding": "chunked" }),
  );
  for (const { request } of pushes) request.write("0000");
  await expect.poll(() => receivedBytes.length, { timeout: 20_000 }).toBe(64);
  const other = push(Buffer.from("0000"), caller(100));
  nowMs += 50_000;
  const [steady, ...slow] = pushes;
  steady?.request.write(Buffer.alloc(2_000_000));
  await expect.poll(() => Math.max(...receivedBytes), { timeout: 20_000 }).toBe(2_000_004);
  expect([cutCount, receivedBytes.length]).toEqual([0, 64]);
  nowMs += 20_000;
  const [refused] = await Promise.race(slow.map(({ response }) => response));
  expect([refused.statusCode, refused.headers["retry-after"], String(await readAll(refused))]).toEqual([
    503,
    "10",
    expect.stringContaining("arrives slowly"),
  ]);
  expect(await other).toMatchObject({ status: 200 });
  expect(cutCount).toBe(1);
  steady?.request.end();
  expect((await steady?.response)?.[0].statusCode).toBe(200);
});

test("a push that sends nothing any more ends, here and at the primary", async () => {
  maxIdleMs = 200;
  const gone = new Promise((resolve) => {
    answer = (request) => {
      request.on("error", () => undefined).on("close", resolve);
      request.resume();
    };
  });
  const { request, response } = open({ "transfer-encoding": "chunked" });
  request.write("0000");
  const [{ statusCode }] = await response;
  expect(statusCode).toBe(408);
  await gone;
});

test("a push waits for a primary that reads slowly", async () => {
  maxIdleMs = 1_000;
  answer = async (request, response) => {
    await pause(2 * maxIdleMs);
    const bytes = (await readAll(request)).length;
    response.writeHead(200, RESULT_TYPE).end(String(bytes));
  };
  const sentBytes = 32 * 1024 * 1024;
  expect(await push(Buffer.alloc(sentBytes))).toMatchObject({ status: 200, text: String(sentBytes) });
});

test("the lists that are asked for once more are limited in all", async () => {
  answer = (_, response) => void response.writeHead(500).end();
  for (let asked = 0; asked < 20; asked += 1) await fetch(mirror.url + REFS, { headers: AUTHORIZATION });
  expect(seen.length).toBeLessThan(35);
});
