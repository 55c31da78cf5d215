/** What a sync builds upon: the generation before it, as far as the store still has it. */
import { DamagedRepositoryError, NotFoundError } from "../errors.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { PreviousManifest } from "../repo/publish.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";

export interface FetchBase {
  /** What the next generation is published over. */
  readonly previous: PreviousManifest | "absent";
  /** Whose refs and objects it builds upon; absent for a first sync, and where the store is damaged. */
  readonly repository: Repository | undefined;
}

/** @throws {DamagedRepositoryError} The manifest is. */
export async function openFetchBase(storage: RepositoryStorage, uuid: RepositoryUuid): Promise<FetchBase> {
  const repository = await openIfThere(storage, uuid);
  return { previous: repository ?? "absent", repository };
}

/** The basis of a generation that keeps nothing of the one before. */
export async function openDamagedFetchBase(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<FetchBase> {
  try {
    return { ...(await openFetchBase(storage, uuid)), repository: undefined };
  } catch (error) {
    if (!(error instanceof DamagedRepositoryError)) throw error;
    const { version } = await storage.store.read(repositoryKeys(uuid).manifest);
    // Nobody knows any more how many there were.
    return { previous: { manifest: { generation: 0 }, version }, repository: undefined };
  }
}

/** @returns `undefined` if nothing was published. @throws {DamagedRepositoryError} The manifest is. */
export async function openIfThere(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<Repository | undefined> {
  try {
    return await openRepository(storage, uuid);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
