/**
 * Chooses the recent objects of a repository: a base commit on the main line, what refs reach beyond it, and of what is older only what
 * these are deltas of, or may become deltas of.
 */
import type { CommitHistory } from "../history/commit-history.ts";
import type { HistoryRow, ObjectNumber } from "../object-numbers.ts";
import type { PackedObjects, RefList } from "../ports.ts";
import type { PeeledObject } from "../walk/peel.ts";
import { Uint32Vector } from "../walk/uint32-vector.ts";
import { type ChosenObjects, recentColumns } from "./recent-columns.ts";
import type { RecentObjects } from "./recent-objects.ts";
import { findTips, mainLine, type Tips } from "./recent-tips.ts";

/** Some 35 bytes each in the end: a megabyte. */
const DEFAULT_MAX_RECENT_OBJECTS = 32_000;
/** How much less far back the base is at the next try. */
const NEXT_TRY = 3 / 4;
/** Tries between the first one that fits and the last that does not. */
const MAX_REFINED = 2;
/** Of what is chosen; the rest is for other branches. */
const MAIN_SHARE = 7 / 8;
/** How many tags are added, as a share of `maxObjects`. An answer with one that is left out is made from all objects. */
const TAG_SHARE = 1 / 8;
/** Branches that have too much of their own, each looked at as far as there is room. */
const MAX_LARGE_TIPS = 32;
/** Looked at for one that the base reaches: as many as an answer looks at. */
const MAX_DELTAS_BELOW = 64;
/** In steps of `WorkSlices`. */
const ROWS_A_STEP = 200;
const OBJECTS_A_STEP = 20;

export interface RecentSubject {
  /** All of the repository. */
  readonly objects: PackedObjects;
  readonly refList: RefList;
  readonly maxObjects?: number;
  /** Of entries that are in the same blob. */
  readonly maxHeldBytes?: number;
  /** Smaller packs get no sidecar of newest entries. */
  readonly minPlacedPackBytes?: number;
  /** Whether sidecars of newest entries are read whole, to replace damaged ones. */
  readonly checksEntries?: boolean;
}

export interface ChosenRecent {
  /** Without entries. */
  readonly recent: RecentObjects;
  /** Among them: the newest commit of the main line. */
  readonly head: ObjectNumber;
}

/** @returns `undefined` where there is no history, or one commit has more than there is room for. */
export async function chooseRecent(
  { objects, refList, maxObjects = DEFAULT_MAX_RECENT_OBJECTS }: RecentSubject,
  packCount: number,
): Promise<ChosenRecent | undefined> {
  const { history, slices } = objects;
  const tips = history && (await findTips(objects, history, refList));
  if (history === undefined || tips === undefined) return undefined;
  const line = mainLine(history, tips);
  const headRow = line[0] as HistoryRow;
  const tried = async (back: number): Promise<RecentChoice | undefined> => {
    await slices.spend((history.rowCount + objects.objectCount / 10) / ROWS_A_STEP);
    const choice = new RecentChoice(objects, history, line[back] as HistoryRow);
    return (await choice.addMainLine(headRow, maxObjects * MAIN_SHARE)) ? choice : undefined;
  };
  const choice = await furthest(line.length - 1, tried);
  if (choice === undefined) return undefined;
  await slices.spend(history.rowCount / ROWS_A_STEP + maxObjects / OBJECTS_A_STEP);
  await choice.addTips(tips, maxObjects);
  await choice.addTags(tips.tags, maxObjects * TAG_SHARE);
  const { recent, numberOf } = await recentColumns(choice.chosen(), objects, history, packCount);
  return { recent, head: numberOf[history.objectNumber(headRow)] as ObjectNumber };
}

