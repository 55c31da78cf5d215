import fc from "fast-check";
import { expect, test } from "vitest";
import { NotFoundError } from "../../../lib/errors.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const LIMITS = {
  ...{ blockBytes: 16, maxCachedBytes: 64, maxBlocksPerRequest: 3, maxBlocksAhead: 4 },
  ...{ maxRequestsAhead: 4, minBlocksOver: 0, maxBlocksOver: 0 },
};
const BLOB = Uint8Array.from({ length: 203 }, (_, position) => position);

async function cacheOn(limits = LIMITS) {
  const store = new CountingBlobStore(new MemoryBlobStore());
  await store.write("pack", BLOB);
  store.reset();
  return { store, cache: new BlockCache(store, limits) };
}

test("any reads give the blob's bytes, however little is cached", async () => {
  const ranges = fc.array(fc.tuple(fc.nat(202), fc.nat(203)), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(ranges, fc.integer({ min: 0, max: 200 }), async (reads, maxCachedBytes) => {
      const { cache } = await cacheOn({ ...LIMITS, maxCachedBytes });
      const answers = await Promise.all(
        reads.map(([offset, length]) => cache.read("pack", offset, Math.min(length, 203 - offset))),
      );
      for (const [index, [offset, length]] of reads.entries()) {
        expect(answers[index]).toEqual(BLOB.slice(offset, offset + Math.min(length, 203 - offset)));
      }
    }),
    { numRuns: 100 },
  );
});

test("missing neighbours are read together, up to the limit", async () => {
  const { store, cache } = await cacheOn();
  await cache.read("pack", 20, 90); // blocks 1 to 6
  expect(store.counts()).toMatchObject({ readUpTo: 2, requests: 2, bytesRead: 96, rounds: 1 });
});

test("what is cached is not read again, and parts a request around it", async () => {
  const { store, cache } = await cacheOn();
  await cache.read("pack", 17, 3); // block 1
  await cache.read("pack", 16, 16);
  expect(store.counts().requests).toBe(1);
  await cache.read("pack", 0, 48); // blocks 0 and 2 are missing
  expect(store.counts()).toMatchObject({ requests: 3, bytesRead: 48 });
});

test("the same block wanted many times at once is read once", async () => {
  const { store, cache } = await cacheOn();
  await Promise.all(Array.from({ length: 20 }, (_, index) => cache.read("pack", 32 + (index % 8), 4)));
  expect(store.counts().requests).toBe(1);
});

test("what is read ahead is asked for at once, each block once, neighbours together", async () => {
  const { store, cache } = await cacheOn({ ...LIMITS, maxBlocksAhead: 5 });
  await cache.read("pack", 16, 1); // block 1 is there
  store.reset();
  const range = (offsetBytes: number, endBytes: number) => ({ key: "pack", offsetBytes, endBytes });
  cache.readAhead([range(66, 70), range(40, 44), range(20, 22), range(55, 66), range(60, 61)]);
  // Blocks 2 to 4, all begun before one has come.
  expect(store.counts().requests).toBe(1);
  expect(await cache.read("pack", 33, 40)).toEqual(BLOB.slice(33, 73));
  expect(store.counts()).toMatchObject({ requests: 1, bytesRead: 48 });
});

test("of what is read ahead, no more than the limit is asked for, and a failure is thrown where it is read", async () => {
  const { store, cache } = await cacheOn();
  cache.readAhead([
    { key: "missing", offsetBytes: 0, endBytes: 1 },
    { key: "pack", offsetBytes: 0, endBytes: 203 },
  ]);
  expect(store.counts().requests).toBe(2); // of "pack" three blocks
  await expect(cache.read("missing", 0, 1)).rejects.toThrow(NotFoundError);
  await cache.read("pack", 0, 48);
  expect(store.counts().requests).toBe(2);
});

test("what is read ahead and there already stays until it is read", async () => {
  const { store, cache } = await cacheOn();
  for (const block of [0, 1, 2, 3]) await cache.read("pack", block * 16, 1);
  cache.readAhead([{ key: "pack", offsetBytes: 0, endBytes: 1 }]); // block 1 is the oldest now
  await cache.read("pack", 64, 1);
  store.reset();
  await cache.read("pack", 0, 1);
  expect(store.counts().requests).toBe(0);
  await cache.read("pack", 16, 1);
  expect(store.counts().requests).toBe(1);
});

test("what is on its way ahead of its readers has a limit for all of them together", async () => {
  const { store, cache } = await cacheOn();
  for (let block = 0; block < 10; block += 1) {
    cache.readAhead([{ key: "pack", offsetBytes: block * 16, endBytes: block * 16 + 1 }]);
  }
  expect(store.counts().requests).toBe(8);
  // And no limit for what is read.
  expect(await cache.read("pack", 9 * 16, 1)).toEqual(BLOB.slice(144, 145));
  expect(store.counts().requests).toBe(9);
});

