/** What a job keeps of what it reads: within the memory of its process, and for itself alone. */
import { expect, test } from "vitest";
import { KeptReads } from "../../../lib/sync/kept-reads.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const keyOf = (digit: string) => `repos/u/objects/pack/pack-${digit.repeat(40)}.idx`;

async function storeWith(digits: string, bytes: number) {
  const memory = new MemoryBlobStore();
  for (const digit of digits) await memory.write(keyOf(digit), new Uint8Array(bytes));
  return new CountingBlobStore(memory);
}

test("a job reads an index once, and the next job reads it anew", async () => {
  const store = await storeWith("a", 10);
  const kept = new KeptReads(1_000);
  const readTwice = () =>
    kept.during(store, async (own) => {
      await own.read(keyOf("a"));
      await own.read(keyOf("a"));
      expect(kept.keptBytes).toBe(11);
    });
  await readTwice();
  expect([store.counts().read, kept.keptBytes]).toEqual([1, 0]);
  await readTwice();
  expect(store.counts().read).toBe(2);
  const failing = kept.during(store, async (own) => {
    await own.read(keyOf("a"));
    throw new Error("broken");
  });
  await expect(failing).rejects.toThrow("broken");
  expect(kept.keptBytes).toBe(0);
});

test("jobs at the same time share the memory, but not what they have read", async () => {
  const store = await storeWith("abcd", 400);
  const kept = new KeptReads(1_000);
  const jobs = [..."abcd"].map((digit) =>
    kept.during(store, async (own) => {
      await own.read(keyOf(digit));
      await own.read(keyOf("a"));
      expect(kept.keptBytes).toBeLessThanOrEqual(1_000);
    }),
  );
  await Promise.all(jobs);
  expect(store.counts().read).toBeGreaterThanOrEqual(7);
});

test("a process without memory for it keeps nothing", async () => {
  const store = await storeWith("a", 10);
  const kept = new KeptReads(0);
  await kept.during(store, async (own) => {
    await own.read(keyOf("a"));
    await own.read(keyOf("a"));
  });
  expect([store.counts().read, kept.keptBytes]).toEqual([2, 0]);
});
