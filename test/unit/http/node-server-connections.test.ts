/** Connections to a server on Node.js: how many there may be, how long, and how they end. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { parseAddressRanges } from "../../../lib/address-ranges.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import type { HttpRequest } from "../../../lib/http/message.ts";
import { startNodeServer } from "../../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { endlessBody, openSocket, serve } from "../../support/node-servers.ts";

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
  test("of thousands in one write some dozens are parsed before the connection is cut", async () => {
    let parsedCount = 0;
    const count = () => {
      parsedCount += 1;
    };
    // Published by node:http for each request that it has parsed.
    subscribe("http.server.request.start", count);
    const server = await serve(async () => textResponse(404, "not found"));
    const socket = await openSocket(server);
    socket.on("error", () => undefined);
    const closed = once(socket, "close");
    socket.resume();
    socket.write("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2_000));
    await closed;
    unsubscribe("http.server.request.start", count);
    expect(parsedCount).toBeGreaterThan(5);
    expect(parsedCount).toBeLessThan(100);
  });

  test("that wait are answered in turn, however their bytes are cut", async () => {
    const bodyBytes: number[] = [];
    const server = await serve(async ({ body }) => {
      let bytes = 0;
      for await (const chunk of body) bytes += chunk.length;
      bodyBytes.push(bytes);
      return textResponse(200, `${bytes}`);
    });
    const socket = await openSocket(server);
    const post = (bytes: number) =>
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
    const last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.end(post(5_000) + post(0) + post(100_000) + last);
    await text(socket);
    expect(bodyBytes).toEqual([5_000, 0, 100_000, 0]);
  });

  test("in chunks of a byte leave turns of the event loop to others", async () => {
    let bodyBytes = 0;
    const server = await serve(async ({ body }) => {
      for await (const chunk of body) bodyBytes += chunk.length;
      return textResponse(200, "ok");
    });
    const sockets = await Promise.all(Array.from({ length: 12 }, () => openSocket(server)));
    const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    for (const socket of sockets) socket.write(`${head}${"1\r\nx\r\n".repeat(30_000)}0\r\n\r\n`);
    const answers = await Promise.all(sockets.map((socket) => text(socket)));
    expect(answers.every((answer) => answer.startsWith("HTTP/1.1 200"))).toBe(true);
    expect(bodyBytes).toBe(12 * 30_000);
  }, 30_000);

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
    // The server resets it, or ends it before that.
    await buffer(socket).catch((error: unknown) => expect(error).toMatchObject({ code: "ECONNRESET" }));
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

test("of callers who leave together 20 requests are aborted in each turn of the event loop", async () => {
  let turn = 0;
  let isOver = false;
  const countTurns = (): void => {
    turn += 1;
    if (!isOver) setImmediate(countTurns);
  };
  countTurns();
  const abortedIn: number[] = [];
  const arrived = Promise.withResolvers<void>();
  let count = 0;
  const server = await serve(({ signal }) => {
    signal.addEventListener("abort", () => abortedIn.push(turn));
    count += 1;
    if (count === 120) arrived.resolve();
    return new Promise(() => undefined);
  });
  const sockets = await Promise.all(Array.from({ length: 120 }, () => openSocket(server)));
  for (const socket of sockets) socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await arrived.promise;
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => abortedIn.length, { timeout: 20_000 }).toBe(120);
  isOver = true;
  const counts = abortedIn.map((one) => abortedIn.filter((other) => other === one).length);
  // Those of one call of ours may begin before and after the pacing's own turn.
  expect(Math.max(...counts)).toBeLessThanOrEqual(40);
});
