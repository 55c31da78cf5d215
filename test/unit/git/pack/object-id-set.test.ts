import fc from "fast-check";
import { expect, test } from "vitest";
import { objectIdAt } from "../../../../lib/git/object-id.ts";
import { ObjectIdSet } from "../../../../lib/git/pack/object-id-set.ts";

const ID_BYTES = 20;

/** All ids with their flags, as text. */
function contentOf(set: ObjectIdSet): Map<string, number> {
  const { ids, flags } = set.select(() => true);
  expect(ids).toHaveLength(flags.length * ID_BYTES);
  return new Map(Array.from(flags, (flag, i) => [objectIdAt(ids, i * ID_BYTES), flag]));
}

test("holds what was added, each id once, with the union of its flags", () => {
  // Few different bytes, so that ids repeat and share prefixes.
  const ids = fc.array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: ID_BYTES, maxLength: ID_BYTES });
  const flags = fc.constantFrom(2, 4, 8, 16);
  fc.assert(
    fc.property(fc.array(fc.tuple(ids, flags), { maxLength: 200 }), (links) => {
      const set = new ObjectIdSet();
      const expected = new Map<string, number>();
      for (const [id, flag] of links) {
        set.add(Uint8Array.from([0xaa, ...id]), 1, flag);
        const key = objectIdAt(Uint8Array.from(id), 0);
        expected.set(key, (expected.get(key) ?? 0) | flag);
      }
      expect(set.size).toBe(expected.size);
      expect(contentOf(set)).toEqual(expected);
    }),
  );
});

test("selects by id and flags", () => {
  const set = new ObjectIdSet();
  for (let i = 1; i <= 100; i++) set.add(new Uint8Array(ID_BYTES).fill(i), 0, i % 2 === 0 ? 4 : 8);
  const { ids, flags } = set.select((bytes, start, flag) => flag === 4 && (bytes[start] ?? 0) > 90);
  expect(Array.from(flags)).toEqual([4, 4, 4, 4, 4]);
  const found = Array.from(flags, (_, i) => ids[i * ID_BYTES] ?? 0);
  expect(found.toSorted((a, b) => a - b)).toEqual([92, 94, 96, 98, 100]);
});

// With slots chosen by some of an id's bits, each of these would look at all ids before it: 2 * 10^10 steps.
test.each([
  ["begin alike", 16],
  ["end alike", 0],
])("200,000 ids that %s are added without a look at all of them each time", (_, at) => {
  const set = new ObjectIdSet();
  const bytes = new Uint8Array(ID_BYTES).fill(7);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 200_000; i++) {
    view.setUint32(at, Math.imul(i, 0x10000) | (i >>> 16));
    set.add(bytes, 0, 2);
  }
  expect(set.size).toBe(200_000);
  expect(contentOf(set).size).toBe(200_000);
});
