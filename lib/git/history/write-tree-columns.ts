/** Writes what trees hold into the columns of a pack's history. */
import type { ObjectNumber } from "../object-numbers.ts";
import { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { ascendingNumbers } from "../pack/sorted-numbers.ts";
import { WorkSlices } from "../work-slices.ts";
import { TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./pack-history.ts";
import { TreeContents } from "./tree-contents.ts";
import { TreeColumnsBuilder } from "./tree-records.ts";

/**
 * The same columns with some more trees written whole, where many changes would have to be added up.
 * @param types - Of the pack's objects.
 * @param predecessors - Of these, as `PackHistory` has them.
 */
export async function someWhole(
  types: Uint8Array,
  columns: TreeColumns,
  predecessors: Uint32Array,
  externalCount: number,
): Promise<TreeColumns> {
  const forest = new ObjectForest(types.length + externalCount);
  // NONE is all ones: as a signed number, -1.
  forest.parents.set(new Int32Array(predecessors.buffer, predecessors.byteOffset, predecessors.length));
  const numbers = ascendingNumbers(types.length + externalCount);
  const contents = new TreeContents(numbers.length, columns.treeChanges.length, forest);
  contents.append(types, columns, numbers, () => true);
  return writeTreeColumns(contents, forest.parents, {
    treeNumbers: numbers.filter((number) => types[number] === OBJECT_TYPE.tree),
    isOwn: () => true,
    keepsPredecessor: () => true,
    reference: (number) => number,
  });
}

export interface WrittenTrees {
  /** Numbers of the pack's trees, in the order of its index. */
  readonly treeNumbers: Uint32Array;
  /** Whether the pack's sidecar records what the tree holds. */
  readonly isOwn: (treeNumber: ObjectNumber) => boolean;
  /** Of a changed tree: whether its predecessor is recorded too, and stays. */
  readonly keepsPredecessor: (treeNumber: ObjectNumber) => boolean;
  /** How the columns write an object. */
  readonly reference: (objectNumber: ObjectNumber) => number;
}

/** As many changes as this times its entries are added up for a tree before one is written whole. */
const CHANGES_PER_ENTRY = 4;
/** For small trees that are changed from end to end. */
const MIN_CHANGES = 32;

/** Afterwards `contents` may hold some of the pack's own trees whole. */
export async function writeTreeColumns(
  contents: TreeContents,
  predecessors: Int32Array,
  written: WrittenTrees,
): Promise<TreeColumns> {
  const { treeNumbers, isOwn, reference } = written;
  const slices = new WorkSlices();
  await shortenChains(contents, predecessors, written, slices);
  const columns = new TreeColumnsBuilder();
  const rewritten = (change: number): number =>
    change >= TREE_ENTRY_GONE ? reference(change - TREE_ENTRY_GONE) + TREE_ENTRY_GONE : reference(change);
  for (const tree of treeNumbers) {
    const kind = isOwn(tree) ? (contents.kinds[tree] as number) : TREE_KIND.unknown;
    const changes = kind === TREE_KIND.unknown ? [] : contents.changesOf(tree).map(rewritten);
    columns.add(kind, changes);
    if (slices.isDue(1 + changes.length)) await slices.pause();
  }
  return columns.columns();
}

const NOT_VISITED = -1;
const NOT_KNOWN = -1;

/** Passes along chains of changes, each tree once and after its predecessor, and records some whole on the way. */
async function shortenChains(
  contents: TreeContents,
  predecessors: Int32Array,
  { treeNumbers, isOwn, keepsPredecessor }: WrittenTrees,
  slices: WorkSlices,
): Promise<void> {
  /** By tree: changes to be added up since the last whole tree. */
  const changeCounts = new Int32Array(predecessors.length).fill(NOT_VISITED);
  /** By tree: its entries; {@link NOT_KNOWN} where the chain begins in a pack that is not looked at. */
  const entryCounts = new Int32Array(predecessors.length).fill(NOT_KNOWN);
  /** @returns How many changes it looked at. */
  const visit = (tree: number): number => {
    const kind = contents.kinds[tree];
    if (kind === TREE_KIND.whole) entryCounts[tree] = contents.changesOf(tree).length;
    if (kind !== TREE_KIND.changed) return 0;
    const changes = contents.changesOf(tree);
    const before = predecessors[tree] as number;
    let entryCount = entryCounts[before] ?? NOT_KNOWN;
    if (entryCount !== NOT_KNOWN)
      for (const change of changes) entryCount += change >= TREE_ENTRY_GONE ? -1 : 1;
    const changeCount = (changeCounts[before] ?? 0) + changes.length;
    entryCounts[tree] = entryCount;
    changeCounts[tree] = changeCount;
    const isDue =
      entryCount !== NOT_KNOWN && changeCount > Math.max(MIN_CHANGES, entryCount * CHANGES_PER_ENTRY);
    if (!isOwn(tree) || (keepsPredecessor(tree) && !isDue)) return changes.length;
    contents.tellWhole(tree, contents.entriesOf(tree));
    changeCounts[tree] = 0;
    return changes.length + changeCount;
  };
  for (const treeNumber of treeNumbers) {
    const pending: number[] = [];
    for (let tree = treeNumber; tree >= 0 && changeCounts[tree] === NOT_VISITED; ) {
      pending.push(tree);
      // Until its turn comes: also the end of a circle.
      changeCounts[tree] = 0;
      tree = contents.kinds[tree] === TREE_KIND.changed ? (predecessors[tree] as number) : -1;
    }
    for (let tree = pending.pop(); tree !== undefined; tree = pending.pop())
      if (slices.isDue(1 + visit(tree))) await slices.pause();
  }
}
