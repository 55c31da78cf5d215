/** What of a repository's LFS files is where. */
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryUuid } from "./layout.ts";
import { LFS_STATE } from "./lfs-rights-table.ts";
import { StoredLfsRights } from "./stored-lfs-rights.ts";

export interface LfsCounts {
  /** Files that the repository's packs point to, and their bytes. */
  readonly pointers: number;
  readonly pointerBytes: number;
  /** In the store, and confirmed by Bitbucket. */
  readonly stored: number;
  readonly storedBytes: number;
  /** Of the stored: no longer confirmed, with many others at once. */
  readonly held: number;
  /** Planned and not copied yet. */
  readonly pending: number;
  /** Not at Bitbucket; asked for again, ever more rarely. */
  readonly missing: number;
  /** Too large, or failed; the latter are tried again. */
  readonly postponed: number;
  /** Nothing is known of them: such as of history, which is copied when it is first asked for. */
  readonly onRequest: number;
  /** Packs of an older release, whose pointers are not known yet. */
  readonly unsearchedPacks: number;
  readonly plannedAt: string | undefined;
  /** What `.lfsconfig` of the default branch names in place of the repository's own files. */
  readonly configuredUrl: string | undefined;
}

/** Two rounds. @returns `undefined` where no plan was made. */
export async function readLfsCounts(store: BlobStore, uuid: RepositoryUuid): Promise<LfsCounts | undefined> {
  const rights = await new StoredLfsRights(store, uuid).read();
  const { pointers, pointerBytes, unsearchedPacks = 0, plannedAt, configuredUrl } = rights.document;
  if (plannedAt === undefined) return undefined;
  const counts = { stored: 0, storedBytes: 0, held: 0, pending: 0, missing: 0, postponed: 0 };
  await rights.each(({ state, sizeBytes, tries }) => {
    if (state === LFS_STATE.stored) {
      counts.stored += 1;
      counts.storedBytes += sizeBytes;
      if (tries > 0) counts.held += 1;
    } else if (state === LFS_STATE.pending) counts.pending += 1;
    else if (state === LFS_STATE.missing) counts.missing += 1;
    else counts.postponed += 1;
  });
  const { stored, pending, missing, postponed } = counts;
  const onRequest = Math.max(0, pointers - stored - pending - missing - postponed);
  return { pointers, pointerBytes, ...counts, onRequest, unsearchedPacks, plannedAt, configuredUrl };
}
