import { describe, expect, test } from "vitest";
import { TREE_ENTRY_GONE, TREE_KIND } from "../../../../lib/git/history/pack-history.ts";
import { TreeContents } from "../../../../lib/git/history/tree-contents.ts";
import { writeTreeColumns } from "../../../../lib/git/history/write-tree-columns.ts";
import { ObjectForest } from "../../../../lib/git/pack/object-forest.ts";
import { OBJECT_TYPE } from "../../../../lib/git/pack/pack-format.ts";

const ENTRY_COUNT = 20;
const TREE_COUNT = 5000;
const OBJECT_COUNT = 2 * TREE_COUNT + ENTRY_COUNT + 1;
const NUMBERS = Uint32Array.from({ length: OBJECT_COUNT }, (_, number) => number);
const TREES = NUMBERS.subarray(0, TREE_COUNT);
/** A tree of an older pack, of which nothing is known here. */
const ELSEWHERE = OBJECT_COUNT - 1;

interface Made {
  readonly contents: TreeContents;
  readonly forest: ObjectForest;
  readonly types: Uint8Array;
  /** What the last tree holds. */
  readonly entries: readonly number[];
}

/** Trees one after the other, each with another file in the place of one: two changes. */
function lineOfTrees(begins: "here" | "elsewhere"): Made {
  const types = new Uint8Array(OBJECT_COUNT).fill(OBJECT_TYPE.blob);
  types.fill(OBJECT_TYPE.tree, 0, TREE_COUNT);
  const forest = new ObjectForest(OBJECT_COUNT);
  forest.parents.set(Int32Array.from(TREES, (tree) => tree - 1));
  let file = TREE_COUNT;
  const entries = Array.from({ length: ENTRY_COUNT }, () => file++);
  const kinds = new Uint8Array(TREE_COUNT).fill(TREE_KIND.changed);
  const changes: number[] = [];
  if (begins === "here") {
    kinds[0] = TREE_KIND.whole;
    changes.push(...entries);
  } else forest.parents[0] = ELSEWHERE;
  const ends = [changes.length];
  for (let tree = 1; tree < TREE_COUNT; tree++) {
    changes.push(file, TREE_ENTRY_GONE + (entries[tree % ENTRY_COUNT] as number));
    entries[tree % ENTRY_COUNT] = file++;
    ends.push(changes.length);
  }
  const contents = new TreeContents(OBJECT_COUNT, changes.length, forest);
  const columns = {
    treeKinds: kinds,
    treeChangeEnds: Uint32Array.from(ends),
    treeChanges: Uint32Array.from(changes),
  };
  contents.append(types, columns, NUMBERS, () => true);
  return { contents, forest, types, entries };
}

function written({ contents, forest }: Made, keepsPredecessor = (_tree: number): boolean => true) {
  return writeTreeColumns(contents, forest.parents, {
    treeNumbers: TREES,
    isOwn: () => true,
    keepsPredecessor,
    reference: (number) => number,
  });
}

function addedUpFor({ contents }: Made, tree: number): number {
  const before = contents.addedCount;
  contents.entriesOf(tree);
  return contents.addedCount - before;
}

describe("a long line of trees", () => {
  test("is cut by some that are stored whole, so that no tree takes much to add up", async () => {
    const made = lineOfTrees("here");
    expect(addedUpFor(made, TREE_COUNT - 1)).toBeGreaterThan(2 * TREE_COUNT);
    const { treeKinds, treeChanges } = await written(made);
    const wholeCount = treeKinds.filter((kind) => kind === TREE_KIND.whole).length;
    expect(wholeCount).toBeGreaterThan(TREE_COUNT / 100);
    expect(treeChanges.length).toBeLessThan(2 * TREE_COUNT * 1.3);
    for (let tree = 0; tree < TREE_COUNT; tree += 7)
      expect(addedUpFor(made, tree)).toBeLessThan(ENTRY_COUNT * (1 + 4 + 4));
    expect(new Set(made.contents.entriesOf(TREE_COUNT - 1))).toEqual(new Set(made.entries));
  });

  test("takes one pass, in whatever order its trees come, and where it begins in another pack", async () => {
    for (const made of [lineOfTrees("here"), lineOfTrees("elsewhere")]) {
      await written(made);
      expect(made.contents.addedCount).toBeLessThan(8 * TREE_COUNT);
    }
    const made = lineOfTrees("elsewhere");
    expect((await written(made)).treeKinds.every((kind) => kind === TREE_KIND.changed)).toBe(true);
    expect(made.contents.entriesOf(3)).toBeUndefined();
  });

  test("is stored whole where the version before is not kept", async () => {
    const made = lineOfTrees("here");
    const { treeKinds, treeChangeEnds, treeChanges } = await written(made, (tree) => tree !== 10);
    expect(treeKinds[10]).toBe(TREE_KIND.whole);
    const entries = treeChanges.subarray(treeChangeEnds[9], treeChangeEnds[10]);
    expect(entries.length).toBe(ENTRY_COUNT);
    expect(Math.max(...entries)).toBeLessThan(TREE_ENTRY_GONE);
    const unknown = lineOfTrees("elsewhere");
    expect((await written(unknown, (tree) => tree !== 10)).treeKinds[10]).toBe(TREE_KIND.unknown);
  });
});
