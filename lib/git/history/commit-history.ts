/**
 * The commits of a repository in flat memory: parents before children, so that reachability is one pass from the newest
 * row down. Made of the histories of its packs, oldest first.
 */
import type { ObjectId } from "../object-id.ts";
import type { HistoryRow, ObjectNumber } from "../object-numbers.ts";
import { ObjectForest } from "../pack/object-forest.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { WorkSlices } from "../work-slices.ts";
import { BeyondRecentError } from "./beyond-recent-error.ts";
import { type LeftOutCommits, mayBeLeftOut } from "./left-out-commits.ts";
import { NONE, type PackHistory, partOf } from "./pack-history.ts";
import { TreeContents } from "./tree-contents.ts";

const NO_ROW = -1;

/** Colours of a row, by what reaches it. */
const HAVE = 1;
const WANT = 2;

/** Numbers of a column that are taken in a step of `WorkSlices`. */
const TAKEN_A_STEP = 50;

export interface HistoryPart {
  readonly history: PackHistory;
  /** The repository's number of the pack's first object. */
  readonly firstNumber: number;
  /** The repository's number of each of the pack's objects, and then of its externals. */
  readonly numbers: Uint32Array;
}

export class CommitHistory {
  /** By object number. */
  readonly types: Uint8Array;
  readonly sizes: Uint32Array;
  readonly deltaForest: ObjectForest;
  /** What was at an object's path before it. */
  readonly versionForest: ObjectForest;
  readonly trees: TreeContents;
  /** By object number: what a tag points to; -1 of any other object, and where it is not known. */
  readonly tagTargets: Int32Array;
  readonly #rowOf: Int32Array;
  readonly #objects: Uint32Array;
  readonly #trees: Uint32Array;
  readonly #seconds: Float64Array;
  readonly #parentEnds: Uint32Array;
  /** Rows. */
  readonly #parents: Int32Array;
  readonly #introducedEnds: Uint32Array;
  readonly #introduced: Uint32Array;
  /** By object number: the first row that introduces it. */
  readonly #introducers: Int32Array;

  readonly #leftOut: LeftOutCommits | undefined;

  private constructor(
    parts: readonly HistoryPart[],
    objectCount: number,
    leftOut: LeftOutCommits | undefined,
  ) {
    this.#leftOut = leftOut;
    const total = (count: (history: PackHistory) => number): number =>
      parts.reduce((sum, { history }) => sum + count(history), 0);
    const commitCount = total(({ commitObjects }) => commitObjects.length);
    this.types = new Uint8Array(objectCount);
    this.sizes = new Uint32Array(objectCount);
    this.deltaForest = new ObjectForest(objectCount);
    this.versionForest = new ObjectForest(objectCount);
    this.tagTargets = new Int32Array(objectCount).fill(-1);
    const treeChangeCount = total(({ treeChanges }) => treeChanges.length);
    this.trees = new TreeContents(objectCount, treeChangeCount, this.versionForest);
    this.#rowOf = new Int32Array(objectCount).fill(NO_ROW);
    this.#objects = new Uint32Array(commitCount);
    this.#trees = new Uint32Array(commitCount);
    this.#seconds = new Float64Array(commitCount);
    this.#parentEnds = new Uint32Array(commitCount);
    this.#parents = new Int32Array(total(({ parents }) => parents.length));
    this.#introducedEnds = new Uint32Array(commitCount);
    this.#introduced = new Uint32Array(total(({ introduced }) => introduced.length));
    this.#introducers = new Int32Array(objectCount).fill(NO_ROW);
  }

  /**
   * @param objectCount - Of the repository: above every number in `parts`.
   * @param leftOut - Makes it an excerpt, whose first row stands for what it reaches; see RecentObjects.
   */
  static async open(
    parts: readonly HistoryPart[],
    objectCount: number,
    slices: WorkSlices,
    leftOut?: LeftOutCommits,
  ): Promise<CommitHistory> {
    const history = new CommitHistory(parts, objectCount, leftOut);
    let firstRow = 0;
    for (const part of parts) firstRow = await history.#append(part, firstRow, slices);
    return history;
  }

  get rowCount(): number {
    return this.#objects.length;
  }

  /** @returns The row of a commit, or -1 for any other object. */
  rowOf(objectNumber: ObjectNumber): HistoryRow {
    return this.#rowOf[objectNumber] ?? NO_ROW;
  }

  /** Of an excerpt: whether the id may be that of a commit that is not here, and that the first row does not reach. */
  leavesOut(id: ObjectId): boolean {
    return this.#leftOut !== undefined && mayBeLeftOut(this.#leftOut, id);
  }

  /** The commit's object number. */
  objectNumber(row: HistoryRow): ObjectNumber {
    return this.#objects[row] ?? 0;
  }

  /** The object number of the commit's tree. */
  treeNumber(row: HistoryRow): ObjectNumber {
    return this.#trees[row] ?? 0;
  }

  /** When it was committed, by the committer's clock. */
  seconds(row: HistoryRow): number {
    return this.#seconds[row] ?? 0;
  }

