/**
 * Chooses the recent objects of a repository: a base commit on the main line, what refs reach beyond it, and of what is older only what
 * these are deltas of, or may become deltas of.
 */
import type { CommitHistory } from "../history/commit-history.ts";
import { NONE } from "../history/pack-history.ts";
import { objectIdBytes } from "../object-id.ts";
import type { HistoryRow, ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { PackedObjects, RefList } from "../ports.ts";
import type { PeeledObject } from "../walk/peel.ts";
import { Uint32Vector } from "../walk/uint32-vector.ts";
import { holdEntries } from "./hold-entries.ts";
import type { RecentObjects } from "./recent-objects.ts";
import { findTips, mainLine, type Tips } from "./recent-tips.ts";

/** Some 35 bytes each in the end: a megabyte. */
const DEFAULT_MAX_RECENT_OBJECTS = 28_000;
/** How much less far back the base is at the next try. */
const NEXT_TRY = 3 / 4;
/** Of what is chosen; the rest is for other branches. */
const MAIN_SHARE = 3 / 4;
/** Branches that have too much of their own, each looked at as far as there is room. */
const MAX_LARGE_TIPS = 32;
/** Commits of those, 4 bytes each. Where there are more, clients that have old branches need all objects anyway. */
const MAX_LEFT_OUT = 50_000;
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
}

