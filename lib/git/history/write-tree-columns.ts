/** Writes what trees hold into the columns of a pack's history. */
import type { ObjectNumber } from "../object-numbers.ts";
import { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { Uint32Vector } from "../walk/uint32-vector.ts";
import { NONE, TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./pack-history.ts";
import { TreeContents } from "./tree-contents.ts";

/**
 * The same columns with some more trees written whole, where many changes would have to be added up.
 * @param types - Of the pack's objects.
 * @param predecessors - Of these, as `PackHistory` has them.
 */
export function someWhole(
  types: Uint8Array,
  columns: TreeColumns,
  predecessors: Uint32Array,
  externalCount: number,
): TreeColumns {
  const forest = new ObjectForest(types.length + externalCount);
  forest.parents.set(Int32Array.from(predecessors, (number) => (number === NONE ? -1 : number)));
  const numbers = Uint32Array.from({ length: types.length + externalCount }, (_, number) => number);
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
export function writeTreeColumns(
  contents: TreeContents,
  predecessors: Int32Array,
  written: WrittenTrees,
): TreeColumns {
  const { treeNumbers, isOwn, reference } = written;
  const chains = new TreeChains(contents, predecessors, written);
  for (const tree of treeNumbers) chains.shorten(tree);
  const kinds: number[] = [];
  const ends = new Uint32Vector();
  const changes = new Uint32Vector();
  for (const tree of treeNumbers) {
    const kind = isOwn(tree) ? (contents.kinds[tree] as number) : TREE_KIND.unknown;
    if (kind !== TREE_KIND.unknown) {
      for (const change of contents.changesOf(tree)) {
        const isGone = change >= TREE_ENTRY_GONE;
        changes.push(isGone ? reference(change - TREE_ENTRY_GONE) + TREE_ENTRY_GONE : reference(change));
      }
    }
    kinds.push(kind);
    ends.push(changes.length);
  }
  return {
    treeKinds: Uint8Array.from(kinds),
    treeChangeEnds: ends.values().slice(),
    treeChanges: changes.values().slice(),
  };
}

const NOT_VISITED = -1;
const NOT_KNOWN = -1;

/** Passes along chains of changes, each tree once and after its predecessor, and records some whole on the way. */
class TreeChains {
  readonly #contents: TreeContents;
  readonly #predecessors: Int32Array;
  readonly #written: WrittenTrees;
  /** By tree: changes to be added up since the last whole tree. */
  readonly #changeCounts: Int32Array;
  /** By tree: its entries; {@link NOT_KNOWN} where the chain begins in a pack that is not looked at. */
  readonly #entryCounts: Int32Array;

  constructor(contents: TreeContents, predecessors: Int32Array, written: WrittenTrees) {
    this.#contents = contents;
    this.#predecessors = predecessors;
    this.#written = written;
    this.#changeCounts = new Int32Array(predecessors.length).fill(NOT_VISITED);
    this.#entryCounts = new Int32Array(predecessors.length).fill(NOT_KNOWN);
  }

  shorten(treeNumber: ObjectNumber): void {
    const pending: number[] = [];
    for (let tree = treeNumber; tree >= 0 && this.#changeCounts[tree] === NOT_VISITED; ) {
      pending.push(tree);
      // Until its turn comes: also the end of a circle.
      this.#changeCounts[tree] = 0;
      tree = this.#contents.kinds[tree] === TREE_KIND.changed ? (this.#predecessors[tree] as number) : -1;
    }
    for (let tree = pending.pop(); tree !== undefined; tree = pending.pop()) this.#visit(tree);
  }

  #visit(tree: number): void {
    const contents = this.#contents;
    const kind = contents.kinds[tree];
    if (kind === TREE_KIND.whole) this.#entryCounts[tree] = contents.changesOf(tree).length;
    if (kind !== TREE_KIND.changed) return;
    const changes = contents.changesOf(tree);
    const before = this.#predecessors[tree] as number;
    let entryCount = this.#entryCounts[before] ?? NOT_KNOWN;
    if (entryCount !== NOT_KNOWN)
      for (const change of changes) entryCount += change >= TREE_ENTRY_GONE ? -1 : 1;
    this.#entryCounts[tree] = entryCount;
    this.#changeCounts[tree] = (this.#changeCounts[before] ?? 0) + changes.length;
    const { isOwn, keepsPredecessor } = this.#written;
    if (!isOwn(tree) || (keepsPredecessor(tree) && !this.#isDue(tree))) return;
    contents.tellWhole(tree, contents.entriesOf(tree));
    this.#changeCounts[tree] = 0;
  }

  #isDue(tree: number): boolean {
    const entryCount = this.#entryCounts[tree] as number;
    const allowed = Math.max(MIN_CHANGES, entryCount * CHANGES_PER_ENTRY);
    return entryCount !== NOT_KNOWN && (this.#changeCounts[tree] as number) > allowed;
  }
}
