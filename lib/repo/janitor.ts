/**
 * Removes blobs of a repository that no manifest names any more: packs that were compacted, ref snapshots of old generations,
 * and what a crash has left. It marks first and sweeps later. A blob goes once it was seen without a name a grace period ago,
 * and is without one still. How old a blob is says nothing: a pack of last year may have lost its name a second ago, and a
 * reader that opened the generation before is still at it. Names are random and never given twice, so what has lost its name
 * gets none again, but for the blobs of a writer that is about to publish; the grace period is longer than any writer takes.
 */
import * as z from "zod/mini";
import { assertNotStopped, insteadOf, VersionConflictError } from "../errors.ts";
import { inBatches } from "../in-batches.ts";
import type { BlobInfo, BlobStore } from "../store/blob-store.ts";
import { importNotes } from "./import-notes.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { type Manifest, manifestDocument } from "./manifest.ts";
import { type DocumentForm, StoredDocument, UNCHANGED } from "./stored-document.ts";
import { recentKeyOf } from "./stored-recent.ts";

/** `repos/<uuid>/janitor.json`. Losing it costs one more grace period. */
const notesSchema = z.object({
  ranAt: z.iso.datetime(),
  /** By key, without the repository's prefix: when a run first saw that no manifest names it. */
  unnamed: z.record(z.string(), z.iso.datetime()),
});

const NOTES_FORM: DocumentForm<z.infer<typeof notesSchema>> = {
  schema: notesSchema,
  whenDamaged: "absent",
  indent: 1,
};

export type JanitorPolicy = Readonly<typeof DEFAULT_JANITOR_POLICY>;

const DEFAULT_JANITOR_POLICY = {
  /**
   * A function answers for 15 minutes at most. A server of one's own has no such limit: a day is enough for 4 GB at 50 KB/s.
   * It is also the margin for writers, which publish within minutes after their pack is whole, and for clocks that differ.
   */
  graceMs: 24 * 60 * 60 * 1000,
  /** Of runs of one repository, as each lists its keys. */
  intervalMs: 60 * 60 * 1000,
  /** A run ends in seconds; what is left waits for the next. */
  maxRemoved: 1000,
  /** Kept in mind between runs: some 150 bytes each. A push leaves about four. */
  maxNoted: 10_000,
};

/** Of recent objects: a reader can do without them. It is the margin of a writer that is about to publish. */
const RECENT_GRACE_MS = 15 * 60 * 1000;

/** Each waits some 30 ms on S3. */
const DELETES_AT_ONCE = 16;

