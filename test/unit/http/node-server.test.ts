/** What a server on Node.js makes of requests and answers. */
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import type { HttpRequest } from "../../../lib/http/message.ts";
import { type Logger, SILENT_LOGGER } from "../../../lib/log.ts";
import { CHUNK, endlessBody, openSocket, serve } from "../../support/node-servers.ts";

function errorEvents(): { log: Logger; events: string[] } {
  const events: string[] = [];
  return { events, log: { ...SILENT_LOGGER, error: (event) => events.push(event) } };
}

describe("a request", () => {
  test("reaches the handler as it was sent", async () => {
    const seen = Promise.withResolvers<HttpRequest & { bodyText: string }>();
    const server = await serve(async (request) => {
      seen.resolve({ ...request, bodyText: await text(request.body) });
      return textResponse(200, "ok");
    });
    const response = await fetch(`${server.url}/a%20b/c.git?service=x&q=%2F`, {
      method: "POST",
      headers: { "Git-Protocol": "version=2" },
      body: "0000",
    });
    expect(await response.text()).toBe("ok\n");
    const request = await seen.promise;
    expect(request).toMatchObject({ method: "POST", path: "/a%20b/c.git", bodyText: "0000" });
    expect(request.headers).toMatchObject({ "git-protocol": "version=2" });
    expect([...request.query]).toEqual([
      ["service", "x"],
      ["q", "/"],
    ]);
  });

  test.each([
    ["http://mirror.example/a%20b/c.git?q=1", "/a%20b/c.git", "1"],
    ["HTTPS://user@[::1]:80/a", "/a", null],
    ["http://mirror.example?q=1", "/", "1"],
  ])("for %s is one for its path", async (target, path, q) => {
    const server = await serve(async (request) =>
      textResponse(200, JSON.stringify([request.path, request.query.get("q")])),
    );
    const socket = await openSocket(server);
    socket.write(`GET ${target} HTTP/1.1\r\nHost: mirror.example\r\nConnection: close\r\n\r\n`);
    expect(await text(socket)).toContain(JSON.stringify([path, q]));
  });

  test("that is refused half-read still gets its answer", async () => {
    const server = await serve(async (request) => {
      for await (const _chunk of request.body) break;
      throw new ProtocolError("too much");
    });
    const response = await fetch(server.url, { method: "POST", body: new Uint8Array(8 * 1024 * 1024) });
    expect(response.status).toBe(400);
    expect(await response.text()).toBe("too much\n");
  });

  test("with an address that is too long gets 414, and a large header 431", async () => {
    const server = await serve(async () => textResponse(200, "ok"));
    expect((await fetch(`${server.url}/${"a".repeat(13_000)}`)).status).toBe(414);
    expect((await fetch(server.url, { headers: { "x-large": "a".repeat(20_000) } })).status).toBe(431);
  });

  test("for what is no path gets 400", async () => {
    const server = await serve(async () => textResponse(200, "ok"));
    const socket = await openSocket(server);
    socket.end("GET elsewhere.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("leaves the connection open for the next one", async () => {
    const server = await serve(async () => textResponse(200, "ok"));
    const socket = await openSocket(server);
    socket.write("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    socket.write("GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("a response", () => {
  test("to HEAD has GET's headers and no body, and the body is let go", async () => {
    const { state, body } = endlessBody();
    const server = await serve(async () => ({ status: 200, headers: { "x-kind": "pack" }, body }));
    const response = await fetch(server.url, { method: "HEAD" });
    expect(response.headers.get("x-kind")).toBe("pack");
    expect(await response.text()).toBe("");
    expect(await body.next()).toEqual({ done: true, value: undefined });
    expect(state.pulledChunks).toBe(0);
  });

  test("is not pulled further than the caller reads", async () => {
    const { state, body } = endlessBody();
    const server = await serve(async () => ({ status: 200, headers: {}, body }));
    const socket = await openSocket(server);
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "readable");
    // Until nothing moves: the kernel's buffers and the stream's are full.
    let before = -1;
    while (before !== state.pulledChunks) {
      before = state.pulledChunks;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(state.pulledChunks).toBeGreaterThan(0);
    expect(state.pulledChunks * CHUNK.length).toBeLessThan(64 * 1024 * 1024);
    socket.destroy();
    await state.ended.promise;
  });

  test("is let go, and the signal aborted, when the caller has gone", async () => {
    const { state, body } = endlessBody();
    const signal = Promise.withResolvers<AbortSignal>();
    const server = await serve(async (request) => {
      signal.resolve(request.signal);
      return { status: 200, headers: {}, body };
    });
    const caller = new AbortController();
    const response = await fetch(server.url, { signal: caller.signal });
    expect((await signal.promise).aborted).toBe(false);
    caller.abort();
    await expect(response.arrayBuffer()).rejects.toThrow();
    await state.ended.promise;
    expect((await signal.promise).aborted).toBe(true);
  });

  test("does not abort the signal when it is complete", async () => {
    const signal = Promise.withResolvers<AbortSignal>();
    const server = await serve(async (request) => {
      signal.resolve(request.signal);
      return textResponse(200, "ok");
    });
    await (await fetch(server.url)).text();
    await server.close();
    expect((await signal.promise).aborted).toBe(false);
  });
});

describe("a failure", () => {
  test.each([
    { where: "in the handler", handler: () => Promise.reject(new Error("a bug")) },
    {
      where: "before the body's first chunk",
      handler: async () => ({ status: 200, headers: {}, body: failingBody(0) }),
    },
  ])("$where is a 500 of one line, and logged", async ({ handler }) => {
    const { log, events } = errorEvents();
    const server = await serve(handler, { log });
    const response = await fetch(server.url);
    expect(response.status).toBe(500);
    expect(await response.text()).toBe("internal error of the mirror\n");
    expect(events).toEqual(["http:failed"]);
  });

  test("after the first chunk cuts the connection, and is logged", async () => {
    const { log, events } = errorEvents();
    const server = await serve(async () => ({ status: 200, headers: {}, body: failingBody(2) }), { log });
    const response = await fetch(server.url);
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
    expect(events).toEqual(["http:response-cut"]);
  });
});

async function* failingBody(chunksBefore: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let index = 0; index < chunksBefore; index++) yield CHUNK;
  throw new Error("the store broke");
}
