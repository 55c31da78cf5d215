/**
 * Whether every want has a common commit below it, kept up to date while common commits come in: a negotiation looks at each
 * commit once, however many haves it has.
 *
 * The walk goes down from the wants, and does not go below what is older than the oldest common commit. A commit that turns out
 * to reach something common passes that on to the commits above it that were looked at.
 */
import type { CommitRow } from "../object-numbers.ts";
import type { WorkSlices } from "../work-slices.ts";
import { CommitPriorityQueue } from "./commit-priority-queue.ts";
import { type CommitTable, MISSING_PARENT } from "./commit-table.ts";

const SEEN = 1;
const REACHES = 2;
const WANT = 4;

/** Commits looked at in one negotiation. Beyond them nothing is enough: the client sends all its haves, and then `done`. */
const MAX_LOOKED_AT = 2_000_000;

export class WantsReach {
  readonly #table: CommitTable;
  readonly #slices: WorkSlices;
  readonly #flags: number[] = [];
  /** By row: the commits above it that were looked at, and that are not known to reach anything common. */
  readonly #children: number[][] = [];
  readonly #startRows: number[];
  /** Seen, not looked at; newest first. */
  readonly #queue: CommitPriorityQueue;
  #openWants = 0;
  #oldestSeconds = Number.POSITIVE_INFINITY;
  #lookedAtCount = 0;

  /** @param wantRows - Rows of `table`. */
  constructor(table: CommitTable, wantRows: readonly number[], slices: WorkSlices) {
    this.#table = table;
    this.#slices = slices;
    this.#startRows = [...new Set(wantRows)];
    this.#queue = new CommitPriorityQueue((row) => table.seconds(row));
    for (const row of this.#startRows) this.#set(row, SEEN | WANT);
    this.#openWants = this.#startRows.length;
  }

  /** The client has the commit, and its parents. @param row - Loaded. */
  async addCommon(row: CommitRow): Promise<void> {
    this.#oldestSeconds = Math.min(this.#oldestSeconds, this.#table.seconds(row));
    await this.#markReaching(row);
    for (const parentRow of this.#table.parentRows(row)) {
      if (parentRow !== MISSING_PARENT) await this.#markReaching(parentRow);
    }
  }

  /** Whether every want reaches something common. A lying clock costs at most a round more. */
  async isComplete(): Promise<boolean> {
    while (this.#openWants > 0 && this.#lookedAtCount < MAX_LOOKED_AT) {
      const row = this.#startRows.pop() ?? this.#nextQueued();
      if (row === undefined) return false;
      if (!this.#has(row, REACHES)) await this.#lookAt(row);
    }
    return this.#openWants === 0;
  }

  #nextQueued(): number | undefined {
    const row = this.#queue.peek();
    return row === undefined || this.#table.seconds(row) < this.#oldestSeconds
      ? undefined
      : this.#queue.pop();
  }

  async #lookAt(row: CommitRow): Promise<void> {
    this.#lookedAtCount++;
    await this.#table.load(row);
    for (const parentRow of this.#table.parentRows(row)) {
      if (parentRow === MISSING_PARENT) continue;
      if (this.#has(parentRow, REACHES)) return this.#markReaching(row);
      const siblings = this.#children[parentRow];
      if (siblings === undefined) this.#children[parentRow] = [row];
      else siblings.push(row);
      if (this.#has(parentRow, SEEN)) continue;
      this.#set(parentRow, SEEN);
      await this.#table.load(parentRow);
      this.#queue.push(parentRow);
    }
  }

  async #markReaching(startRow: CommitRow): Promise<void> {
    const pending = [startRow];
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      if (this.#has(row, REACHES)) continue;
      this.#set(row, REACHES);
      if (this.#has(row, WANT)) this.#openWants--;
      const children = this.#children[row];
      if (children === undefined) continue;
      delete this.#children[row];
      for (const child of children) pending.push(child);
      const pause = this.#slices.spend(children.length);
      if (pause !== undefined) await pause;
    }
  }

  #has(row: CommitRow, flag: number): boolean {
    return ((this.#flags[row] ?? 0) & flag) !== 0;
  }

  #set(row: CommitRow, flag: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) | flag;
  }
}
