/** What becomes of a repository that is not mirrored any more: it is not served, and its data goes after some time. */
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

/** For a workspace of which the configuration says nothing any more. */
const DEFAULT_RETENTION_DAYS = 30;

const DAY_MS = 86_400_000;

export interface RetireOptions {
  readonly storage: { readonly store: BlobStore };
  readonly now: () => Date;
}

type Retired = { readonly kind: "retired" | "purged" | "ignored" };

/**
 * It is there, but not selected. Its names stay, so that it is served again as soon as it is selected again.
 * @param facts - As the primary said just now; by them it is not served.
 */
export async function retire(
  uuid: RepositoryUuid,
  stored: StoredRecord,
  facts: RepositoryFacts | undefined,
  workspace: MirroredWorkspace | undefined,
  options: RetireOptions,
): Promise<Retired> {
  const record = stored.value;
  if (record === undefined) return { kind: "ignored" };
  const now = facts ?? factsOf(record);
  return removeInTime(uuid, stored, record, (before) => withFacts(before, now), workspace, options);
}

/** It is gone from the primary, or may not be seen any more: nothing leads to it from now on. */
export async function withdraw(
  uuid: RepositoryUuid,
  stored: StoredRecord,
  workspace: MirroredWorkspace | undefined,
  options: RetireOptions,
): Promise<Retired> {
  const record = stored.value;
  if (record === undefined) return { kind: "ignored" };
  const change = (before: RepositoryRecord) => withFacts(before, factsOf(before), { isNamed: false });
  return removeInTime(uuid, stored, record, change, workspace, options);
}

async function removeInTime(
  uuid: RepositoryUuid,
  stored: StoredRecord,
  before: RepositoryRecord,
  change: (record: RepositoryRecord) => RepositoryRecord,
  workspace: MirroredWorkspace | undefined,
  { storage: { store }, now }: RetireOptions,
): Promise<Retired> {
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
