/** Writes the sidecars of LFS pointers that packs lack: those of a release that noted none, or a sidecar that is damaged. */
import { NotFoundError, StoppedError, UnfinishedError } from "../errors.ts";
import { indexStoredPack } from "../indexer/index-stored-pack.ts";
import type { Logger } from "../log.ts";
import { type RepositoryKeys, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import type { LfsFindJob } from "./lfs-job.ts";
import { readRepositoryPointers } from "./repository-pointers.ts";

export interface FindPointersOptions {
  readonly storage: RepositoryStorage;
  /** For one pack at a time; by default the system's. */
  readonly temporaryFolder?: string | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * @returns How many packs have a sidecar now that had none.
 * @throws {DamagedRepositoryError} A pack is damaged. @throws {StoppedError} {@link UnfinishedError} if sidecars were written.
 */
export async function findPointers(job: LfsFindJob, options: FindPointersOptions): Promise<number> {
  const { storage, log } = options;
  const found = await readRepositoryPointers(storage, job.uuid);
  let packs = 0;
  try {
    for (const { pack, pointers } of found?.packs ?? []) {
      if (pointers !== undefined) continue;
      const isWritten = await asRepositoryDamage(() => writeSidecar(repositoryKeys(job.uuid), pack, options));
      if (isWritten) packs += 1;
    }
  } catch (error) {
    if (!(error instanceof StoppedError) || packs === 0) throw error;
    throw new UnfinishedError("stopped before all packs were searched for LFS pointers", { cause: error });
  }
  if (packs > 0) log.info("lfs:pointers-found", { repo: `${job.workspace}/${job.uuid}`, packs });
  return packs;
}

/** @returns Not where the pack is gone: it was compacted meanwhile. */
async function writeSidecar(
  keys: RepositoryKeys,
  { id, packBytes }: ManifestPack,
  { storage: { store }, temporaryFolder, signal }: FindPointersOptions,
): Promise<boolean> {
  await using file = await openUnnamedFile(temporaryFolder);
  try {
    const chunks = store.readStream(keys.pack(id), 0, packBytes);
    const { lfsPointers } = await indexStoredPack(chunks, packBytes, { file: file.handle, signal });
    await store.write(keys.packLfs(id), lfsPointers);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}
