/** What is known of repositories' LFS files, as the store says now: documents are asked whether they have changed, tables are kept. */
import { LRUCache } from "lru-cache";
import { boundedCache } from "../auth/bounded-cache.ts";
import { errorFields, NotFoundError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RightsTable } from "../repo/lfs-rights-table.ts";
import type { Stored } from "../repo/stored-document.ts";
import {
  isTableDamage,
  LfsRights,
  type LfsRightsDocument,
  type ListedTable,
  NO_RIGHTS,
  StoredLfsRights,
} from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";

/** Tables of 1,500,000 files. */
const DEFAULT_MAX_TABLE_BYTES = 64 * 1024 * 1024;
/** Some 1 KB each. */
const MAX_DOCUMENTS = 10_000;
/** A merge may remove the tables of a document that was just read. */
const MAX_TRIES = 3;

export class KnownRights {
  readonly #store: BlobStore;
  readonly #log: Logger;
  readonly #documents = boundedCache<Stored<LfsRightsDocument>>(MAX_DOCUMENTS);
  /** By id, which is random: also while they are read. */
  readonly #tables: LRUCache<string, { readonly table: Promise<RightsTable> }>;

  /** @param maxTableBytes - Of tables that are kept. */
  constructor(store: BlobStore, log: Logger, maxTableBytes = DEFAULT_MAX_TABLE_BYTES) {
    this.#store = store;
    this.#log = log;
    this.#tables = new LRUCache({ maxSize: Math.max(1, maxTableBytes) });
  }

  /** Two rounds at first, then one request if nothing has changed. Nothing is known where a table is damaged. */
  async read(uuid: RepositoryUuid): Promise<LfsRights> {
    const stored = new StoredLfsRights(this.#store, uuid);
    for (let tries = 1; ; tries++) {
      const document = await stored.readDocument(this.#documents.get(uuid));
      this.#documents.set(uuid, document);
      const { value = NO_RIGHTS } = document;
      try {
        const tables = await Promise.all(value.tables.map((listed) => this.#readTable(stored, listed)));
        return new LfsRights(value, tables);
      } catch (error) {
        if (error instanceof NotFoundError && tries < MAX_TRIES) continue;
        if (!isTableDamage(error)) throw error;
        this.#log.error("store:damaged", { uuid, ...errorFields(error) }, { DamagedBlobs: 1 });
        return new LfsRights(NO_RIGHTS, []);
      }
    }
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
