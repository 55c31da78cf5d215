/** The blobs of one pack: it, its index and its sidecars. */
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";

interface PackCompanions {
  readonly index: Uint8Array;
  /** Absent where it would exceed the limits. */
  readonly history: Uint8Array | undefined;
  /** Absent where nothing is known of the pack's pointers. */
  readonly lfsPointers: Uint8Array | undefined;
}

/** Writes what belongs to a pack that is stored. */
export async function writePackCompanions(
  store: BlobStore,
  keys: RepositoryKeys,
  packId: string,
  { index, history, lfsPointers }: PackCompanions,
): Promise<void> {
  await Promise.all([
    store.write(keys.packIndex(packId), index),
    lfsPointers && store.write(keys.packLfs(packId), lfsPointers),
    history && store.write(keys.packHistory(packId), history),
  ]);
}

export async function deletePack(store: BlobStore, keys: RepositoryKeys, packId: string): Promise<void> {
  const blobs = [keys.packIndex(packId), keys.packHistory(packId), keys.packLfs(packId), keys.pack(packId)];
  await Promise.all(blobs.map((key) => store.delete(key)));
}
