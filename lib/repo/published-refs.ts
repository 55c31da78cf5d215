/** Reads the served refs alone, to compare them, without what serving needs besides. */
import type { WholeBlobs } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { readManifest } from "./manifest.ts";
import type { RefTable } from "./ref-table.ts";
import { openRefSnapshot } from "./refs.ts";
import { asRepositoryDamage } from "./repository-damage.ts";

export interface PublishedRefs {
  readonly table: RefTable;
  readonly refCount: number;
}

/**
 * Two requests, one after the other.
 * @throws {NotFoundError} Nothing was published. @throws {StoredDocumentError} @throws {DamagedRepositoryError} What is there is damaged.
 */
export async function readPublishedRefs(store: WholeBlobs, uuid: RepositoryUuid): Promise<PublishedRefs> {
  const keys = repositoryKeys(uuid);
  const { snapshotId, sha256, refCount } = (await readManifest(store, uuid)).value.refs;
  return asRepositoryDamage(async () => {
    const { bytes } = await store.read(keys.refSnapshot(snapshotId));
    return { table: openRefSnapshot(bytes, sha256), refCount };
  });
}
