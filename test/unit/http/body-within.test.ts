import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { bodyWithin } from "../../../lib/http/body-within.ts";

/** One chunk, then another one every 20 ms without an end. */
async function* endless(firstBytes: number, bytes: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(firstBytes);
  for (;;) {
    await sleep(20);
    yield new Uint8Array(bytes);
  }
}

async function elapsedMs(body: AsyncIterable<Uint8Array>): Promise<number> {
  const startMs = performance.now();
  const reading = async () => {
    for await (const _ of body);
  };
  await expect(reading()).rejects.toMatchObject({ status: 408 });
  return performance.now() - startMs;
}

test("a body that dribbles ends after the pause, whose length is not extended by a few bytes", async () => {
  expect(await elapsedMs(bodyWithin(endless(1, 1), { maxMs: 60_000, maxIdleMs: 100 }))).toBeLessThan(10_000);
});

test("each 16 KiB give a second more, up to the limit", async () => {
  const time = { maxMs: 400, maxIdleMs: 50 };
  expect(await elapsedMs(bodyWithin(endless(64 * 1024, 1), time))).toBeGreaterThanOrEqual(399);
});

test("chunks of a byte that are all at hand leave turns of the event loop to others", async () => {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < 20_000; count++) yield new Uint8Array(1);
  }
  let turnCount = 0;
  let isRead = false;
  const countTurns = () => {
    turnCount += 1;
    if (!isRead) setImmediate(countTurns);
  };
  setImmediate(countTurns);
  let receivedBytes = 0;
  for await (const chunk of bodyWithin(body(), { maxMs: 60_000, maxIdleMs: 60_000 }))
    receivedBytes += chunk.length;
  isRead = true;
  expect(receivedBytes).toBe(20_000);
  expect(turnCount).toBeGreaterThanOrEqual(20);
});
