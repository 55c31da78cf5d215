/**
 * What is known of a repository's files of git-lfs, in the store: `lfs.json` lists tables, which never change. A job that
 * has copied files adds a table; a newer one counts before the older ones, and when there are many the newer become one.
 */
import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { CorruptPackError, NotFoundError, VersionConflictError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { BlockCache } from "../store/block-cache.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import {
  LFS_RIGHTS_FORM,
  type LfsRightsDocument,
  type ListedTable,
  NO_RIGHTS,
} from "./lfs-rights-document.ts";
import {
  type EncodedTable,
  eachRecord,
  encodeRightsTable,
  LFS_STATE,
  type LfsRecord,
  mergeRightsTables,
  RIGHTS_RECORDS,
  RightsTable,
  readRightsRecord,
} from "./lfs-rights-table.ts";
import { type Stored, StoredDocument } from "./stored-document.ts";
import { findStoredRecords } from "./stored-oid-records.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** A reader of a repository with as many reads them all at once. */
const MAX_TABLES = 16;

const MAX_REWRITES = 8;
const MAX_READ_TRIES = 3;

/** Of some 190,000 files. One request for more would take longer than several. */
const READ_AT_ONCE_BYTES = 8 * 1024 * 1024;

/** Of eight lost races each. */
const MAX_CHANGE_TRIES = 5;

/** One version of the tables. */
export class LfsRights {
  readonly document: LfsRightsDocument;
  /** Oldest first. */
  readonly tables: readonly RightsTable[];

  constructor(document: LfsRightsDocument, tables: readonly RightsTable[]) {
    this.document = document;
    this.tables = tables;
  }