test("the block unused for longest goes first", async () => {
  const { store, cache } = await cacheOn();
  for (const block of [0, 1, 2, 3]) await cache.read("pack", block * 16, 1);
  await cache.read("pack", 0, 1); // block 1 is the oldest now
  await cache.read("pack", 64, 1);
  store.reset();
  for (const block of [0, 2, 3, 4]) await cache.read("pack", block * 16, 1);
  expect(store.counts().requests).toBe(0);
  await cache.read("pack", 16, 1);
  expect(store.counts().requests).toBe(1);
});

test("a range that is not inside the blob is a RangeError, cached or not", async () => {
  const { cache } = await cacheOn();
  for (let round = 0; round < 2; round += 1) {
    expect(await cache.read("pack", 200, 3)).toEqual(BLOB.slice(200));
    await expect(cache.read("pack", 200, 4)).rejects.toThrow(RangeError);
    await expect(cache.read("pack", 208, 1)).rejects.toThrow(RangeError);
    await expect(cache.read("pack", 150, 100)).rejects.toThrow(RangeError);
    await expect(cache.read("pack", -1, 2)).rejects.toThrow(RangeError);
  }
});

test("a failure is not kept", async () => {
  const store = new MemoryBlobStore();
  const cache = new BlockCache(store, LIMITS);
  await expect(cache.read("late", 0, 40)).rejects.toThrow(NotFoundError);
  await store.write("late", BLOB);
  expect(await cache.read("late", 0, 40)).toEqual(BLOB.slice(0, 40));
});

/** A cache whose store is slow; requests that were aborted are counted. */
async function slowCache() {
  const gate = Promise.withResolvers<void>();
  const store = new MemoryBlobStore({
    faults: { before: ({ kind }) => (kind === "read" ? gate.promise.then(() => undefined) : undefined) },
  });
  await store.write("pack", BLOB);
  const counting = new CountingBlobStore(store);
  const aborted: unknown[] = [];
  const readUpTo = counting.readUpTo.bind(counting);
  counting.readUpTo = (key, offsetBytes, maxBytes, options) => {
    options?.signal?.addEventListener("abort", () => aborted.push([offsetBytes, maxBytes]));
    return readUpTo(key, offsetBytes, maxBytes, options);
  };
  return { cache: new BlockCache(counting, LIMITS), counting, aborted, gate };
}

test("a request that two readers wait for goes on when one of them leaves", async () => {
  const { cache, counting, aborted, gate } = await slowCache();
  const controller = new AbortController();
  const leaving = cache.read("pack", 0, 40, { signal: controller.signal });
  const staying = cache.read("pack", 16, 20, { signal: new AbortController().signal });
  controller.abort(new Error("the client has left"));
  await expect(leaving).rejects.toThrow("the client has left");
  gate.resolve();
  expect(await staying).toEqual(BLOB.slice(16, 36));
  expect(aborted).toEqual([]);
  expect(counting.counts().requests).toBe(1);
});

test("a request, read ahead or not, ends when all its readers have left; the next reader starts another", async () => {
  const { cache, counting, aborted, gate } = await slowCache();
  const controller = new AbortController();
  const { signal } = controller;
  cache.readAhead([{ key: "pack", offsetBytes: 100, endBytes: 110 }], { signal });
  const leaving = cache.read("pack", 0, 40, { signal });
  controller.abort(new Error("the client has left"));
  await expect(leaving).rejects.toThrow("the client has left");
  expect(aborted).toEqual([
    [96, 16],
    [0, 48],
  ]);
  const next = Promise.all([cache.read("pack", 0, 40), cache.read("pack", 100, 10)]);
  gate.resolve();
  expect(await next).toEqual([BLOB.slice(0, 40), BLOB.slice(100, 110)]);
  expect(counting.counts().requests).toBe(4);
});

test("what is read ahead in too many places is read in fewer, over the shortest gaps", async () => {
  const ahead = { ...LIMITS, maxBlocksPerRequest: 10, maxBlocksAhead: 10, maxCachedBytes: 1024 };
  for (const [limits, requests] of [
    [{ ...ahead, maxRequestsAhead: 9 }, 4],
    [{ ...ahead, maxRequestsAhead: 9, minBlocksOver: 1 }, 3],
    [{ ...ahead, maxRequestsAhead: 2, maxBlocksOver: 2 }, 2],
    // The last gap is too long.
    [{ ...ahead, maxRequestsAhead: 1, maxBlocksOver: 2 }, 2],
    [{ ...ahead, maxRequestsAhead: 1, maxBlocksOver: 3 }, 1],
  ] as const) {
    const { store, cache } = await cacheOn(limits);
    // Blocks 0, 2, 5 and 9.
    const ranges = [0, 32, 80, 144].map((offsetBytes) => ({
      key: "pack",
      offsetBytes,
      endBytes: offsetBytes + 1,
    }));
    cache.readAhead(ranges);
    for (const { offsetBytes } of ranges) await cache.read("pack", offsetBytes, 1);
    expect(store.counts().requests).toBe(requests);
  }
});
