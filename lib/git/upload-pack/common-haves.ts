/** Which of the client's haves are here too, and whether they are enough to stop asking. */
import type { ObjectId } from "../object-id.ts";
import type { CommitRow, ObjectNumber } from "../object-numbers.ts";
import type { ObjectReader } from "../ports.ts";
import { CommitPriorityQueue } from "../walk/commit-priority-queue.ts";
import { CommitTable, MISSING_PARENT } from "../walk/commit-table.ts";
import { peelObject } from "../walk/peel.ts";
import type { WorkSlices } from "../work-slices.ts";

/** A look-up in the indexes and a commit, in steps of `WorkSlices`. */
const HAVE_STEPS = 5;

export interface CommonHavesOptions {
  /** @returns -1 for what is not here, or what clients must not know of. */
  readonly findServed?: (id: ObjectId) => ObjectNumber;
  /** Commits whose parents the client has not. */
  readonly shallows?: readonly ObjectId[];
}

export class CommonHaves {
  readonly #reader: ObjectReader;
  readonly #wants: readonly ObjectId[];
  readonly #findServed: (id: ObjectId) => ObjectNumber;
  readonly #shallows: readonly ObjectId[];
  readonly #table: CommitTable;
  readonly #ids = new Set<ObjectId>();
  readonly #commitNumbers = new Set<number>();
  /** Rows of the common commits and their parents. */
  readonly #heldRows = new Set<number>();
  #distinctCount = 0;
  #reach: Promise<WantsReach> | undefined;

  constructor(
    reader: ObjectReader,
    wants: readonly ObjectId[],
    { findServed = (id) => reader.findId(id), shallows = [] }: CommonHavesOptions = {},
  ) {
    this.#reader = reader;
    this.#wants = wants;
    this.#findServed = findServed;
    this.#shallows = shallows;
    this.#table = new CommitTable(reader);
  }

  /** Everything common, as the client named it. */
  get ids(): ReadonlySet<ObjectId> {
    return this.#ids;
  }

  /** The common commits; a common tag counts as the commit it points to. */
  get commitNumbers(): readonly number[] {
    return [...this.#commitNumbers];
  }

  /** Of the common ones, without those that are parents of others before them. */
  get distinctCount(): number {
    return this.#distinctCount;
  }

  /** @returns Whether the object is here. */
  async add(id: ObjectId): Promise<boolean> {
    if (this.#reader.slices.isDue(HAVE_STEPS)) await this.#reader.slices.pause();
    if (this.#findServed(id) < 0) return false;
    const isNew = !this.#ids.has(id);
    if (isNew) this.#ids.add(id);
    const peeled = await peelObject(this.#reader, id);
    if (peeled?.type !== "commit") {
      if (isNew) this.#distinctCount++;
    } else if (!this.#commitNumbers.has(peeled.objectNumber)) {
      this.#commitNumbers.add(peeled.objectNumber);
      await this.#addCommit(peeled.objectNumber);
    }
    return true;
  }

  async #addCommit(objectNumber: ObjectNumber): Promise<void> {
    const reach = await this.#wantsReach();
    const table = this.#table;
    const row = table.rowOf(objectNumber);
    await table.load(row);
    if (!this.#heldRows.has(row)) this.#distinctCount++;
    this.#heldRows.add(row);
    for (const parentRow of table.parentRows(row)) {
      if (parentRow !== MISSING_PARENT) this.#heldRows.add(parentRow);
    }
    await reach.addCommon(row);
  }

  /** Whether every want has something common below it, so that more haves can only make the answer a little smaller. */
  async isEnough(): Promise<boolean> {
    if (this.#commitNumbers.size === 0) return false;
    return (await this.#wantsReach()).isComplete();
  }

  #wantsReach(): Promise<WantsReach> {
    this.#reach ??= this.#openReach();
    return this.#reach;
  }

  /** Wants that are no commits say nothing about history. */
  async #openReach(): Promise<WantsReach> {
    for (const id of this.#shallows) {
      if (this.#reader.slices.isDue(1)) await this.#reader.slices.pause();
      const objectNumber = this.#findServed(id);
      if (objectNumber >= 0) this.#table.cut(this.#table.rowOf(objectNumber));
    }
    const wantRows: number[] = [];
    for (const id of this.#wants) {
      const peeled = await peelObject(this.#reader, id);
      if (peeled?.type === "commit") wantRows.push(this.#table.rowOf(peeled.objectNumber));
    }
    return new WantsReach(this.#table, wantRows, this.#reader.slices);
  }
}

const SEEN = 1;
const REACHES = 2;
const WANT = 4;

/** Commits looked at in one negotiation. Beyond them nothing is enough: the client sends all its haves, and then `done`. */
const MAX_LOOKED_AT = 2_000_000;

/**
 * Whether every want has a common commit below it, kept up to date while common commits come in: a negotiation looks at each
 * commit once, however many haves it has.
 *
 * The walk goes down from the wants, and does not go below what is older than the oldest common commit. A commit that turns out
 * to reach something common passes that on to the commits above it that were looked at.
 */
class WantsReach {
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
      if (this.#slices.isDue(children.length)) await this.#slices.pause();
    }
  }

  #has(row: CommitRow, flag: number): boolean {
    return ((this.#flags[row] ?? 0) & flag) !== 0;
  }

  #set(row: CommitRow, flag: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) | flag;
  }
}
