/**
 * What trees hold, by object and without names: as changes to the tree that was at the same path before, as most trees
 * differ from that in few entries. An object counts as often as the tree names it, so that changes add up.
 */

export const TREE_KIND = {
  /** Of a tree that no commit introduces: it has to be read. */
  unknown: 0,
  /** Its changes are all that it holds. */
  whole: 1,
  /** Its changes are those to its predecessor. */
  changed: 2,
} as const;

/** Beside an object in `treeChanges`: an entry that the predecessor has and the tree has not. */
export const TREE_ENTRY_GONE = 0x80000000;

/** Columns over the trees of a pack, in the order of its index. */
export interface TreeColumns {
  /** A {@link TREE_KIND} each. */
  readonly treeKinds: Uint8Array;
  /** Where in `treeChanges` the tree's end; they begin where those of the tree before end. */
  readonly treeChangeEnds: Uint32Array;
  /** Objects, as in all columns, some of them {@link TREE_ENTRY_GONE}. */
  readonly treeChanges: Uint32Array;
}
