/** What the trees of a repository hold, out of the histories of its packs: no tree is read. */
import type { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./tree-columns.ts";

/** How far a tree is from one that is written whole. */
export interface TreeChain {
  /** Changes to be added up. */
  readonly changeCount: number;
  /** Entries of the tree itself. */
  readonly entryCount: number;
}

export class TreeContents {
  /** By object number: a {@link TREE_KIND}. */
  readonly kinds: Uint8Array;
  readonly #predecessors: Int32Array;
  /** By object number: where in `#changes` the tree's begin and end. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #changes: Uint32Array;
  #changeCount = 0;
  /** Changes added up so far, for whoever wants to know what that takes. */
  addedCount = 0;
  /** By object number; all zero between calls. */
  #counts: Int32Array | undefined;
  #chains: { readonly changeCounts: Int32Array; readonly entryCounts: Int32Array } | undefined;

  /** @param predecessors - What was at a tree's path before it. */
  constructor(objectCount: number, changeCount: number, predecessors: ObjectForest) {
    this.kinds = new Uint8Array(objectCount);
    this.#predecessors = predecessors.parents;
    this.#starts = new Uint32Array(objectCount);
    this.#ends = new Uint32Array(objectCount);
    this.#changes = new Uint32Array(changeCount);
  }

  /**
   * @param types - Of the pack's objects.
   * @param numbers - The repository's numbers of these, and then of the externals.
   * @param isOwn - Whether the object with this number in the pack is taken from it.
   */
  append(
    types: Uint8Array,
    { treeKinds, treeChangeEnds, treeChanges }: TreeColumns,
    numbers: Uint32Array,
    isOwn: (number: number) => boolean,
  ): void {
    const first = this.#changeCount;
    for (const change of treeChanges) {
      const objectNumber = numbers[change & ~TREE_ENTRY_GONE] as number;
      this.#changes[this.#changeCount++] = objectNumber | (change & TREE_ENTRY_GONE);
    }
    let tree = 0;
    let start = 0;
    for (let number = 0; number < types.length; number++) {
      if (types[number] !== OBJECT_TYPE.tree) continue;
      const end = treeChangeEnds[tree] as number;
      if (isOwn(number)) {
        const objectNumber = numbers[number] as number;
        this.kinds[objectNumber] = treeKinds[tree] as number;
        this.#starts[objectNumber] = first + start;
        this.#ends[objectNumber] = first + end;
      }
      start = end;
      tree++;
    }
  }

  /** As in {@link TreeColumns}. */
  changesOf(treeNumber: number): Uint32Array {
    return this.#changes.subarray(this.#starts[treeNumber], this.#ends[treeNumber]);
  }

  /**
   * @param isKnown - Whether all that another tree holds is known; it may be asked for any.
   * @returns Each object once that the tree holds, but for those that the last known one of the trees before it holds, too.
   *   `undefined` if the histories do not tell.
   */
  entriesBeyond(treeNumber: number, isKnown: (treeNumber: number) => boolean): number[] | undefined {
    const counts = this.#addUp(treeNumber, isKnown);
    if (counts === undefined) return undefined;
    const entries: number[] = [];
    counts.forEach((count, objectNumber) => {
      if (count > 0) entries.push(objectNumber);
    });
    return entries;
  }

  /** @returns The objects that the tree holds, each as often as it names it; `undefined` if the histories do not tell. */
  entriesOf(treeNumber: number): number[] | undefined {
    const counts = this.#addUp(treeNumber, () => false);
    if (counts === undefined) return undefined;
    const entries: number[] = [];
    counts.forEach((count, objectNumber) => {
      for (let i = 0; i < count; i++) entries.push(objectNumber);
    });
    return entries;
  }

  /** @returns `undefined` if the histories do not tell. */
  chainOf(treeNumber: number): TreeChain | undefined {
    this.#chains ??= {
      changeCounts: new Int32Array(this.kinds.length).fill(-1),
      entryCounts: new Int32Array(this.kinds.length),
    };
    const { changeCounts, entryCounts } = this.#chains;
    const pending: number[] = [];
    let tree = treeNumber;
    for (; changeCounts[tree] === -1 && this.kinds[tree] === TREE_KIND.changed; ) {
      if (pending.length > this.kinds.length) return undefined;
      pending.push(tree);
      tree = this.#predecessors[tree] as number;
      if (tree < 0) return undefined;
    }
    if (changeCounts[tree] === -1) {
      if (this.kinds[tree] !== TREE_KIND.whole) return undefined;
      changeCounts[tree] = 0;
      entryCounts[tree] = this.changesOf(tree).length;
    }
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const changes = this.changesOf(next);
      let goneCount = 0;
      for (const change of changes) if (change >= TREE_ENTRY_GONE) goneCount++;
      changeCounts[next] = (changeCounts[tree] as number) + changes.length;
      entryCounts[next] = (entryCounts[tree] as number) + changes.length - 2 * goneCount;
      tree = next;
    }
    return { changeCount: changeCounts[tree] as number, entryCount: entryCounts[tree] as number };
  }

  /** @returns By object: how many entries the tree has more than the last known one before it. */
  #addUp(treeNumber: number, isKnown: (treeNumber: number) => boolean): EntryCounts | undefined {
    this.#counts ??= new Int32Array(this.kinds.length);
    const counts = new EntryCounts(this.#counts);
    let tree = treeNumber;
    // Contradictory histories may go round in a circle.
    for (let steps = 0; steps <= this.kinds.length; steps++) {
      const kind = this.kinds[tree];
      if (kind !== TREE_KIND.whole && kind !== TREE_KIND.changed) break;
      const changes = this.changesOf(tree);
      this.addedCount += 1 + changes.length;
      for (const change of changes) {
        if (change >= TREE_ENTRY_GONE) counts.add(change - TREE_ENTRY_GONE, -1);
        else counts.add(change, 1);
      }
      if (kind === TREE_KIND.whole) return counts;
      tree = this.#predecessors[tree] as number;
      if (tree < 0) break;
      if (isKnown(tree)) return counts;
    }
    counts.forget();
    return undefined;
  }
}

/** Counts by object in an array that all calls share: each leaves it as it was. */
class EntryCounts {
  readonly #counts: Int32Array;
  readonly #touched: number[] = [];

  constructor(counts: Int32Array) {
    this.#counts = counts;
  }

  add(objectNumber: number, difference: number): void {
    const count = this.#counts[objectNumber] as number;
    if (count === 0) this.#touched.push(objectNumber);
    this.#counts[objectNumber] = count + difference;
  }

  forget(): void {
    for (const objectNumber of this.#touched) this.#counts[objectNumber] = 0;
  }

  /** Once. Calls for each object, and forgets it. */
  forEach(visit: (count: number, objectNumber: number) => void): void {
    for (const objectNumber of this.#touched) {
      const count = this.#counts[objectNumber] as number;
      this.#counts[objectNumber] = 0;
      if (count !== 0) visit(count, objectNumber);
    }
  }
}
