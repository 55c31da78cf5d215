/** Writes history sidecars anew that are damaged or of another version, out of the packs in the store. */
import type { FileHandle } from "node:fs/promises";
import { encodePackHistory } from "../git/history/pack-history.ts";
import type { ObjectReader } from "../git/ports.ts";
import { PackFileProgress } from "../indexer/file-pack-source.ts";
import { indexPack } from "../indexer/index-pack.ts";
import { writeAt } from "../indexer/write-at.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { Repository, RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import { completeHistory } from "./complete-history.ts";
import { untilStopped } from "./until-stopped.ts";

interface RebuildOptions {
  readonly signal?: AbortSignal | undefined;
  readonly temporaryFolder?: string | undefined;
}

/**
 * @returns The repository's packs; one whose history would take too much is without one now.
 * @throws {DamagedRepositoryError} A pack is damaged as well.
 */
export async function rebuildHistories(
  { store }: RepositoryStorage,
  uuid: RepositoryUuid,
  repository: Repository,
  options: RebuildOptions,
): Promise<ManifestPack[]> {
  const keys = repositoryKeys(uuid);
  const objects = await repository.openObjects();
  const packs: ManifestPack[] = [];
  for (const pack of repository.manifest.packs) {
    const isDamaged = repository.damagedHistories.includes(pack.id);
    packs.push(isDamaged ? await rebuildHistory(store, keys, pack, objects, options) : pack);
  }
  return packs;
}

async function rebuildHistory(
  store: BlobStore,
  keys: RepositoryKeys,
  { historyBytes: _, ...pack }: ManifestPack,
  objects: ObjectReader,
  { signal, temporaryFolder }: RebuildOptions,
): Promise<ManifestPack> {
  await using file = await openUnnamedFile(temporaryFolder);
  // Awaited here, or the file would be closed before.
  return await asRepositoryDamage(async () => {
    const progress = new PackFileProgress();
    await copyTo(file.handle, untilStopped(store.readStream(keys.pack(pack.id), 0, pack.packBytes), signal));
    progress.complete(pack.packBytes);
    const { built, index, lfsPointers } = await indexPack({ file: file.handle, progress, signal });
    await store.write(keys.packLfs(pack.id), lfsPointers);
    const history = built && (await completeHistory(built, index, objects, signal));
    if (history === undefined) return pack;
    const bytes = encodePackHistory(history);
    await store.write(keys.packHistory(pack.id), bytes);
    return { ...pack, historyBytes: bytes.length };
  });
}

async function copyTo(file: FileHandle, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let offsetBytes = 0;
  for await (const chunk of chunks) {
    await writeAt(file, chunk, offsetBytes);
    offsetBytes += chunk.length;
  }
}
