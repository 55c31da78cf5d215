/** The sidecars of a repository's packs that list their pointers of git-lfs. */

import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { ObjectNumber } from "../git/object-numbers.ts";
import {
  LFS_POINTER_RECORDS,
  LfsPointerTable,
  LfsPointerWriter,
  lfsPointerCount,
  lfsPointerSize,
} from "../git/pack/lfs-pointers.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { BlockCache } from "../store/block-cache.ts";
import type { PackRun } from "./compaction/policy.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import type { ObjectDatabase } from "./object-database.ts";
import { findStoredRecords } from "./stored-oid-records.ts";

/** @returns `undefined` where the pack has no sidecar that can be read: nothing is known of its pointers. */
export async function readLfsPointers(
  store: BlobStore,
  keys: RepositoryKeys,
  { id, objectCount, lfsBytes }: ManifestPack,
): Promise<LfsPointerTable | undefined> {
  if (lfsBytes === 0) return LfsPointerTable.EMPTY;
  return orUnknown(async () => LfsPointerTable.open((await store.read(keys.packLfs(id))).bytes, objectCount));
}

/**
 * Sizes by oid, of the pointers to these files only: reads the blocks in which they are. Checksums are not compared: a damaged
 * sidecar may hide pointers, until a plan has it made anew, and has none that the repository has not.
 * @returns As `readLfsPointers`.
 */
export async function findPackLfsPointers(
  blocks: BlockCache,
  keys: RepositoryKeys,
  { id, objectCount, lfsBytes }: ManifestPack,
  oids: readonly string[],
): Promise<ReadonlyMap<string, number> | undefined> {
  if (lfsBytes === 0) return new Map();
  const key = keys.packLfs(id);
  return orUnknown(async () => {
    const { start, recordBytes } = LFS_POINTER_RECORDS;
    const count = lfsPointerCount(await blocks.read(key, 0, start), objectCount);
    if (count === undefined) return undefined;
    const records = await findStoredRecords({ blocks, key, start, recordBytes, count }, oids);
    return new Map(Array.from(records, ([oid, record]) => [oid, lfsPointerSize(record)]));
  });
}

async function orUnknown<Result>(read: () => Promise<Result | undefined>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if ([NotFoundError, CorruptPackError, RangeError].some((kind) => error instanceof kind)) return undefined;
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
  ((numbers: Uint32Array, isOwn: (objectNumber: ObjectNumber) => boolean) => Promise<Uint8Array>) | undefined
> {
  const runPacks = packs.slice(run.start, run.end);
  const sidecars = await Promise.all(runPacks.map((pack) => readLfsPointers(store, keys, pack)));
  const tables = sidecars.filter((sidecar) => sidecar !== undefined);
  if (tables.length < sidecars.length) return undefined;
  return async (numbers, isOwn) => {
    const writer = new LfsPointerWriter(numbers.length);
    if (tables.every(({ records }) => records.count === 0)) return writer.encode();
    /** By object of the repository: its number in the merged index, and 1. */
    const merged = new Uint32Array(objects.objectCount);
    numbers.forEach((objectNumber, indexNumber) => {
      if (isOwn(objectNumber)) merged[objectNumber] = indexNumber + 1;
    });
    const slices = new WorkSlices();
    for (const [i, table] of tables.entries()) {
      const ofPack = objects.packs.numbersOf(run.start + i);
      const { records } = table;
      for (let row = 0; row < records.count; row++) {
        const indexNumber = merged[ofPack[table.indexNumberAt(row)] as number] as number;
        if (indexNumber > 0) writer.add(indexNumber - 1, records.bytes, records.startOf(row));
        if (slices.isDue(1)) await slices.pause();
      }
    }
    return writer.encode();
  };
}
