/** Commits by row, read as they are needed: struct of arrays, because a history has many. */

import { CorruptPackError } from "../../errors.ts";
import type { CommitRow, ObjectNumber } from "../object-numbers.ts";
import { parseCommit } from "../objects.ts";
import type { ObjectReader } from "../ports.ts";
import type { WorkSlices } from "../work-slices.ts";

const NOT_READ = -2;
/** To read and parse a commit, in steps of `WorkSlices`. */
const READ_STEPS = 30;
/** In `parentRows`, in place of a parent that the repository does not hold. */
export const MISSING_PARENT = -1;

export class CommitTable {
  readonly #reader: ObjectReader;
  readonly #rowOfObject = new Map<number, number>();
  readonly #objectNumbers: number[] = [];
  readonly #treeNumbers: number[] = [];
  readonly #seconds: number[] = [];
  readonly #parentRows: (readonly number[])[] = [];
  readonly #cutRows = new Set<number>();
  readonly #clientEndRows = new Set<number>();

  constructor(reader: ObjectReader) {
    this.#reader = reader;
  }

  get rowCount(): number {
    return this.#objectNumbers.length;
  }

  get slices(): WorkSlices {
    return this.#reader.slices;
  }

  /** The row of a commit, which is not read yet. */
  rowOf(objectNumber: ObjectNumber): CommitRow {
    const known = this.#rowOfObject.get(objectNumber);
    if (known !== undefined) return known;
    const row = this.#objectNumbers.length;
    this.#rowOfObject.set(objectNumber, row);
    this.#objectNumbers.push(objectNumber);
    this.#treeNumbers.push(NOT_READ);
    this.#seconds.push(0);
    this.#parentRows.push([]);
    return row;
  }

  /** Reads the commit if that was not done before. Pauses when the reader's slice of work is used up. @throws {CorruptPackError} It is no commit, or its tree is missing. */
  async load(row: CommitRow): Promise<void> {
    if (this.slices.isDue(1)) await this.slices.pause();
    if (this.#treeNumbers[row] !== NOT_READ) return;
    const objectNumber = this.objectNumber(row);
    if (this.#takeFromHistory(row, objectNumber)) return;
    if (this.slices.isDue(READ_STEPS)) await this.slices.pause();
    const { type, bytes } = await this.#reader.read(objectNumber);
    const commitId = this.#reader.objectId(objectNumber);
    if (type !== "commit") throw new CorruptPackError("not a commit", { id: commitId, type });
    const commit = parseCommit(bytes);
    const treeNumber = this.#reader.findId(commit.treeId);
    if (treeNumber < 0) throw new CorruptPackError("commit's tree is missing", { commitId });
    this.#treeNumbers[row] = treeNumber;
    this.#seconds[row] = commit.committedAtSeconds;
    this.#parentRows[row] = commit.parentIds.map((id) => {
      const parentNumber = this.#reader.findId(id);
      return parentNumber < 0 ? MISSING_PARENT : this.rowOf(parentNumber);
    });
  }

  #takeFromHistory(row: CommitRow, objectNumber: ObjectNumber): boolean {
    const { history } = this.#reader;
    const historyRow = history?.rowOf(objectNumber) ?? -1;
    if (history === undefined || historyRow < 0) return false;
    this.#treeNumbers[row] = history.treeNumber(historyRow);
    this.#seconds[row] = history.seconds(historyRow);
    this.#parentRows[row] = Array.from(history.parentRows(historyRow), (parentRow) =>
      parentRow < 0 ? MISSING_PARENT : this.rowOf(history.objectNumber(parentRow)),
    );
    return true;
  }

  isLoaded(row: CommitRow): boolean {
    return this.#treeNumbers[row] !== NOT_READ;
  }

  objectNumber(row: CommitRow): ObjectNumber {
    return this.#objectNumbers[row] ?? -1;
  }

  /** After `load`. */
  treeNumber(row: CommitRow): ObjectNumber {
    return this.#treeNumbers[row] ?? -1;
  }

  /** After `load`. */
  seconds(row: CommitRow): number {
    return this.#seconds[row] ?? 0;
  }

  /** After `load`. {@link MISSING_PARENT} stands for what the repository does not hold. None if the commit is cut. */
  parentRows(row: CommitRow): readonly number[] {
    return this.#cutRows.has(row) ? [] : this.recordedParentRows(row);
  }

  /** After `load`. The parents that the commit itself names, cut or not. */
  recordedParentRows(row: CommitRow): readonly number[] {
    return this.#parentRows[row] ?? [];
  }

  /** From now on the commit counts as one without parents, as in a client whose history ends there. */
  cut(row: CommitRow): void {
    this.#cutRows.add(row);
  }

  /** The history that the client has up to now ends at the commit. */
  endClientHistory(row: CommitRow): void {
    this.#clientEndRows.add(row);
  }

  /** After `load`. Of a commit that the client has, the parents that it has as well: also below where its history is to end. */
  heldParentRows(row: CommitRow): readonly number[] {
    return this.#clientEndRows.has(row) ? [] : this.recordedParentRows(row);
  }

  get hasCuts(): boolean {
    return this.#cutRows.size > 0;
  }

  isCut(row: CommitRow): boolean {
    return this.#cutRows.has(row);
  }
}
