/** Takes a file out of the mirror at once: no repository serves it, and its bytes are deleted. */
import { type MirrorError, NotFoundError } from "../errors.ts";
import { indexedWorkspaces, readWorkspaceIndex } from "../mirror/workspace-index.ts";
import { lfsFileKey } from "../repo/layout.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { removeLfsParts } from "./staged-file.ts";
import { noteForgotten } from "./sweep-notes.ts";

export interface RemovedFile {
  /** UUIDs of those that had a record of it. */
  readonly repositories: readonly string[];
  /** UUIDs of those of which damaged tables were left out: their next plan finds out anew what these said. */
  readonly damaged: readonly string[];
}

export interface ForgottenFile extends RemovedFile {
  readonly wasStored: boolean;
}

/**
 * Where Bitbucket still has it, a client's next request, or a plan, has it copied again.
 * @throws {StoredDocumentError} The index of a workspace is damaged: the bytes are deleted, the rights of its repositories may be left.
 */
export async function forgetFile(store: BlobStore, oid: string): Promise<ForgottenFile> {
  const wasStored = await isThere(store, lfsFileKey(oid));
  await noteForgotten(store, oid);
  return { wasStored, ...(await removeFile(store, oid)) };
}

/** Result and errors as of `forgetFile`. */
export async function removeFile(store: BlobStore, oid: string): Promise<RemovedFile> {
  const removal = { repositories: new Set<string>(), damaged: new Set<string>() };
  // The rights first: no link is made for what is gone.
  await removeRights(store, oid, removal);
  await store.delete(lfsFileKey(oid));
  await store.removeEarlierVersions?.(lfsFileKey(oid));
  await removeLfsParts(store, oid);
  // Those of copiers that found the bytes before they were gone. One that comes later looks for them again.
  const damage = await removeRights(store, oid, removal);
  if (damage !== undefined) throw damage;
  return { repositories: [...removal.repositories], damaged: [...removal.damaged] };
}

async function isThere(store: BlobStore, key: string): Promise<boolean> {
  try {
    await store.readUpTo(key, 0, 1);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}

/** @returns What is wrong with a damaged index, after all others. */
async function removeRights(
  store: BlobStore,
  oid: string,
  removal: { readonly repositories: Set<string>; readonly damaged: Set<string> },
): Promise<MirrorError | undefined> {
  let damage: MirrorError | undefined;
  for await (const workspace of indexedWorkspaces(store)) {
    const index = await readWorkspaceIndex(store, workspace);
    damage ??= index.damage;
    for (const [uuid, { held }] of Object.entries(index.value?.repositories ?? {})) {
      if (held === undefined) continue;
      const stored = new StoredLfsRights(store, uuid);
      const rights = await stored.readWithoutDamage(() => removal.damaged.add(uuid));
      if (rights.find(oid) === undefined) continue;
      await stored.rewrite((record) => record.oid !== oid);
      removal.repositories.add(uuid);
    }
  }
  return damage;
}
