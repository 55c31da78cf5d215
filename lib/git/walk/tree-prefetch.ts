/**
 * Prefetches the trees that a walk will read one after the other, as far as the sidecars name them: with a store
 * that takes 20 ms to answer, a tree read after the other is what takes the time. What it misses is read when it is needed.
 */
import type { CommitRow, ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { ObjectReader } from "../ports.ts";
import type { CommitTable } from "./commit-table.ts";

/**
 * Commits looked at whole: for how many reading is begun at once, and up to how many beyond the one that is walked. More of them would push out of the cache what is to be looked at before.
 */
const WHOLE = { atOnce: 32, ahead: 128 };
/** The same for commits that are compared with their parents, which have much less of their own. */
const COMPARED = { atOnce: 256, ahead: 2048 };

export interface WalkedCommits {
  readonly table: CommitTable;
  /** Rows of those whose trees are looked into, in that order: whole if they are cut, else beside those of their parents. */
  readonly walkedRows: readonly number[];
  /** Rows of those that the client has and whose trees are looked into as well, whole. */
  readonly heldRows: readonly number[];
}

export class TreePrefetch {
  readonly #reader: ObjectReader;
  readonly #table: CommitTable;
  readonly #passWhole: (count: number) => void;
  readonly #passCompared: (count: number) => void;
  readonly #seenTrees = new Set<number>();

  constructor(reader: ObjectReader, { table, walkedRows, heldRows }: WalkedCommits) {
    this.#reader = reader;
    this.#table = table;
    const cutRows = walkedRows.filter((row) => table.isCut(row));
    const comparedRows = walkedRows.filter((row) => !table.isCut(row));
    const wholeRows = [...heldRows, ...cutRows];
    this.#passWhole = beginAhead(wholeRows, WHOLE, (rows) => reader.readAhead(this.#allTrees(rows)));
    this.#passCompared = beginAhead(comparedRows, COMPARED, (rows) => {
      reader.readAhead(this.#introducedTrees(rows));
    });
    this.#passWhole(heldRows.length);
    this.#passCompared(0);
  }

  /** Call it for each row, before the row is walked. */
  pass(row: CommitRow): void {
    (this.#table.isCut(row) ? this.#passWhole : this.#passCompared)(1);
  }

  *#allTrees(rows: readonly number[]): Generator<number, void> {
    const { history } = this.#reader;
    if (history === undefined) return;
    const pending = this.#historyRows(rows).map((row) => history.treeNumber(row));
    const isSeen = (treeNumber: ObjectNumber): boolean => this.#seenTrees.has(treeNumber);
    for (let tree = pending.pop(); tree !== undefined; tree = pending.pop()) {
      if (isSeen(tree)) continue;
      this.#seenTrees.add(tree);
      yield tree;
      for (const objectNumber of history.trees.entriesBeyond(tree, isSeen) ?? [])
        if (history.types[objectNumber] === OBJECT_TYPE.tree) pending.push(objectNumber);
    }
  }

  *#introducedTrees(rows: readonly number[]): Generator<number, void> {
    const { history } = this.#reader;
    if (history === undefined) return;
    for (const row of this.#historyRows(rows)) {
      for (const objectNumber of history.introduced(row)) {
        if (history.types[objectNumber] !== OBJECT_TYPE.tree) continue;
        yield objectNumber;
        const before = history.versionForest.parents[objectNumber] as number;
        if (before >= 0) yield before;
      }
    }
  }

  #historyRows(rows: readonly number[]): number[] {
    const { history } = this.#reader;
    if (history === undefined) return [];
    return rows.map((row) => history.rowOf(this.#table.objectNumber(row))).filter((row) => row >= 0);
  }
}

/**
 * Passes through a list, and begins its rows in slices, some of them beyond where it has been passed to.
 * @returns Passes so many rows more.
 */
function beginAhead(
  rows: readonly number[],
  { atOnce, ahead }: typeof WHOLE,
  begin: (rows: readonly number[]) => void,
): (count: number) => void {
  let begunCount = 0;
  let passedCount = 0;
  return (count) => {
    passedCount += count;
    const end = Math.min(passedCount + ahead, rows.length);
    for (; begunCount < end; begunCount += atOnce) begin(rows.slice(begunCount, begunCount + atOnce));
  };
}
