/** The sidecars of a repository's packs that list their pointers of git-lfs. */

import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { ObjectNumber } from "../git/object-numbers.ts";
import {
  decodeLfsPointers,
  encodeLfsPointers,
  findLfsPointers,
  type PackedLfsPointer,
} from "../git/pack/lfs-pointers.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { PackRun } from "./compaction/policy.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import type { ObjectDatabase } from "./object-database.ts";

/** @returns `undefined` where the pack has no sidecar that can be read: nothing is known of its pointers. */
export async function readLfsPointers(
  store: BlobStore,
  keys: RepositoryKeys,
  pack: ManifestPack,
): Promise<readonly PackedLfsPointer[] | undefined> {
  return readSidecar(store, keys, pack, (bytes) => decodeLfsPointers(bytes, pack.objectCount));
}

/** Sizes by oid, of the pointers to these files only. @returns As `readLfsPointers`. */
export async function findPackLfsPointers(
  store: BlobStore,
  keys: RepositoryKeys,
  pack: ManifestPack,
  oids: readonly string[],
): Promise<ReadonlyMap<string, number> | undefined> {
  return readSidecar(store, keys, pack, (bytes) => findLfsPointers(bytes, pack.objectCount, oids));
}

async function readSidecar<Result>(
  store: BlobStore,
  keys: RepositoryKeys,
  { id }: ManifestPack,
  decode: (bytes: Uint8Array) => Result | undefined,
): Promise<Result | undefined> {
  try {
    return decode((await store.read(keys.packLfs(id))).bytes);
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof CorruptPackError) return undefined;
    throw error;
  }
}

/**
 * The sidecar of the pack that takes a run's place.
 * @param run - Packs of `objects`, by number.
 * @returns Makes it out of the merged pack's objects: the repository's number of each, in the order of the index. Or
 *   `undefined` where one of the packs has no sidecar.
 */
export async function mergedLfsPointers(
  store: BlobStore,
  keys: RepositoryKeys,
  { objects, packs, run }: { objects: ObjectDatabase; packs: readonly ManifestPack[]; run: PackRun },
): Promise<
  ((numbers: Uint32Array, isOwn: (objectNumber: ObjectNumber) => boolean) => Uint8Array) | undefined
> {
  const runPacks = packs.slice(run.start, run.end);
  const sidecars = await Promise.all(runPacks.map((pack) => readLfsPointers(store, keys, pack)));
  const pointers = new Map<number, PackedLfsPointer>();
  for (const [i, sidecar] of sidecars.entries()) {
    if (sidecar === undefined) return undefined;
    if (sidecar.length === 0) continue;
    const numbers = objects.packs.numbersOf(run.start + i);
    for (const pointer of sidecar) pointers.set(numbers[pointer.indexNumber] as number, pointer);
  }
  return (numbers, isOwn) => {
    const merged: PackedLfsPointer[] = [];
    numbers.forEach((objectNumber, indexNumber) => {
      const pointer = isOwn(objectNumber) ? pointers.get(objectNumber) : undefined;
      if (pointer !== undefined) merged.push({ ...pointer, indexNumber });
    });
    return encodeLfsPointers(merged, numbers.length);
  };
}
