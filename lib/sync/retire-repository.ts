/**
 * Removes a repository that is no longer mirrored:
 * 1. Its record says so, and it is not served from then on. A damaged record is written anew, with the names that the job has.
 * 2. The index of names follows the record.
 * 3. After the retention time its data is deleted. A sync that brings it back meanwhile wins: all is by compare-and-swap.
 */
import { insteadOf, NotFoundError, VersionConflictError } from "../errors.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import {
  changeRecord,
  factsOf,
  firstRecord,
  markFailure,
  type WrittenRecord,
  withFacts,
} from "../mirror/repository-state.ts";
import type { RepositoryFacts } from "../mirror/sync-job.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { manifestDocument } from "../repo/manifest.ts";
import { indexNames, releaseReservedName } from "../repo/name-index.ts";
import {
  indexDone,
  type RepositoryRecord,
  repositoryDocument,
  type StoredRecord,
} from "../repo/repository-record.ts";
import { leaveTombstone } from "../repo/stored-document.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { JobContext } from "./job-context.ts";

/** For a workspace that is no longer configured. */
const DEFAULT_RETENTION_DAYS = 30;

const DAY_MS = 86_400_000;

type RetireContext = Pick<JobContext, "job" | "storage" | "now">;

type Retired = { readonly kind: "retired" | "purged" | "ignored" };

/**
 * For a repository that exists, but is not selected. Its names stay, so that it is served again as soon as it is selected again.
 * @param facts - As the primary says now; by them it is not served.
 */
export async function retire(
  stored: StoredRecord,
  facts: RepositoryFacts | undefined,
  workspace: MirroredWorkspace | undefined,
  context: RetireContext,
): Promise<Retired> {
  // Of a damaged record it is not known which names lead to it: the one that the job has is removed.
  if (stored.damage !== undefined) return withdraw(stored, workspace, context);
  return removeInTime(stored, (record) => withFacts(record, facts ?? factsOf(record)), workspace, context);
}

/** For one that is gone from the primary, or hidden from the account: no name leads to it from now on. */
export async function withdraw(
  stored: StoredRecord,
  workspace: MirroredWorkspace | undefined,
  context: RetireContext,
): Promise<Retired> {
  const unnamed = (record: RepositoryRecord) => withFacts(record, factsOf(record), { isNamed: false });
  return removeInTime(stored, unnamed, workspace, context);
}

async function removeInTime(
  stored: StoredRecord,
  change: (record: RepositoryRecord) => RepositoryRecord,
  workspace: MirroredWorkspace | undefined,
  { job: { uuid, facts }, storage: { store }, now }: RetireContext,
): Promise<Retired> {
  const before = stored.value ?? (stored.damage && facts && { ...firstRecord(facts), isNamed: true });
  if (before === undefined) return { kind: "ignored" };
  const removedAt = before.removedAt ?? now().toISOString();
  await releaseReservedName(store, uuid, before);
  // The record first: by it the repository is not served, whatever names are left.
  const removed = (current: RepositoryRecord): RepositoryRecord => {
    const { lastError: _fixed, ...others } = change(stored.damage === undefined ? current : before);
    return { ...others, state: "NOT_MIRRORED", failedSyncCount: 0, removedAt };
  };
  const retired = await changeRecord(store, uuid, factsOf(before), removed, stored);
  const indexed = await finishIndex(store, uuid, retired);
  if (before.removedAt === undefined) await markFailure(store, before.workspace, uuid, false);
  const retentionDays = workspace?.retentionDays ?? DEFAULT_RETENTION_DAYS;
  if (Date.parse(removedAt) + retentionDays * DAY_MS > now().getTime()) return { kind: "retired" };
  await purge(store, uuid, indexed);
  return { kind: "purged" };
}

async function finishIndex(
  store: BlobStore,
  uuid: RepositoryUuid,
  written: WrittenRecord,
): Promise<WrittenRecord> {
  const record = written.value;
  if (!record.isIndexPending) return written;
  await indexNames(store, uuid, record, { all: true });
  return changeRecord(store, uuid, factsOf(record), (current) => indexDone(current, record), written);
}

/**
 * The manifest first: a reader finds a repository that is whole, or none. The record last: until then it is done again. What was
 * listed before the manifest was removed is deleted, so nothing that a sync has stored since.
 * @throws {VersionConflictError} It is being mirrored again: the rest stays.
 */
async function purge(store: BlobStore, uuid: RepositoryUuid, written: WrittenRecord): Promise<void> {
  const keys = repositoryKeys(uuid);
  const document = repositoryDocument(store, uuid);
  await indexNames(store, uuid, { ...written.value, isNamed: false }, { all: true });
  await markFailure(store, written.value.workspace, uuid, false);
  const manifest = await manifestDocument(store, uuid).readForChange();
  const listed: string[] = [];
  const prefixes = [keys.prefix, keys.answerFolder];
  for (const prefix of prefixes) for await (const { key } of store.list(prefix)) listed.push(key);
  // A sync begins by changing the record, and ends by changing the manifest.
  if ((await document.readForChange()).version !== written.version)
    throw new VersionConflictError("the repository's record was changed", { key: keys.record });
  await manifestDocument(store, uuid).remove(manifest);
  for (const key of listed) {
    if (!keys.documents.includes(key)) await store.delete(key);
    else if (key !== keys.record && key !== keys.manifest) await removeDocument(store, key);
  }
  for (const prefix of prefixes) await store.removeEarlierVersions?.(prefix);
  await document.remove(written);
}

async function removeDocument(store: BlobStore, key: string): Promise<void> {
  const blob = await store.read(key).catch(insteadOf(NotFoundError, undefined));
  if (blob !== undefined) await leaveTombstone(store, key, blob.version);
}
