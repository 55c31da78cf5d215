/** Writes what trees hold into the columns of a pack's history. */
import { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { GrowingNumbers } from "../walk/growing-numbers.ts";
import { NONE } from "./pack-history.ts";
import { TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./tree-columns.ts";
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
    treeNumbers: treesAmong(types),
    isOwn: () => true,
    keepsPredecessor: () => true,
    reference: (number) => number,
  });
}

function* treesAmong(types: Uint8Array): Generator<number, void, undefined> {
  for (let number = 0; number < types.length; number++) if (types[number] === OBJECT_TYPE.tree) yield number;
}

export interface WrittenTrees {
  /** Numbers of the pack's trees, in the order of its index. */
  readonly treeNumbers: Iterable<number>;
  /** Whether the pack is to tell what the tree holds. */
  readonly isOwn: (treeNumber: number) => boolean;
  /** Of a changed tree: whether its predecessor will be told, and stay. */
  readonly keepsPredecessor: (treeNumber: number) => boolean;
  /** How the columns write an object. */
  readonly reference: (objectNumber: number) => number;
}

/** As many changes as this times its entries are added up for a tree, or about twice as many, before one is written whole. */
const CHANGES_PER_ENTRY = 4;
/** For small trees that are changed from end to end. */
const MIN_CHANGES = 32;

export function writeTreeColumns(
  contents: TreeContents,
  predecessors: Int32Array,
  { treeNumbers, isOwn, keepsPredecessor, reference }: WrittenTrees,
): TreeColumns {
  const kinds: number[] = [];
  const ends = new GrowingNumbers();
  const changes = new GrowingNumbers();
  for (const tree of treeNumbers) {
    let kind = isOwn(tree) ? (contents.kinds[tree] as number) : TREE_KIND.unknown;
    let isCopied = kind !== TREE_KIND.unknown;
    if (kind === TREE_KIND.changed) {
      const predecessor = predecessors[tree] as number;
      if (!keepsPredecessor(tree) || isDue(contents, tree, predecessor)) {
        const entries = contents.entriesOf(tree);
        for (const objectNumber of entries ?? []) changes.push(reference(objectNumber));
        kind = entries === undefined ? TREE_KIND.unknown : TREE_KIND.whole;
        isCopied = false;
      }
    }
    if (isCopied) {
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

/** Whether the changes since the last whole tree have come, with this one, to another multiple of what is allowed. */
function isDue(contents: TreeContents, tree: number, predecessor: number): boolean {
  const [chain, before] = [contents.chainOf(tree), contents.chainOf(predecessor)];
  if (chain === undefined || before === undefined) return false;
  const allowed = Math.max(MIN_CHANGES, chain.entryCount * CHANGES_PER_ENTRY);
  return Math.floor(chain.changeCount / allowed) > Math.floor(before.changeCount / allowed);
}