/** @param tried - `undefined` for what is too far back. @returns The choice of one that is nearly as far back as may be. */
async function furthest<Choice>(
  maxBack: number,
  tried: (back: number) => Promise<Choice | undefined>,
): Promise<Choice | undefined> {
  let tooFar = maxBack + 1;
  for (let back = maxBack; back > 0; back = Math.floor(back * NEXT_TRY)) {
    let choice = await tried(back);
    if (choice === undefined) {
      tooFar = back;
      continue;
    }
    let near = back;
    for (let refined = 0; refined < MAX_REFINED && tooFar - near > 1; refined++) {
      const middle = Math.floor((near + tooFar) / 2);
      const further = await tried(middle);
      if (further === undefined) tooFar = middle;
      else [near, choice] = [middle, further];
    }
    return choice;
  }
  return undefined;
}

class RecentChoice {
  readonly #objects: PackedObjects;
  readonly #history: CommitHistory;
  readonly #baseRow: HistoryRow;
  /** What the base reaches. */
  readonly #old: { isHad(objectNumber: ObjectNumber): boolean };
  readonly #isRow: Uint8Array;
  readonly #rows: HistoryRow[] = [];
  readonly #isChosen: Uint8Array;
  readonly #chosen = new Uint32Vector();
  readonly #tagNumbers = new Set<ObjectNumber>();
  #leftOut: readonly HistoryRow[] = [];

  constructor(objects: PackedObjects, history: CommitHistory, baseRow: HistoryRow) {
    this.#objects = objects;
    this.#history = history;
    this.#baseRow = baseRow;
    this.#old = history.paint([], [baseRow]);
    this.#isRow = new Uint8Array(history.rowCount);
    this.#isChosen = new Uint8Array(objects.objectCount);
    this.#addRows(new Map([[baseRow, []]]), Number.POSITIVE_INFINITY);
  }

  /** @returns Whether it is not more, with its bases. */
  async addMainLine(headRow: HistoryRow, maxObjects: number): Promise<boolean> {
    const { slices } = this.#objects;
    const rows = new Map<HistoryRow, readonly ObjectNumber[]>();
    let count = 0;
    for (const row of this.#history.paint([headRow], [this.#baseRow]).missingRows()) {
      const introduced = this.#newIn(row, maxObjects - count);
      rows.set(row, introduced);
      count += 1 + introduced.length;
      if (count > maxObjects) return false;
      if (slices.isDue((1 + introduced.length) / OBJECTS_A_STEP)) await slices.pause();
    }
    return this.#addRows(rows, maxObjects);
  }

