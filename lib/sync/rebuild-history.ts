/** Writes history sidecars that are damaged or missing, from the packs in the store. */

import { encodePackHistory } from "../git/history/pack-history.ts";
import type { ObjectReader } from "../git/ports.ts";
import { indexStoredPack } from "../indexer/index-stored-pack.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { Repository } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import { completeHistory } from "./complete-history.ts";
import type { SyncContext } from "./sync-context.ts";

/**
 * @returns The repository's packs; one whose history exceeds the limits now has none.
 * @throws {DamagedRepositoryError} A pack is damaged too.
 */
export async function rebuildHistories(
  repository: Repository,
  context: SyncContext,
): Promise<ManifestPack[]> {
  const objects = await repository.openObjects();
  const packs: ManifestPack[] = [];
  for (const pack of repository.manifest.packs) {
    const isDamaged = repository.damagedHistories.includes(pack.id);
    packs.push(isDamaged ? await rebuildHistory(repository.uuid, pack, objects, context) : pack);
  }
  return packs;
}

async function rebuildHistory(
  uuid: RepositoryUuid,
  pack: ManifestPack,
  objects: ObjectReader,
  { storage: { store }, signal, temporaryFolder }: SyncContext,
): Promise<ManifestPack> {
  const keys = repositoryKeys(uuid);
  await using file = await openUnnamedFile(temporaryFolder);
  // `await`, or the file would be closed too early.
  return await asRepositoryDamage(async () => {
    const chunks = store.readStream(keys.pack(pack.id), 0, pack.packBytes);
    const indexing = { file: file.handle, signal };
    const { built, index, lfsPointers } = await indexStoredPack(chunks, pack.packBytes, indexing);
    await store.write(keys.packLfs(pack.id), lfsPointers);
    const history = built && (await completeHistory(built, index, objects, signal));
    if (history === undefined) return { ...pack, historyBytes: 0 };
    const bytes = encodePackHistory(history);
    await store.write(keys.packHistory(pack.id), bytes);
    return { ...pack, historyBytes: bytes.length };
  });
}