/** @returns `undefined` where there is no history, or one commit has more than there is room for. */
export async function chooseRecent(
  { objects, refList, maxObjects = DEFAULT_MAX_RECENT_OBJECTS }: RecentSubject,
  packCount: number,
): Promise<RecentObjects | undefined> {
  const { history, slices } = objects;
  const tips = history && (await findTips(objects, history, refList));
  if (history === undefined || tips === undefined) return undefined;
  const line = mainLine(history, tips);
  const headRow = line[0] as HistoryRow;
  for (let back = line.length - 1; back > 0; back = Math.floor(back * NEXT_TRY)) {
    const baseRow = line[back] as HistoryRow;
    await slices.spend((history.rowCount + objects.objectCount / 10) / ROWS_A_STEP);
    const choice = new RecentChoice(objects, history, baseRow);
    if (!(await choice.addMainLine(headRow, maxObjects * MAIN_SHARE))) continue;
    await slices.spend(history.rowCount / ROWS_A_STEP + maxObjects / OBJECTS_A_STEP);
    await choice.addTips(tips, maxObjects);
    choice.addTags(tips.tags);
    await slices.spend(maxObjects / OBJECTS_A_STEP);
    if (choice.leftOutCount > MAX_LEFT_OUT) return undefined;
    const { recent, numberOf } = choice.columns(packCount);
    return holdEntries(recent, numberOf[history.objectNumber(headRow)] as number, objects);
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

  get leftOutCount(): number {
    return this.#leftOut.length;
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

  /** Of what is chosen: they are sent with it. */
  addTags(tags: readonly PeeledObject[]): void {
    for (const { objectNumber, tagNumbers } of tags) {
      if (this.#isChosen[objectNumber] !== 1) continue;
      this.#addWithBases(tagNumbers, Number.POSITIVE_INFINITY);
      for (const tagNumber of tagNumbers) this.#tagNumbers.add(tagNumber);
    }
  }

  /** @returns Also the numbers among the recent objects, by those of all. */
  columns(packCount: number): { readonly recent: RecentObjects; readonly numberOf: Int32Array } {
    const { packs } = this.#objects;
    const history = this.#history;
    const chosen = this.#chosen.values().slice();
    packs.sortByPlace(chosen);
    const numberOf = new Int32Array(this.#objects.objectCount).fill(-1);
    for (const [number, objectNumber] of chosen.entries()) numberOf[objectNumber] = number;
    const { packNumbers, offsets, ends } = packs.locate(chosen);
    const packCounts = new Uint32Array(packCount);
    for (const packNumber of packNumbers) packCounts[packNumber] = (packCounts[packNumber] as number) + 1;
    const ids = new Uint8Array(
      Buffer.concat([...chosen].map((n) => objectIdBytes(this.#objects.objectId(n)))),
    );
    const crcs = chosen.map((objectNumber) => packs.crc(objectNumber));
    const types = Uint8Array.from(chosen, (objectNumber) => history.types[objectNumber] as number);
    const among = (parents: Int32Array) =>
      chosen.map((objectNumber) => {
        const other = parents[objectNumber] as number;
        return other < 0 ? NONE : (numberOf[other] as number) >>> 0; // NONE as well for one that is not chosen
      });
    const treeCount = types.filter((type) => type === OBJECT_TYPE.tree).length;
    const recent = {
      ...{ ids, crcs, packCounts, offsets, ends, leftOut: this.#leftOutPrefixes() },
      ...{ held: new Uint32Array(0), entries: new Uint8Array(0) },
      history: {
        types,
        sizes: chosen.map((objectNumber) => history.sizes[objectNumber] as number),
        deltaBases: among(history.deltaForest.parents),
        predecessors: among(history.versionForest.parents),
        ...this.#commitColumns(chosen, numberOf),
        tagTargets: this.#tagTargets(chosen, types, numberOf),
        treeKinds: new Uint8Array(treeCount),
        treeChangeEnds: new Uint32Array(treeCount),
        treeChanges: new Uint32Array(0),
        externalIds: new Uint8Array(0),
      },
    };
    return { recent, numberOf };
  }

  #leftOutPrefixes(): Uint32Array {
    const prefixOf = (row: HistoryRow): number =>
      Number.parseInt(this.#objects.objectId(this.#history.objectNumber(row)).slice(0, 8), 16);
    return Uint32Array.from(this.#leftOut, prefixOf).sort();
  }

  #commitColumns(chosen: Uint32Array, numberOf: Int32Array) {
    const history = this.#history;
    // Parents first: rows are in this order, and the base, whose parents are left out, is the first.
    const rows = [this.#baseRow, ...this.#rows.slice(1).toSorted((a, b) => a - b)];
    const parents = new Uint32Vector();
    const introduced = new Uint32Vector();
    const parentEnds = new Uint32Array(rows.length);
    const introducedEnds = new Uint32Array(rows.length);
    for (const [i, row] of rows.entries()) {
      if (i === 0) {
        for (const [number, objectNumber] of chosen.entries())
          if (this.#old.isHad(objectNumber)) introduced.push(number);
      } else {
        for (const parentRow of history.parentRows(row))
          if (this.#isRow[parentRow] === 1) parents.push(numberOf[history.objectNumber(parentRow)] as number);
        for (const objectNumber of this.#newIn(row)) introduced.push(numberOf[objectNumber] as number);
      }
      parentEnds[i] = parents.length;
      introducedEnds[i] = introduced.length;
    }
    return {
      commitObjects: Uint32Array.from(rows, (row) => numberOf[history.objectNumber(row)] as number),
      commitTrees: Uint32Array.from(rows, (row) => numberOf[history.treeNumber(row)] as number),
      seconds: Float64Array.from(rows, (row) => history.seconds(row)),
      parentEnds,
      parents: parents.values().slice(),
      introducedEnds,
      introduced: introduced.values().slice(),
    };
  }

  /** Only of the tags of refs: a client may name no others. */
  #tagTargets(chosen: Uint32Array, types: Uint8Array, numberOf: Int32Array): Uint32Array {
    const targets: number[] = [];
    for (const [number, objectNumber] of chosen.entries()) {
      if (types[number] !== OBJECT_TYPE.tag) continue;
      const target = this.#history.tagTargets[objectNumber] ?? -1;
      const isOfRef = this.#tagNumbers.has(objectNumber) && target >= 0;
      targets.push(isOfRef ? (numberOf[target] as number) >>> 0 : NONE);
    }
    return Uint32Array.from(targets);
  }
}
