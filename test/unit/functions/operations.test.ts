/** What `/-/metrics` and `/-/health` answer, and to whom. */
import { text } from "node:stream/consumers";
import { expect, test, vi } from "vitest";
import { LocalMetrics, measuringLogger, withOperations } from "../../../functions/local/operations.ts";
import { parseAddressRanges } from "../../../lib/address-ranges.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import type { HttpRequest } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { METRIC_NAMES } from "../../../lib/metrics.ts";

const QUEUE = {
  pending: () => ({ count: 3, oldestSentAtMs: Date.now() - 90_000 }),
  deadLetterCount: async () => 2,
};

function server({ listed = [] as string[], isReady = true } = {}) {
  const metrics = new LocalMetrics(() => QUEUE);
  let checkCount = 0;
  const handler = withOperations(async () => textResponse(200, "git"), {
    metrics,
    metricsAddresses: parseAddressRanges(listed),
    checkReady: async () => {
      checkCount++;
      if (!isReady) throw new Error("the store is away");
    },
  });
  const get = async (path: string, remoteAddress = "127.0.0.1", headers: Record<string, string> = {}) => {
    const request = { method: "GET", path, remoteAddress, headers } as unknown as HttpRequest;
    const { status, body } = await handler(request);
    return { status, text: await text(body) };
  };
  return { metrics, get, checkCount: () => checkCount };
}

test("metrics have what log lines measured, the queues, and a value for each row of the table", async () => {
  const { metrics, get } = server({ listed: ["127.0.0.1"] });
  const log = measuringLogger(SILENT_LOGGER, metrics);
  log.debug("git-http:answered", {}, { Clones: 1, SentBytes: 1_000, FirstByteSeconds: 0.2 });
  log.info("git-http:answered", {}, { Clones: 1, SentBytes: 500, FirstByteSeconds: 4 });
  const { status, text: lines } = await get("/-/metrics");
  expect(status).toBe(200);
  expect(lines).toContain("\nnearside_clones_total 2\n");
  expect(lines).toContain("\nnearside_sent_bytes_total 1500\n");
  expect(lines).toContain('\nnearside_first_byte_seconds_bucket{le="0.25"} 1\n');
  expect(lines).toContain("\nnearside_first_byte_seconds_count 2\n");
  expect(lines).toContain("\nnearside_sync_queue_length 3\n");
  expect(lines).toMatch(/\nnearside_sync_queue_age 9\d/);
  expect(lines).toContain("\nnearside_lfs_dead_letters 2\n");
  // Only API Gateway's access log has the failures of an authorizer, and what the API refuses.
  expect(lines.match(/^# TYPE nearside_/gm)).toHaveLength(METRIC_NAMES.length - 3);
});

test.each([
  ["127.0.0.1", {}, 200],
  ["127.0.0.1", { "x-forwarded-for": "203.0.113.9" }, 404],
  ["127.0.0.1", { forwarded: "for=203.0.113.9" }, 404],
  ["::1", {}, 404],
  ["203.0.113.9", {}, 404],
  ["198.51.100.7", {}, 200],
])("from %s with %j metrics are answered with %i", async (address, headers, status) => {
  const { get } = server({ listed: ["198.51.100.0/24", "127.0.0.1"] });
  expect((await get("/-/metrics", address, headers)).status).toBe(status);
});

test.each(["127.0.0.1", "::1"])(
  "from %s nothing is answered unless it is listed: nginx may pass it on",
  async (address) => {
    const { get } = server();
    expect((await get("/-/metrics", address, { host: "127.0.0.1:7990" })).status).toBe(404);
  },
);

test("health is for all, and says no more than whether the mirror can serve", async () => {
  expect(await server().get("/-/health", "203.0.113.9")).toEqual({ status: 200, text: "ready\n" });
  const { get } = server({ isReady: false });
  expect(await get("/-/health", "203.0.113.9")).toEqual({ status: 503, text: "not ready\n" });
  expect(await get("/-/health/live", "203.0.113.9")).toEqual({ status: 200, text: "live\n" });
  expect(await get("/acme/sample.git/info/refs")).toEqual({ status: 200, text: "git\n" });
});

test.each([true, false])(
  "health checks the store once a second, however many ask (ready: %j)",
  async (isReady) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const { get, checkCount } = server({ isReady });
      for (const expected of [1, 2]) {
        await Promise.all(Array.from({ length: 20 }, () => get("/-/health", "203.0.113.9")));
        vi.advanceTimersByTime(999);
        expect((await get("/-/health", "203.0.113.9")).status).toBe(isReady ? 200 : 503);
        expect(checkCount()).toBe(expected);
        vi.advanceTimersByTime(1);
      }
    } finally {
      vi.useRealTimers();
    }
  },
);
