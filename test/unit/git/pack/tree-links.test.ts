import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import { objectIdAt } from "../../../../lib/git/object-id.ts";
import { applyDelta, DeltaCopies, decodeDeltaSizes } from "../../../../lib/git/pack/delta.ts";
import { ObjectIdSet } from "../../../../lib/git/pack/object-id-set.ts";
import {
  addDeltifiedTreeLinks,
  addTreeLinks,
  type IndexableTree,
  markNotIndexed,
  treeIndexBytes,
} from "../../../../lib/git/pack/tree-links.ts";
import {
  copyInstruction,
  deltaOf,
  insertInstructions,
  objectIdOf,
  type TreeEntry,
  treeBytes,
} from "../../../support/pack-builder.ts";

// Many runs each, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const TREE = 4;
const BLOB = 8;

const entries: fc.Arbitrary<TreeEntry> = fc
  .tuple(
    fc.constantFrom("100644", "100755", "120000", "40000", "160000"),
    fc.stringMatching(/^[a-z ]{1,30}$/),
    fc.nat(200),
  )
  .map(([mode, name, content]) => ({ mode, name, id: objectIdOf("blob", String(content)) }));
const entryLists = fc.array(entries, { minLength: 1, maxLength: 25 });

/** Puts a tree at some place of an arena of its own, with room for its index. */
function placed(sizeBytes: number, start: number): IndexableTree {
  const bytes = new Uint8Array(4 * Math.ceil((start + sizeBytes + 1 + treeIndexBytes(sizeBytes)) / 4) + 8);
  bytes.fill(0xee);
  return { bytes, words: new Uint32Array(bytes.buffer), start, sizeBytes };
}

function treeOf(content: Uint8Array, start = 32): IndexableTree {
  const tree = placed(content.length, start);
  tree.bytes.set(content, start);
  return tree;
}

function linksOf(...sets: ObjectIdSet[]): Map<string, number> {
  const links = new Map<string, number>();
  for (const set of sets) {
    const { ids, flags } = set.select(() => true);
    flags.forEach((flag, i) => {
      const id = objectIdAt(ids, i * 20);
      links.set(id, (links.get(id) ?? 0) | flag);
    });
  }
  return links;
}

/** What a reader that knows nothing of deltas would find. */
function expectedLinks(...lists: (readonly TreeEntry[])[]): Map<string, number> {
  const links = new Map<string, number>();
  for (const { mode, id } of lists.flat()) {
    if (mode !== "160000") links.set(id, (links.get(id) ?? 0) | (mode === "40000" ? TREE : BLOB));
  }
  return links;
}

/** A delta from `base` to `target` of copies and inserts, cut at any bytes. */
function randomDelta(base: Uint8Array, target: Uint8Array, cuts: readonly number[]): Uint8Array {
  const points = [...new Set([0, ...cuts.map((cut) => cut % target.length), target.length])];
  const sorted = points.toSorted((a, b) => a - b);
  const instructions = sorted.slice(1).map((end, i) => {
    const piece = target.subarray(sorted[i] ?? 0, end);
    const at = Buffer.from(base).indexOf(piece);
    return at < 0 ? insertInstructions(piece) : copyInstruction(at, piece.length);
  });
  return deltaOf(base.length, target.length, ...instructions);
}

function applyTo(base: IndexableTree, delta: Uint8Array, start: number, copies: DeltaCopies): IndexableTree {
  const { resultBytes, instructionsIndex } = decodeDeltaSizes(delta, 0, delta.length);
  const tree = placed(resultBytes, start);
  applyDelta({ bytes: delta, start: instructionsIndex, end: delta.length }, base, tree, copies);
  return tree;
}

const cutLists = fc.array(fc.nat(5000), { maxLength: 12 });

