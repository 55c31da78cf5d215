import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { parseAddressRanges } from "../../../lib/address-ranges.ts";
import { ProtocolError } from "../../../lib/errors.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import type { HttpHandler, HttpRequest } from "../../../lib/http/message.ts";
import { type NodeServer, type NodeServerOptions, startNodeServer } from "../../../lib/http/node-server.ts";
import { type Logger, SILENT_LOGGER } from "../../../lib/log.ts";

const CHUNK = new Uint8Array(64 * 1024).fill(1);
const running: NodeServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function serve(handler: HttpHandler, options: Partial<NodeServerOptions> = {}): Promise<NodeServer> {
  const server = await startNodeServer(handler, { log: SILENT_LOGGER, closeGraceMs: 100, ...options });
  running.push(server);
  return server;
}

/** Endless chunks, counted; `ended` resolves when the consumer lets go of them. */
function endlessBody() {
  const state = { pulledChunks: 0, ended: Promise.withResolvers<void>() };
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        state.pulledChunks += 1;
        yield CHUNK;
      }
    } finally {
      state.ended.resolve();
    }
  }
  return { state, body: chunks() };
}

async function openSocket(server: NodeServer): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

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

describe("a connection on which nothing moves", () => {
  test("is cut while the handler works, and the handler's signal is aborted", async () => {
    const aborted = Promise.withResolvers<void>();
    const server = await serve(
      ({ signal }) => {
        signal.addEventListener("abort", () => aborted.resolve());
        return new Promise(() => undefined);
      },
      { idleTimeoutMs: 200 },
    );
    const socket = await openSocket(server);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await text(socket)).toBe("");
    await aborted.promise;
  });

  test("is cut by the handler, where others need what a reader that has stopped uses", async () => {
    const { state, body } = endlessBody();
    const requests: HttpRequest[] = [];
    const server = await serve(async (request) => {
      requests.push(request);
      return { status: 200, headers: {}, body };
    });
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "readable");
    requests[0]?.cut?.();
    await state.ended.promise;
    expect(requests[0]?.signal.aborted).toBe(true);
    socket.resume();
    await closed;
  });

  test("is cut when the caller stops reading, and the body is let go", async () => {
    const { state, body } = endlessBody();
    const server = await serve(async () => ({ status: 200, headers: {}, body }), { idleTimeoutMs: 200 });
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await state.ended.promise;
    socket.destroy();
  });
});

describe("pipelined requests", () => {
  test("are served one after the other, and answered in order", async () => {
    let running = 0;
    let mostRunning = 0;
    const server = await serve(async ({ path }) => {
      mostRunning = Math.max(mostRunning, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return textResponse(200, `answer ${path}`);
    });
    const socket = await openSocket(server);
    const last = "GET /5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.write([1, 2, 3, 4].map((n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n\r\n`).join(""));
    await new Promise((resolve) => setImmediate(resolve));
    socket.write(last);
    const answers = (await text(socket)).match(/answer \/\d/g);
    expect(answers).toEqual([1, 2, 3, 4, 5].map((n) => `answer /${n}`));
    expect(mostRunning).toBe(1);
  });

  test("beyond a few cut the connection, and are not started", async () => {
    let startedCount = 0;
    const aborted = Promise.withResolvers<void>();
    const server = await serve(({ signal }) => {
      startedCount += 1;
      signal?.addEventListener("abort", () => aborted.resolve());
      return new Promise(() => undefined);
    });
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100));
    socket.resume();
    await closed;
    await aborted.promise;
    expect(startedCount).toBe(1);
  });
});

