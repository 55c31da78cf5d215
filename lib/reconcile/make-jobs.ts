/** Makes jobs of what a run found to need one, and lets requests know of what is going to be mirrored. */
import { errorFields, isUnreadableDocument } from "../errors.ts";
import { inBatches } from "../in-batches.ts";
import type { Logger } from "../log.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { RepositoryFacts, SyncJob, SyncReason } from "../mirror/sync-job.ts";
import type { IndexedRepository } from "../mirror/workspace-index.ts";
import { reserveName } from "../repo/name-index.ts";
import { repositoryDocument } from "../repo/repository-record.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { WorkingIndex } from "./index-changes.ts";

/** Of the store, at a time. */
const CONCURRENT_WRITES = 32;

export interface MakeJobsOptions {
  readonly store: BlobStore;
  readonly log: Logger;
  readonly now: () => Date;
}

/** Marks in the index that they were made. What was retired and is purged is forgotten instead. */
export async function makeJobs(
  { workspace }: MirroredWorkspace,
  index: WorkingIndex,
  due: readonly string[],
  options: MakeJobsOptions,
): Promise<{ readonly job: SyncJob; readonly eventId: string }[]> {
  const at = options.now().toISOString();
  const jobs: { job: SyncJob; eventId: string }[] = [];
  const reserved: ReservedRepository[] = [];
  for (const uuid of due) {
    const entry = index.repositories.get(uuid);
    if (entry === undefined) continue;
    const isRetired = entry.held === "retired" && entry.due === undefined;
    if (isRetired && (await isPurged(uuid, options))) {
      forget(index, uuid, entry);
      continue;
    }
    const { due: reason = "check", ...others } = entry;
    if (reason === "new") reserved.push({ uuid, ...entry });
    jobs.push({ job: jobOf(workspace, uuid, entry, reason, at), eventId: `reconcile-${uuid}-${at}` });
    index.repositories.set(uuid, { ...others, checkedAt: at });
  }
  // Until the first sync is done, requests for these names are redirected to the primary.
  await inBatches(reserved, CONCURRENT_WRITES, ({ uuid, ...one }) =>
    unlessUnreadable(options.log, uuid, () => reserveName(options.store, uuid, { ...one, workspace })),
  );
  return jobs;
}

/** Not where the record cannot be read: a job for it writes it anew, or fails and says so. */
async function isPurged(uuid: string, { store, log }: MakeJobsOptions): Promise<boolean> {
  const record = await unlessUnreadable(log, uuid, () => repositoryDocument(store, uuid).read());
  return record !== undefined && record.value === undefined;
}

/** @returns `undefined` where a document of this one repository cannot be read, which is logged. */
export async function unlessUnreadable<Result>(
  log: Logger,
  uuid: string,
  read: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isUnreadableDocument(error)) throw error;
    log.error("reconcile:document-unreadable", { uuid, ...errorFields(error) });
    return undefined;
  }
}

type ReservedRepository = Pick<IndexedRepository, "slug" | "isPrivate" | "seenAt"> & {
  readonly uuid: string;
};

function forget(index: WorkingIndex, uuid: string, entry: IndexedRepository): void {
  const { held: _purged, ...others } = entry;
  if (entry.isGone === true) index.repositories.delete(uuid);
  else index.repositories.set(uuid, others);
}

function jobOf(
  workspace: string,
  uuid: string,
  { slug, projectKey, isPrivate, sizeBytes, seenAt, isGone }: IndexedRepository,
  reason: SyncReason,
  queuedAt: string,
): SyncJob {
  const facts: RepositoryFacts = { workspace, slug, projectKey, isPrivate, sizeBytes, seenAt };
  const job = { kind: "repository", workspace, uuid, queuedAt, facts, factsFrom: "rest" } as const;
  return { ...job, reason: isGone === true ? "gone" : reason };
}
