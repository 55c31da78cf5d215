/** What replays and unfinished deliveries may use up. */
import { createHmac } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { QueueError, UpstreamError } from "../../../lib/errors.ts";
import { answer } from "../../../lib/http/answer.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { receiveWebhook } from "../../../lib/webhook/receive-webhook.ts";
import { workspaceSecret } from "../../../lib/webhook/signature.ts";
import { rereadSecret } from "../../../lib/webhook/webhook-secret.ts";

let queuedCount: number;
let announcedCount: number;
let queueFails: boolean;
let handler: HttpHandler;

const options = {
  readSecret: async () => "master",
  readConfig: async () => mirrorConfigOf([{ workspace: "acme", projects: ["CORE"], credential: "bot" }]),
  requests: {
    request: async () => {
      if (queueFails) throw new QueueError("full");
      queuedCount += 1;
    },
  },
  notePush: async () => {
    announcedCount += 1;
  },
  log: SILENT_LOGGER,
  // A machine that is busy takes no longer.
  now: () => new Date("2026-11-01T00:00:00Z"),
};

beforeEach(() => {
  queuedCount = 0;
  announcedCount = 0;
  queueFails = false;
  handler = receiveWebhook(options);
});

async function deliver(body: AsyncIterable<Uint8Array>, signature: string, from: string): Promise<number> {
  const headers = { "x-event-key": "repo:push", "x-hub-signature": `sha256=${signature}` };
  const { signal } = new AbortController();
  const target = { method: "POST", path: "/-/webhooks/acme", query: new URLSearchParams() };
  const request = { ...target, headers, body, signal, remoteAddress: from };
  return (await answer(handler, request, SILENT_LOGGER)).status;
}

function push(change: number, from = "203.0.113.1"): Promise<number> {
  const uuid = "{0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa}";
  const repository = { uuid, full_name: "acme/engine", is_private: true, project: { key: "CORE" } };
  const body = JSON.stringify({ push: { changes: [change] }, repository });
  const signature = createHmac("sha256", workspaceSecret("master", "acme")).update(body).digest("hex");
  return deliver(bytesOf(body), signature, from);
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}

test("a recorded push that comes 700 times is queued once, and the next push is taken", async () => {
  const statuses = new Set<number>();
  for (let round = 0; round < 7; round++) {
    const replays = Array.from({ length: 100 }, () => push(1));
    for (const status of await Promise.all(replays)) statuses.add(status);
  }
  expect([...statuses]).toEqual([202]);
  expect([queuedCount, announcedCount]).toEqual([1, 1]);
  expect(await push(2)).toBe(202);
  expect(queuedCount).toBe(2);
});

test("a push that could not be queued is queued when it comes again", async () => {
  queueFails = true;
  expect(await Promise.all([push(1), push(1)])).toEqual([500, 500]);
  queueFails = false;
  expect(await push(1)).toBe(202);
  expect(queuedCount).toBe(1);
});

test("bodies that wait for the secret are limited, and further ones get 503", {
  timeout: 30_000,
}, async () => {
  const secret = Promise.withResolvers<string>();
  let askedCount = 0;
  const readSecret = () => {
    askedCount += 1;
    return secret.promise;
  };
  handler = receiveWebhook({ ...options, readSecret });
  const addresses = Array.from({ length: 8 }, (_, index) => `203.0.113.${index}`);
  const pushes = addresses.flatMap((from, index) =>
    Array.from({ length: 20 }, (_unused, count) => push(20 * index + count, from)),
  );
  const first = await Promise.race(pushes);
  expect(first).toBe(503);
  expect(askedCount).toBeGreaterThan(32);
  expect(askedCount).toBeLessThanOrEqual(64);
  secret.resolve("master");
  expect(await Promise.all(pushes)).toEqual(expect.arrayContaining([202, 503]));
  expect(await push(1_000)).toBe(202);
});

test("the secret is read once for all who ask meanwhile, and not again at once after a failure", async () => {
  let nowMs = 0;
  let readCount = 0;
  let fails = true;
  const secret = rereadSecret(
    async () => {
      readCount += 1;
      await Promise.resolve();
      if (fails) throw new UpstreamError("throttled", { retryable: true });
      return `secret ${readCount}`;
    },
    () => nowMs,
  );
  const ask = (isRefused: boolean) =>
    Promise.allSettled(Array.from({ length: 20 }, () => secret(isRefused))).then((all) =>
      all.map((one) => (one.status === "fulfilled" ? one.value : "failed")),
    );
  for (let round = 0; round < 3; round++) expect(await ask(false)).toEqual(Array(20).fill("failed"));
  expect(readCount).toBe(1);
  fails = false;
  nowMs = 3_000;
  expect(await ask(false)).toEqual(Array(20).fill("secret 2"));
  nowMs = 14_000;
  expect(await ask(true)).toEqual(Array(20).fill("secret 3"));
  fails = true;
  nowMs = 25_000;
  for (let round = 0; round < 3; round++) expect(await ask(true)).toEqual(Array(20).fill("failed"));
  expect(await ask(false)).toEqual(Array(20).fill("secret 3"));
  expect(readCount).toBe(4);
});

test("unfinished bodies of one IPv6 site hold half of the places, and end after a time", async () => {
  handler = receiveWebhook({ ...options, bodyTime: { maxMs: 500, maxIdleMs: 500 } });
  async function* unfinished(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    await new Promise(() => undefined);
  }
  let endedCount = 0;
  const hanging = Array.from({ length: 40 }, async (_, index) => {
    const status = await deliver(unfinished(), "0".repeat(64), `2001:db8:0:${index}::1`);
    endedCount += 1;
    return status;
  });
  expect(await push(1)).toBe(202);
  expect(endedCount).toBe(0);
  expect(await Promise.all(hanging)).toEqual(Array(40).fill(408));
});
