/**
 * The recent objects of a generation in the store: a cold process reads them in place of all indexes and sidecars. They are an answer to
 * be kept: the blob may be deleted at any time. Its key and content name the refs and packs that it was made for, so that a reader of
 * another generation never uses it.
 */
import { createHash } from "node:crypto";
import { NotFoundError } from "../errors.ts";
import { CommitHistory } from "../git/history/commit-history.ts";
import { ascendingNumbers } from "../git/pack/sorted-numbers.ts";
import { decodeRecentObjects } from "../git/recent/recent-objects.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { BlockCache } from "../store/block-cache.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { Manifest } from "./manifest.ts";
import { ObjectDatabase } from "./object-database.ts";
import { RecentPacks } from "./recent-packs.ts";

export interface GenerationOf {
  readonly uuid: RepositoryUuid;
  readonly manifest: Pick<Manifest, "refs" | "packs" | "head">;
}

/** What the recent objects follow from; SHA-256. */
export function subjectOf({ head, refs, packs }: GenerationOf["manifest"]): Uint8Array {
  const parts = [head, refs.headTagId ?? "", refs.snapshotId, packs.map(({ id }) => id)];
  return createHash("sha256").update(JSON.stringify(parts)).digest();
}

export function recentKey({ uuid, manifest }: GenerationOf): string {
  return recentKeyOf(repositoryKeys(uuid), manifest);
}

export function recentKeyOf(keys: RepositoryKeys, manifest: GenerationOf["manifest"]): string {
  return keys.recent(Buffer.from(subjectOf(manifest)).toString("hex", 0, 20));
}

interface RecentStorage {
  readonly store: BlobStore;
  readonly blocks: BlockCache;
  readonly onDamage?: ((error: unknown, key: string) => void) | undefined;
}

/**
 * One request.
 * @returns `undefined` where there are none, or of another form.
 * @throws {CorruptPackError} They are damaged: all objects are to be read.
 */
export async function openRecentObjects(
  { store, blocks, onDamage }: RecentStorage,
  generation: GenerationOf,
  signal: AbortSignal,
): Promise<ObjectDatabase<RecentPacks> | undefined> {
  const bytes = await readBlob(store, recentKey(generation), signal);
  if (bytes === undefined) return undefined;
  const { uuid, manifest } = generation;
  const slices = new WorkSlices({ signal });
  const recent = await decodeRecentObjects(bytes, subjectOf(manifest), slices);
  if (recent === undefined) return undefined;
  const count = recent.crcs.length;
  const part = { history: recent.history, firstNumber: 0, numbers: ascendingNumbers(count) };
  const history = await CommitHistory.open([part], count, slices, recent.leftOut);
  const keys = repositoryKeys(uuid);
  const packKeys = manifest.packs.map(({ id }) => ({ pack: keys.pack(id), newest: keys.packNewest(id) }));
  return new ObjectDatabase(RecentPacks.open({ recent, history, packKeys, blocks, onDamage }), { history });
}

export async function hasRecentObjects(store: BlobStore, generation: GenerationOf): Promise<boolean> {
  try {
    return (await store.readUpTo(recentKey(generation), 0, 1)).length > 0;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}

async function readBlob(store: BlobStore, key: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return (await store.read(key, { signal })).bytes;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
