/** Which files of git-lfs a repository has pointers to, as the sidecars of its packs say. */
import { NotFoundError } from "../errors.ts";
import type { PackedLfsPointer } from "../git/pack/lfs-pointers.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { findPackLfsPointers, readLfsPointers } from "../repo/lfs-pointers.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";

export interface PackPointers {
  readonly pack: ManifestPack;
  /** `undefined` where the pack has no sidecar. */
  readonly pointers: readonly PackedLfsPointer[] | undefined;
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

/** Which of these files the repository has pointers to: sizes by oid. @returns `undefined` if nothing was published. */
export async function findPointerSizes(
  { store, ...storage }: RepositoryStorage,
  uuid: RepositoryUuid,
  oids: readonly string[],
): Promise<ReadonlyMap<string, number> | undefined> {
  const repository = await openRepository({ store, ...storage }, uuid).catch(absentIfNotFound);
  if (repository === undefined) return undefined;
  const sizes = new Map<string, number>();
  // One pack after the other: a sidecar has 44 bytes for each pointer of a large repository.
  for (const pack of repository.manifest.packs) {
    const found = await findPackLfsPointers(store, repositoryKeys(uuid), pack, oids);
    for (const [oid, sizeBytes] of found ?? []) if (!sizes.has(oid)) sizes.set(oid, sizeBytes);
  }
  return sizes;
}

/** Sizes by oid; of an oid with several sizes, the one that comes first. */
export function sizesByOid(packs: readonly PackPointers[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { pointers = [] } of packs)
    for (const { oid, sizeBytes } of pointers) if (!sizes.has(oid)) sizes.set(oid, sizeBytes);
  return sizes;
}

function absentIfNotFound(error: unknown): undefined {
  if (error instanceof NotFoundError) return undefined;
  throw error;
}
