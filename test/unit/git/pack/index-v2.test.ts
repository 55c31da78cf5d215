import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import { objectIdAt } from "../../../../lib/git/object-id.ts";
import {
  encodePackIndex,
  type IndexedEntries,
  PackIndex,
  sortedByObjectId,
} from "../../../../lib/git/pack/index-v2.ts";
import { git } from "../../../support/git/run-git.ts";

// Many runs each, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const ID_BYTES = 20;
const PACK_CHECKSUM = Buffer.alloc(20, 0xcc);

interface Row {
  readonly id: Uint8Array;
  readonly offsetBytes: number;
  readonly crc: number;
}

const ids = fc.oneof(
  fc.uint8Array({ minLength: ID_BYTES, maxLength: ID_BYTES }),
  // Alike but for few bits: ties in the first four bytes.
  fc.tuple(fc.constantFrom(0, 3, ID_BYTES - 1), fc.nat(3)).map(([at, byte]) => {
    return new Uint8Array(ID_BYTES).fill(5).fill(byte, at, at + 1);
  }),
);
const offsets = fc.oneof(
  fc.nat(100_000),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER),
);
const rows: fc.Arbitrary<Row[]> = fc.array(
  fc.record({ id: ids, offsetBytes: offsets, crc: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
  { maxLength: 60 },
);

function columns(list: readonly Row[]): IndexedEntries {
  return {
    objectCount: list.length,
    ids: Buffer.concat(list.map(({ id }) => id)),
    offsets: Float64Array.from(list, ({ offsetBytes }) => offsetBytes),
    crcs: Uint32Array.from(list, ({ crc }) => crc),
  };
}

function encode(list: readonly Row[]): Promise<Uint8Array> {
  const entries = columns(list);
  return encodePackIndex(entries, sortedByObjectId(entries), PACK_CHECKSUM);
}

test("entries are ordered by id; those with one id stay in the order of the pack", () => {
  fc.assert(
    fc.property(rows, (list) => {
      const numbered = list.map((row, number) => ({ ...row, number }));
      const expected = numbered.toSorted((a, b) => Buffer.compare(a.id, b.id) || a.number - b.number);
      expect(Array.from(sortedByObjectId(columns(list)))).toEqual(expected.map(({ number }) => number));
    }),
  );
});

test("an index survives a round trip: ids, offsets of up to 2^53 - 1, checksums", async () => {
  await fc.assert(
    fc.asyncProperty(rows, async (list) => {
      const index = new PackIndex(await encode(list));
      index.verifyChecksum();
      expect(index.packChecksum()).toEqual(new Uint8Array(PACK_CHECKSUM));
      const read = Array.from({ length: index.objectCount }, (_, number) => {
        const [id, offsetBytes, crc] = [index.objectId(number), index.offsetBytes(number), index.crc(number)];
        return { id, offsetBytes, crc };
      });
      const expected = list
        .map((row) => ({ ...row, id: objectIdAt(row.id, 0) }))
        .toSorted((a, b) => (a.id < b.id ? -1 : Number(a.id > b.id)));
      expect(read).toEqual(expected);
      for (const { id } of expected) expect(index.objectId(index.find(id))).toBe(id);
    }),
  );
});

test("ids that are not there are not found", async () => {
  await fc.assert(
    fc.asyncProperty(rows, ids, async (list, absent) => {
      fc.pre(!list.some(({ id }) => Buffer.compare(id, absent) === 0));
      expect(new PackIndex(await encode(list)).findBytes(Buffer.concat([Buffer.alloc(3), absent]), 3)).toBe(
        -1,
      );
    }),
  );
});

test("git reads an index with offsets above 2^31 and 2^32 as we do", async () => {
  const list = [12, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40].map((offsetBytes, i) => ({
    id: new Uint8Array(createHash("sha1").update(String(i)).digest()),
    offsetBytes,
    crc: 1000 + i,
  }));
  const shown = await git(["show-index"], { input: await encode(list) });
  const expected = list
    .map(({ id, offsetBytes, crc }) => ({ id: objectIdAt(id, 0), offsetBytes, crc }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  expect(shown.split("\n")).toEqual(
    expected.map(({ id, offsetBytes, crc }) => `${offsetBytes} ${id} (${crc.toString(16).padStart(8, "0")})`),
  );
});

test("an index of no objects is git's", async () => {
  const index = new PackIndex(await encode([]));
  expect(index.objectCount).toBe(0);
  expect(index.findBytes(new Uint8Array(ID_BYTES), 0)).toBe(-1);
  expect(await git(["show-index"], { input: await encode([]) })).toBe("");
});

const sample = (): Promise<Uint8Array> =>
  encode([
    { id: new Uint8Array(ID_BYTES).fill(1), offsetBytes: 12, crc: 1 },
    { id: new Uint8Array(ID_BYTES).fill(2), offsetBytes: 2 ** 33, crc: 2 },
  ]);

test("an index cut off anywhere is refused", async () => {
  const bytes = await sample();
  for (let end = 0; end < bytes.length; end += end < 1100 ? 97 : 1) {
    // Without the one large offset the length still fits, but the checksum does not.
    expect(() => new PackIndex(bytes.subarray(0, end)).verifyChecksum()).toThrow(CorruptPackError);
  }
});

test.each([
  ["of version 1", 7, 1, /not a version 2/],
  ["with a fan-out that goes back", 8 + 4 * 10 + 3, 0, /goes back/],
  ["with a count that does not fit", 8 + 4 * 255 + 3, 9, /does not fit/],
])("an index %s is refused", async (_, at, byte, message) => {
  const bytes = await sample();
  bytes[at] = byte;
  expect(() => new PackIndex(bytes)).toThrow(message);
});

test("an offset outside its table, or above 2^53 - 1, is an error", async () => {
  const offsetsStart = 8 + 1024 + 2 * (ID_BYTES + 4);
  const outside = await sample();
  outside[offsetsStart + 7] = 1;
  expect(() => new PackIndex(outside).offsetBytes(1)).toThrow("outside its table");
  const huge = await sample();
  huge[offsetsStart + 8] = 0x7f;
  expect(() => new PackIndex(huge).offsetBytes(1)).toThrow("above 2^53");
});

test("a changed bit anywhere breaks the checksum", async () => {
  const bytes = await sample();
  for (let at = 8 + 1024; at < bytes.length; at++) {
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    expect(() => new PackIndex(bytes).verifyChecksum()).toThrow(CorruptPackError);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  }
});
