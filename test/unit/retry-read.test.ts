import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NotFoundError, UnexpectedAnswerError, UpstreamError } from "../../lib/errors.ts";
import { RetryBudget, readWithRetry } from "../../lib/retry-read.ts";

/** Fails with the given errors, then succeeds. */
function failingWith(...errors: readonly Error[]) {
  const fetches: (typeof fetch)[] = [];
  const read = async (way: typeof fetch): Promise<number> => {
    fetches.push(way);
    const error = errors[fetches.length - 1];
    if (error !== undefined) throw error;
    return fetches.length;
  };
  return { read, fetches };
}

const reset = () => new UpstreamError("reset", { retryable: true });

describe("a read", () => {
  test("that breaks is repeated once, by another way", async () => {
    const { read, fetches } = failingWith(reset());
    expect(await readWithRetry({ fetch }, read)).toBe(2);
    expect(fetches[0]).toBe(fetch);
    expect(fetches[1]).not.toBe(fetch);
  });

  test("that breaks twice fails with the second error", async () => {
    const second = reset();
    const { read, fetches } = failingWith(reset(), second);
    await expect(readWithRetry({ fetch }, read)).rejects.toBe(second);
    expect(fetches).toHaveLength(2);
  });

  test.each([
    ["a 500", new UpstreamError("500", { retryable: true, status: 500 }), 2],
    ["not found", new NotFoundError("not found"), 1],
    ["a refusal", new UpstreamError("401", { retryable: false, status: 401 }), 2],
    ["a removed address", new UpstreamError("410", { retryable: false, status: 410 }), 1],
    ["an answer of another form", new UnexpectedAnswerError("form", { retryable: false }), 1],
    ["a rate limit", new UpstreamError("429", { retryable: true, status: 429 }), 1],
    ["a time to ask again", new UpstreamError("503", { retryable: true, retryAfterSeconds: 5 }), 1],
    ["a timeout", new UpstreamError("silent", { retryable: true, timedOut: true }), 1],
    ["a mistake of ours", new TypeError("undefined is not a function"), 1],
  ])("that ends with %s", async (_name, error, requestCount) => {
    const { read, fetches } = failingWith(error);
    await readWithRetry({ fetch }, read).catch(() => undefined);
    expect(fetches).toHaveLength(requestCount);
  });
});

describe("in an outage", () => {
  async function requestsOf(readCount: number, retryBudget: RetryBudget): Promise<number> {
    let requests = 0;
    const read = async () => {
      requests += 1;
      throw reset();
    };
    for (let i = 0; i < readCount; i++) {
      await readWithRetry({ fetch, retryBudget }, read).catch(() => undefined);
    }
    return requests;
  }

  test("the primary gets a tenth more requests than reads, and ten", async () => {
    expect(await requestsOf(1_000, new RetryBudget(() => 0))).toBeLessThanOrEqual(1_111);
  });

  test("that is long over, reads are repeated again", async () => {
    let nowMs = 0;
    const budget = new RetryBudget(() => nowMs);
    await requestsOf(20, budget);
    expect(await requestsOf(1, budget)).toBe(1);
    nowMs = 60_000;
    expect(await requestsOf(8, budget)).toBe(16);
  });
});

describe("over HTTP", () => {
  let server: Server;
  let url: string;
  let stale: Set<Socket>;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    stale = new Set();
    server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      if (stale.has(request.socket)) request.socket.resetAndDestroy();
      else setTimeout(() => response.end("fine"), 20);
    });
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });

  const readText = async (way: typeof fetch): Promise<string> => {
    try {
      return await (await way(url)).text();
    } catch (cause) {
      throw new UpstreamError("reset", { retryable: true, cause });
    }
  };

  test("the repetition takes a connection of its own, however many stale ones the pool has", async () => {
    await Promise.all(Array.from({ length: 8 }, () => readText(fetch)));
    // The pool takes its connections back a moment after the answers.
    await new Promise((done) => setTimeout(done, 50));
    stale = new Set(sockets);
    expect(stale.size).toBe(8);
    const others: Promise<string>[] = [];
    const read = async (way: typeof fetch) => {
      try {
        return await readText(way);
      } catch (error) {
        // Takes the connection that the pool opens in place of the one that broke.
        others.push(readText(fetch));
        throw error;
      }
    };
    expect(await readWithRetry({ fetch }, read)).toBe("fine");
    expect(await Promise.allSettled(others)).toHaveLength(1);
    // Seven stale ones and the other's are left: it has closed its own.
    await expect.poll(() => sockets.size).toBe(8);
  });
});
