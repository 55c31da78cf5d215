/** Which files of git-lfs a repository has pointers to, as the sidecars of its packs say. */
import { NotFoundError } from "../errors.ts";
import type { LfsPointerTable } from "../git/pack/lfs-pointers.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";
import { findPackLfsPointers, readLfsPointers } from "../repo/stored-lfs-pointers.ts";

interface PackPointers {
  readonly pack: ManifestPack;
  /** `undefined` where the pack has no sidecar. */
  readonly pointers: LfsPointerTable | undefined;
}

export interface RepositoryPointers {
  readonly repository: Repository;
  /** In the order of the manifest. */
  readonly packs: readonly PackPointers[];
}

/** Two rounds. @returns `undefined` if nothing was published. */
export async function readRepositoryPointers(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<RepositoryPointers | undefined> {
  const repository = await openRepository(storage, uuid).catch(absentIfNotFound);
  if (repository === undefined) return undefined;
  const keys = repositoryKeys(uuid);
  const packs = await Promise.all(
    repository.manifest.packs.map(async (pack) => ({
      pack,
      pointers: await readLfsPointers(storage.store, keys, pack),
    })),
  );
  return { repository, packs };
}

/**
 * Which of these files the repository has pointers to: sizes by oid, read as of `findPackLfsPointers`.
 * @returns `undefined` if nothing was published.
 */
export async function findPointerSizes(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
  oids: readonly string[],
): Promise<ReadonlyMap<string, number> | undefined> {
  const repository = await openRepository(storage, uuid).catch(absentIfNotFound);
  if (repository === undefined) return undefined;
  const found = await Promise.all(
    repository.manifest.packs.map((pack) =>
      findPackLfsPointers(storage.blocks, repositoryKeys(uuid), pack, oids),
    ),
  );
  const sizes = new Map<string, number>();
  for (const ofPack of found)
    for (const [oid, sizeBytes] of ofPack ?? []) if (!sizes.has(oid)) sizes.set(oid, sizeBytes);
  return sizes;
}

function absentIfNotFound(error: unknown): undefined {
  if (error instanceof NotFoundError) return undefined;
  throw error;
}