test("a chain of deltified trees gives the links of its trees read whole, however the deltas are cut", () => {
  const edits = fc.array(fc.tuple(fc.nat(100), fc.constantFrom("drop", "add", "replace"), entries), {
    maxLength: 6,
  });
  const links = fc.array(fc.tuple(edits, cutLists, fc.integer({ min: 32, max: 39 })), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(entryLists, links, fc.boolean(), (first, steps, isIndexed) => {
      const found = new ObjectIdSet();
      let list = first;
      let tree = treeOf(treeBytes(list), 33);
      if (isIndexed) addTreeLinks(tree, found);
      else markNotIndexed(tree);
      const lists = [list];
      for (const [changes, cuts, start] of steps) {
        list = list.slice();
        for (const [at, change, entry] of changes) {
          list.splice(
            at % (list.length + 1),
            change === "add" ? 0 : 1,
            ...(change === "drop" ? [] : [entry]),
          );
        }
        if (list.length === 0) list = first;
        lists.push(list);
        const target = treeBytes(list);
        const copies = new DeltaCopies();
        const base = tree.bytes.slice(tree.start, tree.start + tree.sizeBytes);
        const next = applyTo(tree, randomDelta(base, target, cuts), start, copies);
        addDeltifiedTreeLinks(tree, next, copies, found);
        tree = next;
      }
      expect(linksOf(found)).toEqual(expectedLinks(...lists));
    }),
    { numRuns: 300 },
  );
});

test("copies that bring an id's bytes to another place are not taken for entries", () => {
  // An entry of the base appears in the target inside a name, not at an entry's beginning.
  const inner = treeBytes([{ mode: "100644", name: "inner", id: objectIdOf("blob", "1") }]);
  const base = treeOf(inner);
  const found = new ObjectIdSet();
  addTreeLinks(base, found);
  const prefix = Buffer.from("100644 ");
  const id = Buffer.alloc(20, 3);
  const end = Buffer.concat([Buffer.from("\0"), id]);
  const nameBytes = inner.indexOf(0);
  const resultBytes = prefix.length + nameBytes + end.length;
  const copies = new DeltaCopies();
  const delta = deltaOf(
    inner.length,
    resultBytes,
    insertInstructions(prefix),
    copyInstruction(0, nameBytes),
    insertInstructions(end),
  );
  addDeltifiedTreeLinks(base, applyTo(base, delta, 32, copies), copies, found);
  expect(linksOf(found)).toEqual(
    new Map([
      [objectIdOf("blob", "1"), BLOB],
      [objectIdAt(id, 0), BLOB],
    ]),
  );
});

test("a folder's mode may carry permissions, as in old repositories", () => {
  const found = new ObjectIdSet();
  const id = objectIdOf("tree", "x");
  addTreeLinks(treeOf(treeBytes([{ mode: "40755", name: "old", id }])), found);
  expect(linksOf(found)).toEqual(new Map([[id, TREE]]));
});

test("a tree cut off inside an entry is an error, a nameless entry too", () => {
  const whole = treeBytes([
    { mode: "100644", name: "a", id: objectIdOf("blob", "1") },
    { mode: "40000", name: "b", id: objectIdOf("blob", "2") },
  ]);
  const firstEnd = 7 + 2 + 20;
  for (let end = 1; end < whole.length; end++) {
    const attempt = () => addTreeLinks(treeOf(whole.subarray(0, end)), new ObjectIdSet());
    if (end === firstEnd) expect(attempt).not.toThrow();
    else expect(attempt).toThrow(CorruptPackError);
  }
  const nameless = treeBytes([{ mode: "100644", name: "", id: objectIdOf("blob", "1") }]);
  expect(() => addTreeLinks(treeOf(nameless), new ObjectIdSet())).toThrow(CorruptPackError);
});

test("a delta that cuts a tree's last entry short is an error", () => {
  const content = treeBytes([{ mode: "100644", name: "a", id: objectIdOf("blob", "1") }]);
  const base = treeOf(content);
  const found = new ObjectIdSet();
  addTreeLinks(base, found);
  const copies = new DeltaCopies();
  const delta = deltaOf(content.length, content.length - 1, copyInstruction(0, content.length - 1));
  const tree = applyTo(base, delta, 32, copies);
  expect(() => addDeltifiedTreeLinks(base, tree, copies, found)).toThrow(CorruptPackError);
});

test("an index never leaves the room reserved for it", () => {
  fc.assert(
    fc.property(entryLists, fc.integer({ min: 32, max: 35 }), (list, start) => {
      const content = treeBytes(list);
      const tree = treeOf(content, start);
      addTreeLinks(tree, new ObjectIdSet());
      const roomEnd = start + content.length + 1 + treeIndexBytes(content.length);
      expect(tree.bytes.subarray(roomEnd).every((byte) => byte === 0xee)).toBe(true);
      expect(tree.bytes[start + content.length]).toBe(0xee);
    }),
  );
});
