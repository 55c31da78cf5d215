/**
 * Which commits a client lacks: reachable from its wants and not from its haves.
 *
 * The walk goes from the newest commit to the oldest by the committers' clocks, and stops a little after only commits
 * that the client has are left. A wrong clock can make the answer larger, never smaller: what counts as "the client
 * has" is only ever passed on from haves to parents.
 */

import { CorruptPackError } from "../../errors.ts";
import type { CommitRow } from "../object-numbers.ts";
import { CommitPriorityQueue } from "./commit-priority-queue.ts";
import { type CommitTable, MISSING_PARENT } from "./commit-table.ts";

const WANTED = 1;
const CLIENT_HAS = 2;
const QUEUED = 4;
const ORDERED = 8;

/** How many more commits are looked at in the end, as in git: some clocks are wrong. */
const SLOP = 5;

export interface MissingCommits {
  /** Parents before children. */
  readonly rows: readonly number[];
  clientHas(row: CommitRow): boolean;
}

/**
 * @param wantRows, haveRows - Rows of `table`.
 * @param sinceSeconds - Older commits count as the client's.
 * @throws {CorruptPackError} A wanted commit's parent is missing.
 */
export async function findMissingCommits(
  table: CommitTable,
  wantRows: readonly number[],
  haveRows: readonly number[],
  sinceSeconds = Number.NEGATIVE_INFINITY,
): Promise<MissingCommits> {
  const walk = new PaintedWalk(table, sinceSeconds);
  for (const row of haveRows) await walk.paint(row, CLIENT_HAS);
  for (const row of wantRows) await walk.paint(row, WANTED);
  await walk.run();
  await walk.settle();
  const rows = await parentsFirst(table, walk, wantRows);
  return { rows, clientHas: (row) => walk.has(row, CLIENT_HAS) };
}

class PaintedWalk {
  readonly #table: CommitTable;
  readonly #sinceSeconds: number;
  readonly #queue: CommitPriorityQueue;
  readonly #flags: number[] = [];
  /** Rows in the queue that the client is not known to have. */
  #openCount = 0;

  constructor(table: CommitTable, sinceSeconds: number) {
    this.#table = table;
    this.#sinceSeconds = sinceSeconds;
    this.#queue = new CommitPriorityQueue((row) => table.seconds(row));
  }

  has(row: CommitRow, flag: number): boolean {
    return ((this.#flags[row] ?? 0) & flag) !== 0;
  }

  set(row: CommitRow, flag: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) | flag;
  }

  /** Gives the row a colour; if that says something new, the row is to be visited, again if need be. */
  async paint(row: CommitRow, colour: number): Promise<void> {
    const before = this.#flags[row] ?? 0;
    if ((before & colour) !== 0 || (before & CLIENT_HAS) !== 0) return;
    this.set(row, colour);
    const isQueued = (before & QUEUED) !== 0;
    if (isQueued) {
      if (colour === CLIENT_HAS) this.#openCount--;
      return;
    }
    await this.#table.load(row);
    this.set(row, QUEUED);
    if (colour === WANTED) this.#openCount++;
    this.#queue.push(row);
  }

  async run(): Promise<void> {
    let slop = SLOP;
    let oldestWantedSeconds = Number.POSITIVE_INFINITY;
    while (slop > 0) {
      const row = this.#queue.pop();
      if (row === undefined) return;
      this.#flags[row] = (this.#flags[row] ?? 0) & ~QUEUED;
      if (!this.has(row, CLIENT_HAS)) {
        this.#openCount--;
        if (this.#table.seconds(row) < this.#sinceSeconds) this.set(row, CLIENT_HAS);
      }
      const colour = this.has(row, CLIENT_HAS) ? CLIENT_HAS : WANTED;
      for (const parentRow of this.#parentRows(row, colour)) {
        if (parentRow !== MISSING_PARENT) await this.paint(parentRow, colour);
        else if (colour === WANTED) throw this.#missingParent(row);
      }
      if (colour === WANTED) oldestWantedSeconds = this.#table.seconds(row);
      else slop = this.#mayFindMore(oldestWantedSeconds) ? SLOP : slop - 1;
    }
  }

  #mayFindMore(oldestWantedSeconds: number): boolean {
    const nextRow = this.#queue.peek();
    return (
      this.#openCount > 0 || (nextRow !== undefined && this.#table.seconds(nextRow) >= oldestWantedSeconds)
    );
  }

  /** Passes "the client has" on through what is in memory: commits with lying clocks may still wait in the queue. */
  async settle(): Promise<void> {
    const stack: number[] = [];
    for (let row = this.#queue.pop(); row !== undefined; row = this.#queue.pop()) stack.push(row);
    for (let row = stack.pop(); row !== undefined; row = stack.pop()) {
      if (this.#table.slices.isDue(1)) await this.#table.slices.pause();
      for (const parentRow of this.#parentRows(row, CLIENT_HAS)) {
        if (parentRow === MISSING_PARENT || this.has(parentRow, CLIENT_HAS)) continue;
        this.set(parentRow, CLIENT_HAS);
        if (this.#table.isLoaded(parentRow)) stack.push(parentRow);
      }
    }
  }

  #parentRows(row: CommitRow, colour: number): readonly number[] {
    return colour === CLIENT_HAS ? this.#table.heldParentRows(row) : this.#table.parentRows(row);
  }

  #missingParent(row: CommitRow): CorruptPackError {
    return new CorruptPackError("commit's parent is missing", {
      commitObject: this.#table.objectNumber(row),
    });
  }
}

async function parentsFirst(
  table: CommitTable,
  walk: PaintedWalk,
  wantRows: readonly number[],
): Promise<number[]> {
  const ordered: number[] = [];
  /** Rows whose parents are being ordered, each with the index of the parent to look at next. */
  const path: { readonly row: CommitRow; nextParent: number }[] = [];
  const enter = (row: CommitRow): void => {
    if (row === MISSING_PARENT || walk.has(row, CLIENT_HAS | ORDERED) || !walk.has(row, WANTED)) return;
    walk.set(row, ORDERED);
    path.push({ row, nextParent: 0 });
  };
  for (const wantRow of wantRows) {
    enter(wantRow);
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      const parentRow = table.parentRows(step.row)[step.nextParent++];
      if (parentRow !== undefined) enter(parentRow);
      else {
        if (table.slices.isDue(1)) await table.slices.pause();
        ordered.push(step.row);
        path.pop();
      }
    }
  }
  return ordered;
}
