/** What the trees of a repository hold, out of the histories of its packs: no tree is read. */
import type { ObjectNumber } from "../object-numbers.ts";
import type { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./pack-history.ts";

export class TreeContents {
  /** By object number: a {@link TREE_KIND}. */
  readonly kinds: Uint8Array;
  readonly #predecessors: Int32Array;
  /** By object number: where in `#changes` the tree's begin and end. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #changes: Uint32Array;
  #changeCount = 0;
  /** Changes added up so far: a measure of the work. */
  addedCount = 0;
  /** By object number; all zero between calls. */
  #counts: Int32Array | undefined;
  /** By tree: all that it holds, in place of the recorded changes. */
  readonly #wholeEntries = new Map<number, Uint32Array>();

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
  changesOf(treeNumber: ObjectNumber): Uint32Array {
    const whole = this.#wholeEntries.get(treeNumber);
    return whole ?? this.#changes.subarray(this.#starts[treeNumber], this.#ends[treeNumber]);
  }

  /**
   * @param isKnown - Whether all that another tree holds is known; it may be asked for any.
   * @returns Each object once that the tree holds, but for those that the last known one of the trees before it holds, too.
   *   `undefined` if the sidecars do not say.
   */
  entriesBeyond(treeNumber: ObjectNumber, isKnown: (tree: ObjectNumber) => boolean): number[] | undefined {
    return this.#entries(treeNumber, isKnown, 1);
  }

  /** @returns The objects that the tree holds, each as often as it names it; `undefined` if the sidecars do not say. */
  entriesOf(treeNumber: ObjectNumber): number[] | undefined {
    return this.#entries(treeNumber, () => false, Number.POSITIVE_INFINITY);
  }

  /** From now on the tree is recorded whole; `undefined` for what is not known. */
  tellWhole(treeNumber: ObjectNumber, entries: readonly number[] | undefined): void {
    this.kinds[treeNumber] = entries === undefined ? TREE_KIND.unknown : TREE_KIND.whole;
    if (entries !== undefined) this.#wholeEntries.set(treeNumber, Uint32Array.from(entries));
  }

  /** @param maxTimes - How often an object may be among them. */
  #entries(
    treeNumber: ObjectNumber,
    isKnown: (tree: ObjectNumber) => boolean,
    maxTimes: number,
  ): number[] | undefined {
    this.#counts ??= new Int32Array(this.kinds.length);
    const counts = this.#counts;
    const touched: number[] = [];
    const isComplete = this.#addUp(treeNumber, isKnown, counts, touched);
    const entries: number[] = [];
    for (const objectNumber of touched) {
      const times = Math.min(counts[objectNumber] as number, maxTimes);
      counts[objectNumber] = 0;
      for (let i = 0; i < times && isComplete; i++) entries.push(objectNumber);
    }
    return isComplete ? entries : undefined;
  }

  /**
   * @param counts - Gets, by object, how many entries the tree has more than the last known one before it.
   * @param touched - Gets the objects with a count; some of them may come twice.
   * @returns Whether the sidecars say all of it.
   */
  #addUp(
    treeNumber: ObjectNumber,
    isKnown: (tree: ObjectNumber) => boolean,
    counts: Int32Array,
    touched: number[],
  ): boolean {
    let tree = treeNumber;
    // Contradictory histories may go round in a circle: then a tree comes again that was noted some steps before.
    let notedTree = -1;
    for (let steps = 0, noteAt = 1; tree >= 0 && tree !== notedTree; steps++) {
      if (steps === noteAt) {
        notedTree = tree;
        noteAt *= 2;
      }
      const kind = this.kinds[tree];
      if (kind !== TREE_KIND.whole && kind !== TREE_KIND.changed) return false;
      const changes = this.changesOf(tree);
      this.addedCount += 1 + changes.length;
      for (const change of changes) {
        const isGone = change >= TREE_ENTRY_GONE;
        const objectNumber = isGone ? change - TREE_ENTRY_GONE : change;
        const count = counts[objectNumber] as number;
        if (count === 0) touched.push(objectNumber);
        counts[objectNumber] = isGone ? count - 1 : count + 1;
      }
      if (kind === TREE_KIND.whole) return true;
      tree = this.#predecessors[tree] as number;
      if (tree >= 0 && isKnown(tree)) return true;
    }
    return false;
  }
}
