/** What is known of repositories' LFS files, as the store says now: documents are asked whether they have changed, tables are kept. */
import { LRUCache } from "lru-cache";
import { errorFields, NotFoundError } from "../errors.ts";
import { inBatches } from "../in-batches.ts";
import type { Logger } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { type LfsRightsDocument, type ListedTable, NO_RIGHTS } from "../repo/lfs-rights-document.ts";
import {
  type LfsRecord,
  RIGHTS_RECORDS,
  type RightsTable,
  readRightsRecord,
} from "../repo/lfs-rights-table.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import type { Stored } from "../repo/stored-document.ts";
import { isTableDamage, StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import { findStoredRecords } from "../repo/stored-oid-records.ts";

/** Tables of 1,500,000 files. */
const DEFAULT_MAX_TABLE_BYTES = 64 * 1024 * 1024;
/** Of these, for one repository's tables: larger ones would push out those of others, or be read anew for each batch. */
const REPOSITORY_SHARE = 1 / 4;
const LOOK_UPS_AT_ONCE = 32;
/** Some 1 KB each. */
const MAX_DOCUMENTS = 10_000;
/** A merge may remove the tables of a document that was just read. */
const MAX_TRIES = 3;
/** Damage of a repository's tables is logged so often. */
const LOGGED_ONCE_MS = 60 * 60 * 1000;

export class KnownRights {
  readonly #storage: Pick<RepositoryStorage, "store" | "blocks">;
  readonly #log: Logger;
  readonly #documents = lruCache<Stored<LfsRightsDocument>>(MAX_DOCUMENTS);
  /** By id, which is random: also while they are read. */
  readonly #tables: LRUCache<string, { readonly table: Promise<RightsTable> }>;
  readonly #maxTableBytes: number;
  /** By uuid. */
  readonly #logged = lruCache<{ readonly isLogged: true }>(MAX_DOCUMENTS, {
    ttlMs: LOGGED_ONCE_MS,
    now: Date.now,
  });

  /** @param maxTableBytes - Of tables that are kept. */
  constructor(
    storage: Pick<RepositoryStorage, "store" | "blocks">,
    log: Logger,
    maxTableBytes = DEFAULT_MAX_TABLE_BYTES,
  ) {
    this.#storage = storage;
    this.#log = log;
    this.#maxTableBytes = maxTableBytes;
    this.#tables = new LRUCache({ maxSize: Math.max(1, maxTableBytes) });
  }

  /**
   * Two rounds at first, then one request if nothing has changed. Of large tables the blocks in which the oids are, from the block
   * cache, without a comparison of the checksum.
   * @returns By oid what is known. Where a table is damaged, only what newer ones say: it may have taken back what older ones say.
   */
  async find(uuid: RepositoryUuid, oids: readonly string[]): Promise<ReadonlyMap<string, LfsRecord>> {
    const stored = new StoredLfsRights(this.#storage.store, uuid);
    for (let tries = 1; ; tries++) {
      const document = await stored.readDocument(this.#documents.get(uuid));
      this.#documents.set(uuid, document);
      const { tables } = document.value ?? NO_RIGHTS;
      const found = new Map<string, LfsRecord>();
      try {
        const large = largeTables(tables, this.#maxTableBytes * REPOSITORY_SHARE);
        const newestFirst = tables.toReversed().map((listed) => {
          return { listed, whole: large.has(listed) ? undefined : this.#readTable(stored, listed) };
        });
        for (const { listed, whole } of newestFirst) {
          const left = oids.filter((oid) => !found.has(oid));
          if (whole === undefined) await this.#findInBlocks(uuid, listed, left, found);
          else {
            const table = await whole;
            for (const oid of left) {
              const record = table.find(Buffer.from(oid, "hex"));
              if (record !== undefined) found.set(oid, record);
            }
          }
        }
        return found;
      } catch (error) {
        if (error instanceof NotFoundError && tries < MAX_TRIES) continue;
        if (!isTableDamage(error)) throw error;
        this.#logDamage(uuid, error);
        return found;
      }
    }
  }

  async #findInBlocks(
    uuid: RepositoryUuid,
    { id, records: count }: ListedTable,
    oids: readonly string[],
    found: Map<string, LfsRecord>,
  ): Promise<void> {
    const { blocks } = this.#storage;
    const table = { blocks, key: repositoryKeys(uuid).lfsTable(id), ...RIGHTS_RECORDS, count };
    await inBatches(oids, LOOK_UPS_AT_ONCE, async (oid) => {
      const record = (await findStoredRecords(table, [oid])).get(oid);
      if (record !== undefined) found.set(oid, readRightsRecord(record));
    });
  }

  #logDamage(uuid: RepositoryUuid, error: unknown): void {
    if (this.#logged.has(uuid)) return;
    this.#logged.set(uuid, { isLogged: true });
    this.#log.error("store:damaged", { uuid, ...errorFields(error) }, { DamagedBlobs: 1 });
  }

  #readTable(stored: StoredLfsRights, listed: ListedTable): Promise<RightsTable> {
    const { id, bytes: size } = listed;
    const known = this.#tables.get(id);
    if (known !== undefined) return known.table;
    const table = stored.readTable(listed);
    this.#tables.set(id, { table }, { size });
    table.catch(() => this.#tables.delete(id));
    return table;
  }
}

/** The largest ones, without which the others have at most `maxBytes` in all. */
function largeTables(tables: readonly ListedTable[], maxBytes: number): ReadonlySet<ListedTable> {
  let wholeBytes = 0;
  const smallestFirst = tables.toSorted((a, b) => a.bytes - b.bytes);
  return new Set(
    smallestFirst.filter(({ bytes }) => {
      wholeBytes += bytes;
      return wholeBytes > maxBytes;
    }),
  );
}
