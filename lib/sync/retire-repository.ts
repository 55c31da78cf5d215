/** What becomes of a repository that is not mirrored any more: it is not served, and its data goes after some time. */
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import {
  changeRepositoryState,
  factsOf,
  markFailure,
  type RepositoryState,
  recordOf,
  type StoredState,
  withFacts,
} from "../mirror/repository-state.ts";
import type { RepositoryFacts } from "../mirror/sync-job.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { releaseReservedName } from "../repo/names.ts";
import { deleteUpstreamRecord, writeUpstreamRecord } from "../repo/upstream-record.ts";
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
  stored: StoredState,
  facts: RepositoryFacts | undefined,
  workspace: MirroredWorkspace | undefined,
  options: RetireOptions,
): Promise<Retired> {
  const { store } = options.storage;
  const state = stored.value;
  if (state === undefined) return { kind: "ignored" };
  const now = facts ?? factsOf(state);
  await releaseReservedName(store, state.workspace, state.slug, uuid);
  // By this record it is not served; and a name that it has taken does not lead to who had it before.
  if (facts !== undefined) await writeUpstreamRecord(store, uuid, recordOf(facts));
  return note(uuid, withFacts(state, now), stored, workspace, options);
}

/** It is gone from the primary, or may not be seen any more: nothing leads to it from now on. */
export async function withdraw(
  uuid: RepositoryUuid,
  stored: StoredState,
  workspace: MirroredWorkspace | undefined,
  options: RetireOptions,
): Promise<Retired> {
  const state = stored.value;
  if (state === undefined) return { kind: "ignored" };
  await releaseReservedName(options.storage.store, state.workspace, state.slug, uuid);
  await deleteUpstreamRecord(options.storage.store, uuid);
  return note(uuid, state, stored, workspace, options);
}

async function note(
  uuid: RepositoryUuid,
  state: RepositoryState,
  stored: StoredState,
  workspace: MirroredWorkspace | undefined,
  { storage: { store }, now }: RetireOptions,
): Promise<Retired> {
  const { lastError: _fixed, ...others } = state;
  const removedAt = state.removedAt ?? now().toISOString();
  const retentionDays = workspace?.retentionDays ?? DEFAULT_RETENTION_DAYS;
  if (Date.parse(removedAt) + retentionDays * DAY_MS <= now().getTime()) {
    await purge(store, uuid, state);
    return { kind: "purged" };
  }
  if (state.removedAt === undefined || JSON.stringify(state) !== JSON.stringify(stored.value)) {
    const retired: RepositoryState = { ...others, state: "NOT_MIRRORED", failedSyncCount: 0, removedAt };
    await changeRepositoryState(store, uuid, factsOf(state), () => retired, stored);
    await markFailure(store, state.workspace, uuid, false);
  }
  return { kind: "retired" };
}

/** The manifest first: a reader finds a repository that is whole, or none. The state last: until then it is done again. */
async function purge(store: BlobStore, uuid: RepositoryUuid, state: RepositoryState): Promise<void> {
  const keys = repositoryKeys(uuid);
  await deleteUpstreamRecord(store, uuid);
  await markFailure(store, state.workspace, uuid, false);
  await store.delete(keys.manifest);
  for await (const { key } of store.list(keys.prefix)) if (key !== keys.state) await store.delete(key);
  await store.delete(keys.state);
}