test("a request that takes too long is cut, but not where long uploads are expected", async () => {
  const server = await serve(async ({ body }) => textResponse(200, `${(await buffer(body)).length}`), {
    requestTimeoutMs: 300,
    isLongUpload: (path) => path === "/long",
  });
  const send = async (path: string) => {
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 12\r\n\r\n`);
    // A cut connection may be reset: it has no answer.
    const answer = text(socket).catch(() => "");
    for (let bytes = 0; bytes < 12; bytes++) {
      socket.write(".");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return answer;
  };
  const [long, other] = await Promise.all([send("/long"), send("/other")]);
  expect(long).toMatch(/^HTTP\/1.1 200 .*\r\n\r\n12\n$/s);
  expect(other).not.toContain("200");
});

async function* failingBody(chunksBefore: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let index = 0; index < chunksBefore; index++) yield CHUNK;
  throw new Error("the store broke");
}

describe("close", () => {
  test("lets a running request finish and ends its connection", async () => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = await startNodeServer(
      async () => {
        started.resolve();
        await release.promise;
        return textResponse(200, "late");
      },
      { log: SILENT_LOGGER, closeGraceMs: 60_000 },
    );
    const response = fetch(server.url);
    await started.promise;
    const closed = server.close();
    await expect(fetch(server.url)).rejects.toThrow();
    release.resolve();
    expect(await (await response).text()).toBe("late\n");
    await closed;
  });

  test("cuts what still runs after the grace time", async () => {
    const { body } = endlessBody();
    const server = await startNodeServer(async () => ({ status: 200, headers: {}, body }), {
      log: SILENT_LOGGER,
      closeGraceMs: 50,
    });
    const socket = await openSocket(server);
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "readable");
    await server.close();
    await buffer(socket).catch(() => undefined);
    expect(socket.destroyed).toBe(true);
  });

  test("does not wait for idle connections, and may be called twice", async () => {
    const server = await startNodeServer(async () => textResponse(200, "ok"), {
      log: SILENT_LOGGER,
      closeGraceMs: 60_000,
    });
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    await server.close();
    await server.close();
  });
});

describe("connections", () => {
  const answerOn = async (socket: Socket) => {
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    const [first] = (await once(socket, "data")) as [Buffer];
    return first.toString().split("\r\n")[0];
  };

  test("of one address are half of all, and further ones get 503", async () => {
    const server = await serve(async () => textResponse(200, "ok"), { maxConnections: 10 });
    const sockets = [];
    for (let count = 0; count < 5; count++) sockets.push(await openSocket(server));
    const refused = await openSocket(server);
    refused.on("error", () => undefined);
    expect(await text(refused)).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 10/);
    for (const socket of sockets) {
      expect(await answerOn(socket)).toBe("HTTP/1.1 200 OK");
      socket.destroy();
    }
    await expect.poll(async () => (await fetch(server.url)).status).toBe(200);
  });

  test("of a trusted proxy are as many as there may be, and an idle one gives way to a new one", async () => {
    const trustedProxies = parseAddressRanges(["127.0.0.1"]);
    const server = await serve(async ({ remoteAddress = "" }) => textResponse(200, remoteAddress), {
      maxConnections: 4,
      trustedProxies,
    });
    const sockets = [];
    for (let count = 0; count < 4; count++) sockets.push(await openSocket(server));
    const closed = once(sockets[0] as Socket, "close");
    const headers = { "x-forwarded-for": "203.0.113.9", connection: "close" };
    expect(await (await fetch(server.url, { headers })).text()).toBe("203.0.113.9\n");
    await closed;
    for (const socket of sockets) socket.destroy();
  });

  test("that all serve requests give way to none", async () => {
    const end = Promise.withResolvers<void>();
    const trustedProxies = parseAddressRanges(["127.0.0.1"]);
    const server = await serve(
      async () => {
        await end.promise;
        return textResponse(200, "ok");
      },
      { maxConnections: 3, trustedProxies },
    );
    const sockets = [];
    for (let count = 0; count < 3; count++) sockets.push(await openSocket(server));
    const answers = sockets.map(answerOn);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const refused = await openSocket(server);
    refused.on("error", () => undefined);
    expect(await text(refused)).toMatch(/^HTTP\/1.1 503 /);
    end.resolve();
    expect(await Promise.all(answers)).toEqual(Array(3).fill("HTTP/1.1 200 OK"));
    for (const socket of sockets) socket.destroy();
  });
});