  /** Those whose own commits do not fit are left out. */
  async addTips({ rows, newest }: Tips, maxObjects: number): Promise<void> {
    const isOpen = new Uint8Array(this.#history.rowCount);
    for (const row of this.#history.paint(rows, [this.#baseRow]).missingRows())
      if (this.#isRow[row] === 0) isOpen[row] = 1;
    let largeCount = 0;
    for (const tipRow of newest) {
      if (isOpen[tipRow] === 0 || largeCount === MAX_LARGE_TIPS) continue;
      await this.#objects.slices.spend((maxObjects - this.#chosen.length) / OBJECTS_A_STEP);
      const branch = this.#branchOf(tipRow, isOpen, maxObjects - this.#chosen.length);
      if (branch === undefined || !this.#addRows(branch, maxObjects)) largeCount++;
      else for (const row of branch.keys()) isOpen[row] = 0;
    }
    this.#leftOut = [...isOpen.keys()].filter((row) => isOpen[row] === 1);
  }

  chosen(): ChosenObjects {
    return {
      ...{ baseRow: this.#baseRow, rows: this.#rows.slice(1), isRow: this.#isRow, leftOut: this.#leftOut },
      ...{ objectNumbers: this.#chosen.values().slice(), tagNumbers: this.#tagNumbers },
      isOld: (objectNumber) => this.#old.isHad(objectNumber),
    };
  }

  /** @returns The tip's commits that are not chosen yet, with what each introduces; `undefined` if these are too many objects. */
  #branchOf(
    tipRow: HistoryRow,
    isOpen: Uint8Array,
    maxObjects: number,
  ): Map<HistoryRow, readonly ObjectNumber[]> | undefined {
    const branch = new Map<HistoryRow, readonly ObjectNumber[]>();
    let count = 0;
    const pending = [tipRow];
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      if (branch.has(row)) continue;
      const introduced = this.#newIn(row, maxObjects - count);
      count += 1 + introduced.length;
      if (count > maxObjects) return undefined;
      branch.set(row, introduced);
      for (const parentRow of this.#history.parentRows(row))
        if (parentRow >= 0 && isOpen[parentRow] === 1) pending.push(parentRow);
    }
    return branch;
  }

  /** What the commit introduces, but for what the base has: that is never sent. Ends where it is as many as there is room for. */
  #newIn(row: HistoryRow, maxObjects = Number.POSITIVE_INFINITY): ObjectNumber[] {
    const added: ObjectNumber[] = [];
    for (const objectNumber of this.#history.introduced(row)) {
      if (added.length >= maxObjects) break;
      if (!this.#old.isHad(objectNumber)) added.push(objectNumber);
    }
    return added;
  }

  /**
   * Commits with what they introduce, what these may become deltas of, as it was at their paths before them, and what all of these are
   * deltas of.
   * @returns Whether all that is chosen is not more then; nothing is added if it is.
   */
  #addRows(rows: ReadonlyMap<HistoryRow, readonly ObjectNumber[]>, maxObjects: number): boolean {
    const { versionForest } = this.#history;
    const added = new Set<ObjectNumber>();
    for (const [row, introduced] of rows) {
      added.add(this.#history.objectNumber(row)).add(this.#history.treeNumber(row));
      for (const objectNumber of introduced) {
        added.add(objectNumber);
        const before = versionForest.parents[objectNumber] as number;
        const relative = before >= 0 ? before : this.#oldDelta(objectNumber);
        if (relative >= 0) added.add(relative);
      }
    }
    if (!this.#addWithBases(added, maxObjects)) return false;
    for (const row of rows.keys()) {
      this.#isRow[row] = 1;
      this.#rows.push(row);
    }
    return true;
  }

  /**
   * What was renamed has no version before it at its path: git stores the newest version whole, and the one before as a delta of it.
   * @returns The nearest of the deltas below the object that the base reaches, or -1.
   */
  #oldDelta(objectNumber: ObjectNumber): ObjectNumber {
    const { deltaForest } = this.#history;
    const pending = [objectNumber];
    for (let at = 0; at < pending.length && pending.length <= MAX_DELTAS_BELOW; at++) {
      for (const delta of deltaForest.childrenOf(pending[at] as number)) {
        if (this.#old.isHad(delta)) return delta;
        pending.push(delta);
      }
    }
    return -1;
  }

  /** @returns Whether all that is chosen is not more then; nothing is added if it is. */
  #addWithBases(objectNumbers: Iterable<ObjectNumber>, maxObjects: number): boolean {
    const { deltaForest } = this.#history;
    const added = new Set<ObjectNumber>();
    for (const start of objectNumbers) {
      for (let next = start; next >= 0 && this.#isChosen[next] === 0 && !added.has(next); ) {
        added.add(next);
        if (this.#chosen.length + added.size > maxObjects) return false;
        next = deltaForest.parents[next] as number;
      }
    }
    for (const objectNumber of added) {
      this.#isChosen[objectNumber] = 1;
      this.#chosen.push(objectNumber);
    }
    return true;
  }

  /** Of what is chosen: they are sent with it. Those beyond `maxAdded` objects are left out. */
  async addTags(tags: readonly PeeledObject[], maxAdded: number): Promise<void> {
    const { slices } = this.#objects;
    const maxObjects = this.#chosen.length + maxAdded;
    for (const { objectNumber, tagNumbers } of tags) {
      if (slices.isDue(tagNumbers.length / OBJECTS_A_STEP)) await slices.pause();
      const row = this.#history.rowOf(objectNumber);
      // Of a commit that is there only as what others are deltas of, nothing else may be.
      if (row >= 0 ? this.#isRow[row] !== 1 : this.#isChosen[objectNumber] !== 1) continue;
      if (!this.#addWithBases(tagNumbers, maxObjects)) continue;
      for (const tagNumber of tagNumbers) this.#tagNumbers.add(tagNumber);
    }
  }
}