export interface JanitorOptions {
  readonly store: BlobStore;
  readonly policy?: JanitorPolicy | undefined;
  readonly now?: (() => Date) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface JanitorReport {
  readonly removedBlobs: number;
  readonly removedBytes: number;
  readonly removedUploads: number;
  /** Without a name, within the grace period. */
  readonly waitingBlobs: number;
}

/**
 * @returns `undefined` if the last run was just now.
 * @throws {StoredDocumentError} The manifest is damaged: then nothing is removed. And what the store throws.
 */
export async function tidyRepository(
  uuid: RepositoryUuid,
  { store, policy = DEFAULT_JANITOR_POLICY, now = () => new Date(), signal }: JanitorOptions,
): Promise<JanitorReport | undefined> {
  const keys = repositoryKeys(uuid);
  const document = new StoredDocument(store, keys.janitorNotes, NOTES_FORM);
  const stored = await document.read();
  const notes = stored.value;
  const nowMs = now().getTime();
  const nowText = new Date(nowMs).toISOString();
  if (notes !== undefined && Math.abs(nowMs - Date.parse(notes.ranAt)) < policy.intervalMs) return undefined;
  const listed = await listBlobs(store, keys);
  // After the list: what was published while it was made has a name by now.
  // Absent after a first sync that was killed.
  const { value: manifest } = await manifestDocument(store, uuid).read();
  const importedPacks = await importedPackIds(store, keys, manifest, nowMs);
  const isNamed = namedBlobs(keys, manifest, importedPacks);
  const waiting: Record<string, string> = {};
  let waitingBlobs = 0;
  const removed: BlobInfo[] = [];
  for (const blob of listed.filter(({ key }) => !isNamed(key))) {
    const name = blob.key.slice(keys.prefix.length);
    // A clock that was ahead must not keep it for ever.
    const seenAtMs = Math.min(nowMs, Date.parse(notes?.unnamed[name] ?? nowText));
    const isDue = [keys.recentFolder, keys.formerRecentFolder].some((folder) => blob.key.startsWith(folder))
      ? nowMs - blob.modifiedAtMs >= Math.min(RECENT_GRACE_MS, policy.graceMs)
      : nowMs - Math.max(seenAtMs, blob.modifiedAtMs) >= policy.graceMs;
    if (isDue && removed.length < policy.maxRemoved) removed.push(blob);
    else if (waitingBlobs++ < policy.maxNoted) waiting[name] = new Date(seenAtMs).toISOString();
  }
  removed.sort(packsLast);
  await inBatches(removed, DELETES_AT_ONCE, async ({ key }) => {
    assertNotStopped(signal);
    await store.delete(key);
  });
  let removedUploads = 0;
  for (const prefix of [keys.prefix, keys.answerFolder])
    removedUploads += await store.removeUnfinishedUploads(prefix, nowMs - policy.graceMs);
  // The notes of another janitor are as true, and what they lack is noted again.
  await document
    .write({ ranAt: nowText, unnamed: waiting }, stored)
    .catch(insteadOf(VersionConflictError, undefined));
  const removedBytes = removed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { removedBlobs: removed.length, removedBytes, removedUploads, waitingBlobs };
}

/** Only what the mirror itself writes: other keys in the prefix are not the mirror's. */
async function listBlobs(store: BlobStore, keys: RepositoryKeys): Promise<BlobInfo[]> {
  const blobs: BlobInfo[] = [];
  const patterns = {
    [keys.packFolder]: PACK_NAME,
    [keys.refSnapshotFolder]: SNAPSHOT_NAME,
    [keys.formerAnswerFolder]: ANSWER_NAME,
    [keys.recentFolder]: RECENT_NAME,
    [keys.formerRecentFolder]: RECENT_NAME,
  };
  for (const [folder, pattern] of Object.entries(patterns)) {
    for await (const blob of store.list(folder)) {
      if (pattern.test(blob.key.slice(folder.length))) blobs.push(blob);
    }
  }
  return blobs;
}

/** The pack, its index and its sidecars. */
const PACK_NAME = /^pack-([0-9a-f]{40})\.[a-z0-9-]+$/;
const SNAPSHOT_NAME = /^[0-9a-f]{40,64}$/;
const RECENT_NAME = /^[0-9a-f]{40}$/;
const ANSWER_NAME = /^[0-9a-f]{64}$/;

/** How long an import may rest before what it has brought counts for nothing. */
const IMPORT_REST_MS = 7 * 24 * 60 * 60 * 1000;

/** What an import has brought so far is named by its notes. They are left behind if its end was killed. */
async function importedPackIds(
  store: BlobStore,
  keys: RepositoryKeys,
  manifest: Manifest | undefined,
  nowMs: number,
): Promise<readonly string[]> {
  const document = importNotes(store, keys);
  const stored = await document.read();
  const notes = stored.value;
  const isOver = manifest?.packs.some(({ id }) => notes?.packs.some((pack) => pack.id === id));
  const isResting = notes === undefined || nowMs - Date.parse(notes.changedAt) > IMPORT_REST_MS;
  if (!isOver && !isResting) return notes.packs.map(({ id }) => id);
  await document.change(
    (current) => (current?.changedAt === notes?.changedAt ? undefined : UNCHANGED),
    stored,
  );
  return [];
}

function namedBlobs(
  keys: RepositoryKeys,
  manifest: Manifest | undefined,
  importedPacks: readonly string[],
): (key: string) => boolean {
  const packIds = new Set([...(manifest?.packs.map(({ id }) => id) ?? []), ...importedPacks]);
  const snapshotKey = manifest && keys.refSnapshot(manifest.refs.snapshotId);
  const recentKey = manifest && recentKeyOf(keys, manifest);
  // Of another release, under the same name.
  const formerKey = recentKey?.replace(keys.recentFolder, keys.formerRecentFolder);
  return (key) => {
    if (!key.startsWith(keys.packFolder)) return [snapshotKey, recentKey, formerKey].includes(key);
    return packIds.has(PACK_NAME.exec(key.slice(keys.packFolder.length))?.[1] ?? "");
  };
}

/** A concurrent copy of the prefix must not get an index without its pack. */
function packsLast(a: BlobInfo, b: BlobInfo): number {
  return Number(a.key.endsWith(".pack")) - Number(b.key.endsWith(".pack"));
}
