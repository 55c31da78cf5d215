/** What writing a pack reads ahead, and what it holds. */

import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readCachedWindows } from "../../../../lib/git/pack/entry-windows.ts";
import { encodeEntrySize, OBJECT_TYPE } from "../../../../lib/git/pack/pack-format.ts";
import { ReadAhead } from "../../../../lib/git/pack/read-ahead.ts";
import { StreamBudget } from "../../../../lib/git/pack/stream-prefetch.ts";
import { writePack } from "../../../../lib/git/pack/write-pack.ts";
import type { EntryPlaces, PackedObjects, PackReader } from "../../../../lib/git/ports.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";

const ENTRY_BYTES = 1_000_000;
const ENTRY = new Uint8Array(ENTRY_BYTES);
ENTRY.set(encodeEntrySize(OBJECT_TYPE.blob, 2_000_000));

/** One pack of equal entries, some way from each other. */
function packOf(objectCount: number, distanceBytes: number, entry: Uint8Array = ENTRY) {
  const ahead: number[] = [];
  const offsetOf = (number: number): number => 12 + number * distanceBytes;
  const crc = crc32(entry);
  const packs: Partial<PackReader> = {
    sortByPlace: () => undefined,
    locate: (objectNumbers: Uint32Array): EntryPlaces => ({
      objectNumbers,
      packNumbers: new Uint32Array(objectNumbers.length),
      offsets: Float64Array.from(objectNumbers, offsetOf),
      ends: Float64Array.from(objectNumbers, (number) => offsetOf(number) + entry.length),
    }),
    crc: () => crc,
    readAhead: (objectNumbers) => void ahead.push(...objectNumbers),
    streamBudget: new StreamBudget(),
    async *streamPackRange(_pack, _offsetBytes, lengthBytes) {
      for (let done = 0; done < lengthBytes; done += entry.length) yield entry;
    },
    readPackRange: async (_pack, _offsetBytes, lengthBytes) => entry.subarray(0, lengthBytes),
  };
  const objects = { objectCount, packs, slices: new WorkSlices() } as unknown as PackedObjects;
  return {
    objects,
    packs: packs as PackReader,
    ahead,
    numbers: Uint32Array.from({ length: objectCount }, (_, i) => i),
  };
}

describe("entries", () => {
  test.each([
    ["are read ahead where they are read through what is kept at hand", 48, 48],
    ["are not where so many are sent that they are streamed past it", 51, 0],
  ])("%s", async (_, objectCount, aheadCount) => {
    const { objects, numbers: objectNumbers, ahead } = packOf(objectCount, ENTRY_BYTES);
    let packBytes = 0;
    const options = { objects, objectNumbers, clientHas: () => false, ofsDelta: true, isThin: false };
    for await (const chunk of writePack(options)) packBytes += chunk.length;
    expect(packBytes).toBe(12 + objectCount * ENTRY_BYTES + 20);
    expect(ahead).toHaveLength(aheadCount);
  });

  test("are read ahead as far as there is room, and on from there when that comes to be written", async () => {
    const { objects, numbers: objectNumbers } = packOf(40, ENTRY_BYTES);
    const slices: number[][] = [];
    let room = 10;
    const readAhead = (wanted: Iterable<number>): void => {
      const slice: number[] = [];
      slices.push(slice);
      if (room === 0) return;
      for (const number of wanted) if (slice.push(number) === room) return;
    };
    const packs: PackReader = { ...objects.packs, readAhead };
    const options = { objectNumbers, clientHas: () => false, ofsDelta: true, isThin: false };
    const ahead = new ReadAhead({ ...options, objects: { ...objects, packs }, isCached: true });
    const range = (start: number, end: number) => [...objectNumbers.subarray(start, end)];
    ahead.advance(0);
    expect(slices).toEqual([range(0, 10), range(10, 20)]);
    ahead.advance(9);
    expect(slices).toHaveLength(2);
    ahead.advance(10);
    expect(slices).toEqual([range(0, 10), range(10, 20), range(20, 30)]);
    room = 0;
    ahead.advance(25);
    ahead.advance(26);
    expect(slices.slice(3)).toEqual([[], []]);
    room = 10;
    // What has been written meanwhile is passed over.
    ahead.advance(33);
    expect(slices.slice(5)).toEqual([range(33, 40)]);
    ahead.advance(40);
    expect(slices).toHaveLength(6);
  });

  test("that are scattered do not hold on to the blocks around them", async () => {
    const block = new Uint8Array(256 * 1024);
    const { packs, numbers } = packOf(20, 300_000, block.subarray(0, 100));
    for await (const { bytes } of readCachedWindows(packs, numbers)) {
      expect(bytes).toHaveLength(100);
      expect(bytes.buffer.byteLength).toBe(100);
    }
  });

  test.each([
    ["moved one by one", undefined],
    ["copied together", { deltaForest: { parents: new Int32Array(3).fill(-1) } }],
  ])("that are %s are checked", async (_, history) => {
    const { objects, packs, numbers } = packOf(3, 100_000, ENTRY.subarray(0, 600));
    const write = async (of: PackedObjects): Promise<number> => {
      const options = { objectNumbers: numbers, clientHas: () => false, ofsDelta: true, isThin: false };
      let packBytes = 0;
      for await (const chunk of writePack({ ...options, objects: of })) packBytes += chunk.length;
      return packBytes;
    };
    const known = { ...objects, history, objectId: () => "" } as unknown as PackedObjects;
    expect(await write(known)).toBe(12 + 3 * 600 + 20);
    const damaged = {
      ...known,
      packs: { ...packs, crc: (number: number) => (number === 1 ? 1 : packs.crc(number)) },
    };
    await expect(write(damaged)).rejects.toThrow("entry does not match its checksum");
  });

  test("of a large copy are checked if it is kept, and by the client if not", async () => {
    const { objects, packs, numbers } = packOf(51, ENTRY_BYTES);
    const history = { deltaForest: { parents: new Int32Array(51).fill(-1) } };
    const damaged = {
      ...objects,
      history,
      objectId: () => "",
      packs: { ...packs, crc: () => 1 },
    } as unknown as PackedObjects;
    const write = async (isKept: boolean): Promise<number> => {
      const options = { objectNumbers: numbers, clientHas: () => false, ofsDelta: true, isThin: false };
      let packBytes = 0;
      for await (const chunk of writePack({ ...options, objects: damaged, isKept }))
        packBytes += chunk.length;
      return packBytes;
    };
    expect(await write(false)).toBe(12 + 51 * ENTRY_BYTES + 20);
    await expect(write(true)).rejects.toThrow("entry does not match its checksum");
  });
});
