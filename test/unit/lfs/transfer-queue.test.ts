import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { TransferQueue } from "../../../lib/lfs/transfer-queue.ts";

/** Runs all at once, each for a few turns. @returns What ran at the same time at most, and the order in which they began. */
async function runAll(transfers: TransferQueue, sizes: readonly number[]) {
  const peak = { bytes: 0, count: 0 };
  const began: number[] = [];
  let bytes = 0;
  let count = 0;
  const results = await Promise.allSettled(
    sizes.map((size, i) =>
      transfers.run(size, async () => {
        began.push(i);
        bytes += size;
        count += 1;
        peak.bytes = Math.max(peak.bytes, bytes);
        peak.count = Math.max(peak.count, count);
        await pause(2);
        bytes -= size;
        count -= 1;
        if (size % 2 === 1) throw new Error("odd");
        return size;
      }),
    ),
  );
  return { peak, began, failed: results.filter(({ status }) => status === "rejected").length };
}

test("bounds number and bytes, in order, and what fails gives back what it held", async () => {
  const sizes = Array.from({ length: 100 }, (_, i) => 1 + ((i * 37) % 40));
  const { peak, began, failed } = await runAll(new TransferQueue(100, 8), sizes);
  expect(began).toEqual(sizes.map((_, i) => i));
  expect(peak.count).toBeLessThanOrEqual(8);
  expect(peak.bytes).toBeLessThanOrEqual(100);
  expect(peak.bytes).toBeGreaterThan(60);
  expect(failed).toBe(sizes.filter((size) => size % 2 === 1).length);
});

test("small ones run up to the number", async () => {
  expect((await runAll(new TransferQueue(100, 8), Array(50).fill(2))).peak.count).toBe(8);
});

test("what is larger than all there is runs alone", async () => {
  const { began, peak } = await runAll(new TransferQueue(100, 8), [2, 500, 2, 2]);
  expect(began).toEqual([0, 1, 2, 3]);
  expect(peak).toEqual({ bytes: 500, count: 2 });
});
