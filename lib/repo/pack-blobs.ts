/** The blobs of one pack: it, its index and its sidecars. */

import { hasLfsPointers } from "../git/pack/lfs-pointers.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";

interface PackCompanions {
  readonly index: Uint8Array;
  /** Absent where it would exceed the limits. */
  readonly history: Uint8Array | undefined;
  /** Absent where nothing is known of the pack's pointers. */
  readonly lfsPointers: Uint8Array | undefined;
}

/** Writes what belongs to a pack that is stored. @returns What the manifest says of it. */
export async function writePackCompanions(
  store: BlobStore,
  keys: RepositoryKeys,
  packId: string,
  { index, history, lfsPointers }: PackCompanions,
): Promise<Pick<ManifestPack, "historyBytes" | "lfsBytes">> {
  const storedPointers = lfsPointers && hasLfsPointers(lfsPointers) ? lfsPointers : undefined;
  await Promise.all([
    store.write(keys.packIndex(packId), index),
    storedPointers && store.write(keys.packLfs(packId), storedPointers),
    history && store.write(keys.packHistory(packId), history),
  ]);
  return {
    historyBytes: history?.length ?? 0,
    ...(lfsPointers && { lfsBytes: storedPointers?.length ?? 0 }),
  };
}

export async function deletePack(store: BlobStore, keys: RepositoryKeys, packId: string): Promise<void> {
  const blobKeys = [
    ...[keys.packIndex(packId), keys.packHistory(packId), keys.packLfs(packId)],
    ...[keys.packNewest(packId), keys.pack(packId)],
  ];
  await Promise.all(blobKeys.map((key) => store.delete(key)));
}
