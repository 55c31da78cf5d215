/** Takes a file out of the mirror at once: no repository serves it, and its bytes are deleted. */
import { NotFoundError } from "../errors.ts";
import { heldRepositories } from "../mirror/workspace-index.ts";
import { lfsFileKey } from "../repo/layout.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { removeLfsParts } from "./staged-file.ts";
import { noteForgotten } from "./sweep-notes.ts";

export interface ForgottenFile {
  readonly wasStored: boolean;
  /** UUIDs of those that had a record of it. */
  readonly repositories: readonly string[];
}

/** Where Bitbucket still has it, a client's next request, or a plan, has it copied again. */
export async function forgetFile(store: BlobStore, oid: string): Promise<ForgottenFile> {
  const wasStored = await isThere(store, lfsFileKey(oid));
  await noteForgotten(store, oid);
  // The rights first: no link is made for what is gone.
  const repositories = await removeRights(store, oid);
  await store.delete(lfsFileKey(oid));
  await store.removeEarlierVersions?.(lfsFileKey(oid));
  await removeLfsParts(store, oid);
  // Those of copiers that found the bytes before they were gone. One that comes later looks for them again.
  const all = new Set([...repositories, ...(await removeRights(store, oid))]);
  return { wasStored, repositories: [...all] };
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

async function removeRights(store: BlobStore, oid: string): Promise<string[]> {
  const repositories: string[] = [];
  for await (const uuid of heldRepositories(store)) {
    const stored = new StoredLfsRights(store, uuid);
    if ((await stored.read()).find(oid) === undefined) continue;
    await stored.rewrite((record) => record.oid !== oid);
    repositories.push(uuid);
  }
  return repositories;
}