  find(oid: string): LfsRecord | undefined {
    const bytes = Buffer.from(oid, "hex");
    for (const table of this.tables.toReversed()) {
      const record = table.find(bytes);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  /** Each oid once, in their order. Leaves the event loop to others. */
  each(visit: (record: LfsRecord) => void): Promise<void> {
    return eachRecord(this.tables, (table, row) => visit(table.recordAt(row)));
  }
}

export class StoredLfsRights {
  readonly #store: BlobStore;
  readonly #uuid: RepositoryUuid;
  readonly #document: StoredDocument<LfsRightsDocument>;

  constructor(store: BlobStore, uuid: RepositoryUuid) {
    this.#store = store;
    this.#uuid = uuid;
    this.#document = new StoredDocument(store, repositoryKeys(uuid).lfsRights, LFS_RIGHTS_FORM);
  }

  /** @param known - What was read before: then one request, if nothing has changed. */
  readDocument(known?: Stored<LfsRightsDocument>): Promise<Stored<LfsRightsDocument>> {
    return known === undefined ? this.#document.read() : this.#document.readIfChanged(known);
  }

  /** Two rounds. @param select - Of the tables those to be read; by default all. */
  async read(select = (tables: readonly ListedTable[]) => tables): Promise<LfsRights> {
    for (let tries = 1; ; tries++) {
      const { value: document = NO_RIGHTS } = await this.#document.read();
      try {
        return new LfsRights(document, await this.readTables({ tables: select(document.tables) }));
      } catch (error) {
        // They were merged since.
        if (!(error instanceof NotFoundError) || tries > MAX_READ_TRIES) throw error;
      }
    }
  }

  /** One round. Errors as of `readTable`. */
  readTables({ tables }: { readonly tables: readonly ListedTable[] }): Promise<RightsTable[]> {
    return Promise.all(tables.map((table) => this.readTable(table)));
  }

  /**
   * One round; a large one in parts, all at once.
   * @throws {NotFoundError} It is gone: the document has changed. @throws {CorruptPackError} It is damaged.
   */
  async readTable({ id, bytes: sizeBytes }: ListedTable): Promise<RightsTable> {
    const key = repositoryKeys(this.#uuid).lfsTable(id);
    if (sizeBytes <= READ_AT_ONCE_BYTES) return RightsTable.open((await this.#store.read(key)).bytes);
    const table = new Uint8Array(sizeBytes);
    const parts: Promise<void>[] = [];
    for (let at = 0; at < sizeBytes; at += READ_AT_ONCE_BYTES) {
      const length = Math.min(READ_AT_ONCE_BYTES, sizeBytes - at);
      parts.push(this.#store.readRange(key, at, length).then((part) => table.set(part, at)));
    }
    await Promise.all(parts);
    return RightsTable.open(table);
  }

  /**
   * What is known of these files, by oid. Of the tables it reads the blocks in which they are, and compares no checksum: this gives
   * no right to serve.
   */
  async findRecords(oids: readonly string[], blocks: BlockCache): Promise<ReadonlyMap<string, LfsRecord>> {
    for (let tries = 1; ; tries++) {
      const { value: document = NO_RIGHTS } = await this.#document.read();
      try {
        const known = new Map<string, LfsRecord>();
        for (const { id, records: count } of document.tables.toReversed()) {
          const table = { blocks, key: repositoryKeys(this.#uuid).lfsTable(id), ...RIGHTS_RECORDS, count };
          const found = await findStoredRecords(
            table,
            oids.filter((oid) => !known.has(oid)),
          );
          for (const [oid, record] of found) known.set(oid, readRightsRecord(record));
        }
        return known;
      } catch (error) {
        // They were merged since.
        if (!(error instanceof NotFoundError) || tries > MAX_READ_TRIES) throw error;
      }
    }
  }

  /** Stored files of the largest table: not more than there are, but for those that newer tables took the right from. */
  async countStored(): Promise<number> {
    const { tables } = await this.read((listed) =>
      listed.toSorted((a, b) => b.records - a.records).slice(0, 1),
    );
    let stored = 0;
    await eachRecord(tables, (table, row) => {
      if (table.stateAt(row) === LFS_STATE.stored) stored += 1;
    });
    return stored;
  }

  /** Adds what was learned, over whatever else is known of these oids. */
  async add(records: readonly LfsRecord[]): Promise<void> {
    if (records.length === 0) return;
    const added = await this.#storeTable(await encodeRightsTable(records));
    const { value } = await this.#changeAmongMany((document = NO_RIGHTS) => ({
      ...document,
      tables: [...document.tables, added],
    }));
    if ((value?.tables.length ?? 0) >= MAX_TABLES) await this.rewrite();
  }

  /**
   * Makes one table of all, or without `isKept` of the newer ones. What others add meanwhile stays.
   * @param isKept - Whether the record stays; called again after a lost race.
   * @throws {VersionConflictError} Others have merged the tables, eight times in a row. Not without `isKept`: that is enough then.
   */
  async rewrite(isKept?: (record: LfsRecord) => boolean): Promise<void> {
    for (let tries = 1; !(await this.#tryRewrite(isKept)); tries++) {
      if (isKept === undefined) return;
      if (tries === MAX_REWRITES) throw new VersionConflictError("tables of LFS rights change all the time");
    }
  }

  /** @returns Whether it was done, and not another merge before it. */
  async #tryRewrite(isKept?: (record: LfsRecord) => boolean): Promise<boolean> {
    const select = (tables: readonly ListedTable[]) => (isKept === undefined ? newerTables(tables) : tables);
    const { document: read, tables } = await this.read(select);
    if (tables.length === 0) return true;
    const table = await this.#storeTable(await mergeRightsTables(tables, isKept));
    const replaced = new Set(select(read.tables).map(({ id }) => id));
    let isReplaced = false;
    await this.#document.change((document = NO_RIGHTS) => {
      const first = document.tables.findIndex(({ id }) => replaced.has(id));
      const kept = document.tables.filter(({ id }) => !replaced.has(id));
      isReplaced = kept.length === document.tables.length - replaced.size;
      return isReplaced ? { ...document, tables: kept.toSpliced(first, 0, table) } : document;
    });
    const keys = repositoryKeys(this.#uuid);
    const unused = isReplaced ? replaced : [table.id];
    for (const id of unused) await this.#store.delete(keys.lfsTable(id));
    return isReplaced;
  }

  /**
   * Counts removals of all jobs, also of those that run at once. The count begins anew after a day; once there are too many,
   * after `manyMs`.
   * @returns How many there are.
   */
  async countRemovals(
    files: number,
    {
      nowMs,
      maxFiles,
      manyMs,
    }: { readonly nowMs: number; readonly maxFiles: number; readonly manyMs: number },
  ): Promise<number> {
    const { value } = await this.#document.change((document = NO_RIGHTS) => {
      const { since = "1970-01-01", files: before = 0 } = document.removals ?? {};
      const isOver = nowMs - Date.parse(since) >= (before > maxFiles ? manyMs : DAY_MS);
      const removals = isOver
        ? { since: new Date(nowMs).toISOString(), files }
        : { since, files: before + files };
      return { ...document, removals };
    });
    return value?.removals?.files ?? files;
  }

  /** As `read`, but leaves out tables that are damaged, for good: the next plan plans what they said anew. */
  async readWithoutDamage(onDamage: (error: unknown) => void): Promise<LfsRights> {
    try {
      return await this.read();
    } catch (error) {
      if (!isTableDamage(error)) throw error;
      onDamage(error);
      await this.#dropDamagedTables();
      return this.read();
    }
  }

  async #dropDamagedTables(): Promise<void> {
    const { value = NO_RIGHTS } = await this.#document.read();
    const damaged = new Set<string>();
    for (const table of value.tables) {
      try {
        await this.readTable(table);
      } catch (error) {
        if (!isTableDamage(error)) throw error;
        damaged.add(table.id);
      }
    }
    await this.#document.change((document = NO_RIGHTS) => {
      const { plannedRefs: _unplanned, ...others } = document;
      return { ...others, tables: document.tables.filter(({ id }) => !damaged.has(id)) };
    });
  }

  /** Notes that the pointers of these packs were planned. */
  async notePlanned(plan: Omit<LfsRightsDocument, "formatVersion" | "tables" | "removals">): Promise<void> {
    await this.#document.change((document = NO_RIGHTS) => ({ ...document, ...plan }));
  }

  /** Several jobs of a repository end at the same time, and each changes the document. */
  async #changeAmongMany(
    update: (document: LfsRightsDocument | undefined) => LfsRightsDocument,
  ): Promise<Stored<LfsRightsDocument>> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#document.change(update);
      } catch (error) {
        if (!(error instanceof VersionConflictError) || tries === MAX_CHANGE_TRIES) throw error;
        await setTimeout(Math.random() * tries * 500);
      }
    }
  }

  async #storeTable({ bytes, records }: EncodedTable): Promise<ListedTable> {
    // Random, so that no table is removed that is just being written again.
    const id = randomBytes(20).toString("hex");
    await this.#store.write(repositoryKeys(this.#uuid).lfsTable(id), bytes);
    return { id, records, bytes: bytes.length };
  }
}

/** Whether a table that is listed is missing or broken. */
export function isTableDamage(error: unknown): boolean {
  return [NotFoundError, CorruptPackError, RangeError].some((kind) => error instanceof kind);
}

/** At least two. A table that is much larger than all newer ones is left as it is: each record is merged a few times only. */
function newerTables(tables: readonly ListedTable[]): readonly ListedTable[] {
  let newer = 0;
  let first = tables.length;
  for (const [i, { records }] of [...tables.entries()].toReversed()) {
    if (tables.length - first >= 2 && records > 2 * newer) break;
    newer += records;
    first = i;
  }
  return tables.slice(first);
}
