/** Which of the client's haves are here too, and whether they are enough to stop asking. */

import type { ObjectId } from "../object-id.ts";
import type { CommitRow } from "../object-numbers.ts";
import type { ObjectReader } from "../ports.ts";
import { CommitTable, MISSING_PARENT } from "../walk/commit-table.ts";
import { peelObject } from "../walk/peel.ts";

const REACHES = 1;
const VISITED = 2;

export class CommonHaves {
  readonly #reader: ObjectReader;
  readonly #wants: readonly ObjectId[];
  readonly #table: CommitTable;
  readonly #ids = new Set<ObjectId>();
  readonly #commitNumbers = new Set<number>();
  /** By row: whether the client has it, or something below it. Dropped when another have comes. */
  #states: number[] = [];
  #oldestSeconds = Number.POSITIVE_INFINITY;
  #knownEnough: boolean | undefined;
  #wantRows: readonly number[] | undefined;

  constructor(reader: ObjectReader, wants: readonly ObjectId[]) {
    this.#reader = reader;
    this.#wants = wants;
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

  /** @returns Whether the object is here. */
  async add(id: ObjectId): Promise<boolean> {
    if (this.#reader.findId(id) < 0) return false;
    this.#ids.add(id);
    const peeled = await peelObject(this.#reader, id);
    if (peeled?.type !== "commit" || this.#commitNumbers.has(peeled.objectNumber)) return true;
    this.#commitNumbers.add(peeled.objectNumber);
    const row = this.#table.rowOf(peeled.objectNumber);
    await this.#table.load(row);
    this.#oldestSeconds = Math.min(this.#oldestSeconds, this.#table.seconds(row));
    if (this.#knownEnough !== true) this.#knownEnough = undefined;
    return true;
  }

  /**
   * Whether every want has something common below it, so that more haves can only make the answer a little smaller.
   * What is older than the oldest have is not looked at; a lying clock costs at most a round more.
   */
  async isEnough(): Promise<boolean> {
    if (this.#commitNumbers.size === 0) return false;
    this.#knownEnough ??= await this.#everyWantReaches();
    return this.#knownEnough;
  }

  async #everyWantReaches(): Promise<boolean> {
    this.#states = [];
    for (const commitNumber of this.#commitNumbers) {
      const row = this.#table.rowOf(commitNumber);
      this.#states[row] = REACHES;
      for (const parentRow of this.#table.parentRows(row)) {
        if (parentRow !== MISSING_PARENT) this.#states[parentRow] = REACHES;
      }
    }
    this.#wantRows ??= await this.#readWantRows();
    for (const row of this.#wantRows) if (!(await this.#reaches(row))) return false;
    return true;
  }

  /** Wants that are no commits say nothing about history. */
  async #readWantRows(): Promise<number[]> {
    const rows: number[] = [];
    for (const id of this.#wants) {
      const peeled = await peelObject(this.#reader, id);
      if (peeled?.type === "commit") rows.push(this.#table.rowOf(peeled.objectNumber));
    }
    return rows;
  }

  async #reaches(startRow: number): Promise<boolean> {
    const path: { readonly row: CommitRow; nextParent: number }[] = [{ row: startRow, nextParent: 0 }];
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      if (this.#states[step.row] === REACHES) {
        for (const { row } of path) this.#states[row] = REACHES;
        return true;
      }
      this.#states[step.row] = VISITED;
      await this.#table.load(step.row);
      const isTooOld = step.row !== startRow && this.#table.seconds(step.row) < this.#oldestSeconds;
      const parentRow = isTooOld ? undefined : this.#table.parentRows(step.row)[step.nextParent++];
      if (parentRow === undefined) path.pop();
      else if (parentRow !== MISSING_PARENT && this.#states[parentRow] !== VISITED) {
        path.push({ row: parentRow, nextParent: 0 });
      }
    }
    return false;
  }
}