  /** Rows; -1 for a parent that the repository does not hold. */
  parentRows(row: HistoryRow): Int32Array {
    return partOf(this.#parents, this.#parentEnds, row);
  }

  /** Object numbers: those in the commit's tree that are at that path in none of its parents' trees. */
  introduced(row: HistoryRow): Uint32Array {
    return partOf(this.#introduced, this.#introducedEnds, row);
  }

  /**
   * Paints all that `haveRows` reach, and all that `wantRows` reach besides.
   * @throws {BeyondRecentError} The haves do not reach the first commit of an excerpt: what is below it may be wanted.
   */
  paint(wantRows: readonly number[], haveRows: readonly number[]): PaintedHistory {
    const colours = new Uint8Array(this.rowCount);
    for (const row of wantRows) colours[row] = (colours[row] ?? 0) | WANT;
    for (const row of haveRows) colours[row] = (colours[row] ?? 0) | HAVE;
    let parent = this.#parents.length - 1;
    for (let row = this.rowCount - 1; row >= 0; row--) {
      const firstParent = row === 0 ? 0 : (this.#parentEnds[row - 1] as number);
      const colour = colours[row] as number;
      const passedOn = (colour & HAVE) !== 0 ? HAVE : colour;
      for (; parent >= firstParent; parent--) {
        const parentRow = this.#parents[parent] as number;
        if (parentRow >= 0) colours[parentRow] = (colours[parentRow] as number) | passedOn;
      }
    }
    if (this.#leftOut !== undefined && ((colours[0] ?? 0) & HAVE) === 0) throw new BeyondRecentError();
    return new PaintedHistory(this, colours, this.#introducers);
  }

  async #append(
    { history, numbers, firstNumber }: HistoryPart,
    firstRow: number,
    slices: WorkSlices,
  ): Promise<number> {
    const { commitObjects, parentEnds, parents, introducedEnds, introduced, types, treeChanges } = history;
    await slices.spend(treeChanges.length / TAKEN_A_STEP);
    this.trees.append(types, history, numbers, (number) => numbers[number] === firstNumber + number);
    await slices.spend(types.length / TAKEN_A_STEP);
    this.#takeObjects(history, numbers, firstNumber);
    const firstParent = firstRow === 0 ? 0 : (this.#parentEnds[firstRow - 1] as number);
    const firstIntroduced = firstRow === 0 ? 0 : (this.#introducedEnds[firstRow - 1] as number);
    for (let i = 0; i < commitObjects.length; i++) {
      const row = firstRow + i;
      const introducedStart = i === 0 ? 0 : (introducedEnds[i - 1] as number);
      const introducedEnd = introducedEnds[i] as number;
      if (slices.isDue((1 + introducedEnd - introducedStart) / TAKEN_A_STEP)) await slices.pause();
      const objectNumber = numbers[commitObjects[i] as number] as number;
      this.#objects[row] = objectNumber;
      this.#trees[row] = numbers[history.commitTrees[i] as number] as number;
      this.#seconds[row] = history.seconds[i] as number;
      // An older pack may hold the commit too; its row there serves as well, but parents must come before children.
      if (this.#rowOf[objectNumber] === NO_ROW) this.#rowOf[objectNumber] = row;
      this.#parentEnds[row] = firstParent + (parentEnds[i] as number);
      this.#introducedEnds[row] = firstIntroduced + (introducedEnds[i] as number);
      const parentStart = i === 0 ? 0 : (parentEnds[i - 1] as number);
      for (let p = parentStart; p < (parentEnds[i] as number); p++) {
        this.#parents[firstParent + p] = this.#rowOf[numbers[parents[p] as number] as number] ?? NO_ROW;
      }
      for (let n = introducedStart; n < introducedEnd; n++) {
        const introducedNumber = numbers[introduced[n] as number] as number;
        this.#introduced[firstIntroduced + n] = introducedNumber;
        if (this.#introducers[introducedNumber] === NO_ROW) this.#introducers[introducedNumber] = row;
      }
    }
    return firstRow + commitObjects.length;
  }

  #takeObjects(history: PackHistory, numbers: Uint32Array, firstNumber: number): void {
    const { types, sizes, deltaBases, predecessors } = history;
    let tag = 0;
    for (let number = 0; number < types.length; number++) {
      const objectNumber = numbers[number] as number;
      this.types[objectNumber] = types[number] as number;
      this.sizes[objectNumber] = sizes[number] as number;
      if (types[number] === OBJECT_TYPE.tag) {
        const target = history.tagTargets[tag++] as number;
        if (target !== NONE) this.tagTargets[objectNumber] = numbers[target] as number;
      }
      // An object that an older pack holds is taken from there, as the delta that it is there.
      if (objectNumber !== firstNumber + number) continue;
      const base = deltaBases[number] as number;
      const predecessor = predecessors[number] as number;
      if (base !== NONE) this.deltaForest.parents[objectNumber] = numbers[base] as number;
      if (predecessor !== NONE) this.versionForest.parents[objectNumber] = numbers[predecessor] as number;
    }
  }
}

/** Which commits are wanted, and which objects the other side has for sure. */
export class PaintedHistory {
  readonly #history: CommitHistory;
  readonly #colours: Uint8Array;
  readonly #introducers: Int32Array;

  constructor(history: CommitHistory, colours: Uint8Array, introducers: Int32Array) {
    this.#history = history;
    this.#colours = colours;
    this.#introducers = introducers;
  }

  /** Rows that the wants reach and the haves do not, parents first. */
  *missingRows(): Generator<number, void> {
    for (let row = 0; row < this.#colours.length; row++) if (this.#colours[row] === WANT) yield row;
  }

  /** Whether the haves reach the object. May say no where they do, but never yes where they do not. */
  isHad(objectNumber: ObjectNumber): boolean {
    const row = this.#history.rowOf(objectNumber);
    const introducer = row >= 0 ? row : (this.#introducers[objectNumber] ?? NO_ROW);
    return introducer >= 0 && ((this.#colours[introducer] as number) & HAVE) !== 0;
  }
}
