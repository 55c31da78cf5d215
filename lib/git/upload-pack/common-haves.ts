/** Which of the client's haves are here too, and whether they are enough to stop asking. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import type { ObjectReader } from "../ports.ts";
import { CommitTable, MISSING_PARENT } from "../walk/commit-table.ts";
import { peelObject } from "../walk/peel.ts";
import { WantsReach } from "../walk/wants-reach.ts";

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
    const pause = this.#reader.slices.spend(HAVE_STEPS);
    if (pause !== undefined) await pause;
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
