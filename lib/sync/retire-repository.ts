/** Removes a repository that is no longer mirrored: it is not served from now on, and its data is deleted after the retention time. */
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { changeRecord, factsOf, markFailure, withFacts } from "../mirror/repository-state.ts";
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
import type { BlobStore } from "../store/blob-store.ts";
import type { JobContext } from "./job-context.ts";

/** For a workspace that is no longer configured. */
const DEFAULT_RETENTION_DAYS = 30;

const DAY_MS = 86_400_000;

type Retired = { readonly kind: "retired" | "purged" | "ignored" };

/**
 * For a repository that exists, but is not selected. Its names stay, so that it is served again as soon as it is selected again.
 * @param facts - As the primary says now; by them it is not served.
 */
export async function retire(
  stored: StoredRecord,
  facts: RepositoryFacts | undefined,
  workspace: MirroredWorkspace | undefined,
  context: JobContext,
): Promise<Retired> {
  return removeInTime(stored, (record) => withFacts(record, facts ?? factsOf(record)), workspace, context);
}

/** For one that is gone from the primary, or hidden from the account: no name leads to it from now on. */
export async function withdraw(
  stored: StoredRecord,
  workspace: MirroredWorkspace | undefined,
  context: JobContext,
): Promise<Retired> {
  const unnamed = (record: RepositoryRecord) => withFacts(record, factsOf(record), { isNamed: false });
  return removeInTime(stored, unnamed, workspace, context);
}

async function removeInTime(
  stored: StoredRecord,
  change: (record: RepositoryRecord) => RepositoryRecord,
  workspace: MirroredWorkspace | undefined,
  { job: { uuid }, storage: { store }, now }: JobContext,
): Promise<Retired> {
  const before = stored.value;
  if (before === undefined) return { kind: "ignored" };
  const removedAt = before.removedAt ?? now().toISOString();
  await releaseReservedName(store, uuid, before);
  // The record first: by it the repository is not served, whatever names are left.
  const removed = (current: RepositoryRecord): RepositoryRecord => {
    const { lastError: _fixed, ...others } = change(current);
    return { ...others, state: "NOT_MIRRORED", failedSyncCount: 0, removedAt };
  };
  const retired = await changeRecord(store, uuid, factsOf(before), removed, stored);
  const record = retired.value;
  if (record.isIndexPending) {
    await indexNames(store, uuid, record, { all: true });
    await changeRecord(store, uuid, factsOf(record), (current) => indexDone(current, record), retired);
  }
  if (before.removedAt === undefined) await markFailure(store, before.workspace, uuid, false);
  const retentionDays = workspace?.retentionDays ?? DEFAULT_RETENTION_DAYS;
  if (Date.parse(removedAt) + retentionDays * DAY_MS > now().getTime()) return { kind: "retired" };
  await purge(store, uuid, record);
  return { kind: "purged" };
}

/**
 * The manifest first: a reader finds a repository that is whole, or none. The record last: until then it is done again. Of
 * documents tombstones stay, as the repository may come back.
 */
async function purge(store: BlobStore, uuid: RepositoryUuid, record: RepositoryRecord): Promise<void> {
  const keys = repositoryKeys(uuid);
  await indexNames(store, uuid, { ...record, isNamed: false }, { all: true });
  await markFailure(store, record.workspace, uuid, false);
  await manifestDocument(store, uuid).change(() => undefined);
  for await (const { key } of store.list(keys.prefix))
    if (key !== keys.record && key !== keys.manifest) await store.delete(key);
  await repositoryDocument(store, uuid).change(() => undefined);
}
