/** What a sync builds on: the last generation, as far as the store can still read it, or what an import has stored so far. */
import { DamagedRepositoryError, insteadOf, NotFoundError } from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { type ManifestPack, manifestDocument } from "../repo/manifest.ts";
import type { ObjectDatabase } from "../repo/object-database.ts";
import type { PreviousManifest } from "../repo/publish.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";

export interface StoredGeneration {
  /** What the next generation replaces. */
  readonly previous: PreviousManifest;
  /** Whose refs and objects the next generation builds on; absent for a first sync, and where the store is damaged. */
  readonly repository: Repository | undefined;
}

export interface FetchBase {
  /** Oldest first; closed: they hold all that their objects refer to. */
  readonly packs: readonly ManifestPack[];
  /** Over these packs; absent if there are none. */
  readonly objects: ObjectDatabase | undefined;
  /** What they were fetched for; all objects are reachable from these, but for those that a force-push has left. */
  readonly tips: ReadonlySet<ObjectId>;
  /** Sent to the primary as `have`, the most useful first. */
  readonly haves: readonly ObjectId[];
}

export const EMPTY_BASE: FetchBase = { packs: [], objects: undefined, tips: new Set(), haves: [] };

/** @throws {DamagedRepositoryError} The manifest is damaged. */
export async function openGeneration(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<StoredGeneration> {
  const repository = await openIfThere(storage, uuid);
  if (repository !== undefined) return { previous: repository.stored, repository };
  // A purge leaves a tombstone, which the next publish replaces.
  return { previous: await manifestDocument(storage.store, uuid).readForChange(), repository };
}

/** For a generation that replaces a damaged one, and reuses nothing of it. */
export async function openDamagedGeneration(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<StoredGeneration> {
  try {
    return { ...(await openGeneration(storage, uuid)), repository: undefined };
  } catch (error) {
    if (!(error instanceof DamagedRepositoryError)) throw error;
    return { previous: await manifestDocument(storage.store, uuid).readForChange(), repository: undefined };
  }
}

/** @returns `undefined` if nothing was published. @throws {DamagedRepositoryError} The manifest is damaged. */
export function openIfThere(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<Repository | undefined> {
  return openRepository(storage, uuid).catch(insteadOf(NotFoundError, undefined));
}
