import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type EntryWindow,
  MAX_WINDOW_BYTES,
  planRanges,
  readStreamedWindows,
} from "../../../../lib/git/pack/entry-windows.ts";
import { StreamBudget } from "../../../../lib/git/pack/stream-prefetch.ts";
import type { EntryPlaces, PackReader } from "../../../../lib/git/ports.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";

interface Entry {
  readonly gapBytes: number;
  readonly lengthBytes: number;
}

const entryLength = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 3000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 100_000, max: 400_000 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(MAX_WINDOW_BYTES - 1, MAX_WINDOW_BYTES, MAX_WINDOW_BYTES + 1, 1_400_000),
  },
);
const gap = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 5000 }) },
  { weight: 1, arbitrary: fc.constantFrom(256 * 1024, 256 * 1024 + 1, 600_000) },
);
const pack = fc.array(fc.record({ gapBytes: gap, lengthBytes: entryLength }), {
  minLength: 1,
  maxLength: 30,
});
const chunkBytes = fc.constantFrom(17, 1000, 16_384, 65_536, 262_144, 1024 * 1024);

/** Every byte depends on its place. */
function makePacks(packs: readonly (readonly Entry[])[], chunk: number) {
  const bytesOf: Uint8Array[] = [];
  const offsets: number[] = [];
  const ends: number[] = [];
  const packNumbers: number[] = [];
  for (const [packNumber, entries] of packs.entries()) {
    let at = 12;
    for (const { gapBytes, lengthBytes } of entries) {
      at += gapBytes;
      offsets.push(at);
      at += lengthBytes;
      ends.push(at);
      packNumbers.push(packNumber);
    }
    const words = Uint32Array.from(
      { length: Math.ceil(at / 4) + 5 },
      (_, i) => i * 2_654_435_761 + packNumber,
    );
    bytesOf.push(new Uint8Array(words.buffer, 0, at + 20));
  }
  let openStreams = 0;
  const streamedBytes = { count: 0 };
  const reader = {
    locate: (objectNumbers: Uint32Array): EntryPlaces => ({
      objectNumbers,
      packNumbers: Uint32Array.from(objectNumbers, (number) => packNumbers[number] ?? 0),
      offsets: Float64Array.from(objectNumbers, (number) => offsets[number] ?? 0),
      ends: Float64Array.from(objectNumbers, (number) => ends[number] ?? 0),
    }),
    streamBudget: new StreamBudget(),
    async *streamPackRange(packNumber: number, offsetBytes: number, lengthBytes: number) {
      openStreams += 1;
      try {
        const end = offsetBytes + lengthBytes;
        for (let at = offsetBytes; at < end; at += chunk) {
          const piece = bytesOf[packNumber]?.subarray(at, Math.min(at + chunk, end)) ?? new Uint8Array(0);
          streamedBytes.count += piece.length;
          yield piece;
        }
      } finally {
        openStreams -= 1;
      }
    },
  };
  const objectNumbers = Uint32Array.from(offsets, (_, number) => number);
  return {
    reader: reader as unknown as PackReader,
    bytesOf,
    objectNumbers,
    openStreams: () => openStreams,
    streamedBytes,
  };
}

async function read(packs: readonly (readonly Entry[])[], chunk: number) {
  const made = makePacks(packs, chunk);
  const { ranges } = await planRanges(made.reader, made.objectNumbers, new WorkSlices());
  const windows: EntryWindow[] = [];
  for await (const window of readStreamedWindows(made.reader, made.objectNumbers, ranges))
    windows.push(window);
  return { ...made, windows, ranges };
}

test("every entry comes once, in order, with the bytes of its place", async () => {
  const packs = fc.array(pack, { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(packs, chunkBytes, async (entries, chunk) => {
      const { windows, bytesOf, objectNumbers, openStreams, ranges, streamedBytes } = await read(
        entries,
        entries.flat().length > 20 ? Math.max(chunk, 1000) : chunk,
      );
      const seen: number[] = [];
      for (const { places, first, end, packNumber, offsetBytes, bytes } of windows) {
        expect(offsetBytes).toBe(places.offsets[first]);
        const lastEnd = places.ends[end - 1] as number;
        // Only an entry that is alone in its window may be cut.
        const expectedEnd = end - first === 1 ? Math.min(lastEnd, offsetBytes + MAX_WINDOW_BYTES) : lastEnd;
        expect(bytes.length).toBe(expectedEnd - offsetBytes);
        expect(Buffer.compare(bytes, bytesOf[packNumber]?.subarray(offsetBytes, expectedEnd) ?? bytes)).toBe(
          0,
        );
        expect(new Set(places.packNumbers.subarray(first, end))).toEqual(new Set([packNumber]));
        seen.push(...places.objectNumbers.subarray(first, end));
      }
      expect(seen).toEqual([...objectNumbers]);
      expect(openStreams()).toBe(0);
      const plannedBytes = ranges.reduce((sum, { offsetBytes, endBytes }) => sum + endBytes - offsetBytes, 0);
      expect(streamedBytes.count).toBe(plannedBytes);
    }),
    { numRuns: 30 },
  );
});

test("neighbours are one stream; a gap of more than 256 KiB begins another", async () => {
  const { ranges } = await read(
    [
      [
        { gapBytes: 0, lengthBytes: 100 },
        { gapBytes: 256 * 1024, lengthBytes: 100 },
        { gapBytes: 256 * 1024 + 1, lengthBytes: 100 },
      ],
      [{ gapBytes: 0, lengthBytes: 100 }],
    ],
    4096,
  );
  expect(ranges.map(({ packNumber, endBytes, offsetBytes }) => [packNumber, endBytes - offsetBytes])).toEqual(
    [
      [0, 256 * 1024 + 200],
      [0, 100],
      [1, 100],
    ],
  );
});

test("who stops early leaves no stream open", async () => {
  const entries = Array.from({ length: 10 }, () => ({ gapBytes: 300_000, lengthBytes: 1000 }));
  const { reader, objectNumbers, openStreams } = makePacks([entries], 100);
  const { ranges } = await planRanges(reader, objectNumbers, new WorkSlices());
  for await (const _ of readStreamedWindows(reader, objectNumbers, ranges)) {
    expect(openStreams()).toBeGreaterThan(1);
    break;
  }
  expect(openStreams()).toBe(0);
});

test("a pack that is cut off is an error", async () => {
  const { reader, objectNumbers } = makePacks([[{ gapBytes: 0, lengthBytes: 5000 }]], 100);
  const cut = {
    ...reader,
    streamPackRange: (...[pack, at]: [number, number, number]) => reader.streamPackRange(pack, at, 4000),
  };
  const { ranges } = await planRanges(reader, objectNumbers, new WorkSlices());
  await expect(readStreamedWindows(cut, objectNumbers, ranges).next()).rejects.toThrow("ended early");
});
