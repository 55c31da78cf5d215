/**
 * Makes one repository of the mirror what it should be: in step with the primary, found under its present name, or no longer
 * served. A job says where to look, not what to do, so it may be repeated, late or lost.
 * 1. Read configuration and record, and find the repository's present name and project (`repository-facts.ts`).
 * 2. Gone, or not selected: retire it (`retire-repository.ts`), and end.
 * 3. Nothing changed since the job was made: end. Else record that a sync begins (`record-sync.ts`).
 * 4. Sync (`sync-repository.ts`). What was fetched is published once the name is confirmed (`found-by.ts`).
 * 5. Announce what was published, and record success or failure.
 * 6. Prepare answers and compact, within the job's time.
 * If git refuses the repository, REST is asked about it, and the job starts again at step 2 with the answer.
 */
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import {
  afterCleanUp,
  insteadOf,
  NotFoundError,
  RenamedError,
  StoppedError,
  UpstreamError,
  VersionConflictError,
} from "../errors.ts";
import { noteFinding } from "../mirror/job-findings.ts";
import { findWorkspace } from "../mirror/mirror-config.ts";
import type { WrittenRecord } from "../mirror/repository-state.ts";
import { isMirrored } from "../mirror/selection.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import { takeBackFound } from "../mirror/workspace-index.ts";
import { maintainRepository } from "../repo/maintain-repository.ts";
import { readManifest } from "../repo/manifest.ts";
import { releaseName, releaseReservedName } from "../repo/name-index.ts";
import { type RepositoryRecord, repositoryDocument, type StoredRecord } from "../repo/repository-record.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { confirmName, foundByAfter } from "./found-by.ts";
import { type JobContext, jobContext, type RepositoryJobOptions } from "./job-context.ts";
import { KeptReads } from "./kept-reads.ts";
import { prepareRecent, prepareRepository } from "./prepare-repository.ts";
import {
  announce,
  beginSync,
  clearFailureMark,
  isCurrent,
  isKnownUnsupported,
  isWaitedFor,
  recordFailure,
  recordSuccess,
} from "./record-sync.ts";
import { isHeldBack } from "./removal-limit.ts";
import { type FactsSource, type FoundFacts, findFacts, sameName, tryForFacts } from "./repository-facts.ts";
import { retire, withdraw } from "./retire-repository.ts";
import { type SyncOutcome, syncRepository } from "./sync-repository.ts";

export type JobOutcome =
  | SyncOutcome
  /** The refs were listed since the job was made. */
  | { readonly kind: "current" }
  /** The account does not see it. It is served until reconcile believes that it is gone. */
  | { readonly kind: "unseen" }
  /** No longer served; its data is kept for some time, or was deleted now. */
  | { readonly kind: "retired" | "purged" }
  /** The last sync, some hours ago at most, has found that it cannot be mirrored: the primary was not asked. */
  | { readonly kind: "unsupported" }
  /** Not this mirror's. */
  | { readonly kind: "ignored" };

export interface JobResult {
  readonly outcome: JobOutcome;
  /** `undefined` for a repository that is gone, or that another workspace has. */
  readonly facts: RepositoryFacts | undefined;
}

/**
 * @throws What `syncRepository` throws; the failure is noted in the repository's record.
 * @throws {UpstreamError} The primary cannot say what became of the repository.
 */
export async function runRepositoryJob(
  job: RepositoryJob,
  options: RepositoryJobOptions,
): Promise<JobResult> {
  const { keptReads = new KeptReads(), storage } = options;
  return keptReads.during(storage.store, (store) =>
    run(job, { ...options, storage: { ...storage, store } }, storage.store),
  );
}

async function run(
  job: RepositoryJob,
  options: RepositoryJobOptions,
  uncachedStore: BlobStore,
): Promise<JobResult> {
  const [config, stored] = await Promise.all([
    options.readConfig(),
    repositoryDocument(options.storage.store, job.uuid).readForChange(),
    // Nearly every one of these opens the repository: what is wrong with the manifest shows then.
    isWaitedFor(job) && readManifest(options.storage.store, job.uuid).catch(() => undefined),
  ]);
  const context = jobContext(job, config, options);
  const startedMs = context.now().getTime();
  const result = await settle(stored, context);
  logResult(result, stored.value, startedMs, context);
  if (result.outcome.kind === "published") {
    await prepareRepository(job.uuid, context);
    await context.onPublished?.(job.uuid);
  }
  await maintain(result, context, uncachedStore);
  return result;
}

async function settle(stored: StoredRecord, context: JobContext): Promise<JobResult> {
  const { job, config } = context;
  const workspace = findWorkspace(config, job.workspace);
  if (workspace?.disabled) return { outcome: { kind: "ignored" }, facts: undefined };
  if (workspace === undefined || workspace.removedAt !== undefined) {
    const outcome = isElsewhere(stored, job) ? IGNORED : await retire(stored, undefined, workspace, context);
    await releaseClaimedName(context);
    return { outcome, facts: undefined };
  }
  const { api } = await context.primaryOf(workspace);
  return act(stored, await findFacts(stored.value, { api, context }), context);
}

const IGNORED: JobOutcome = { kind: "ignored" };

async function act(stored: StoredRecord, found: FoundFacts, context: JobContext): Promise<JobResult> {
  const { job, config, storage } = context;
  // A name that it has lost may be reserved for it, before it had a record.
  if (found.kind === "gone" || !sameName(found.facts, job.facts ?? found.facts))
    await releaseClaimedName(context);
  if (found.kind === "gone") {
    if (isElsewhere(stored, job)) return { outcome: IGNORED, facts: undefined };
    const isServed = stored.value?.removedAt === undefined;
    if (job.reason !== "gone" || (isServed && (await isHeldBack(context)))) {
      // It may be one of many that the account cannot see: the next list of the workspace decides.
      await noteFinding(storage.store, job.workspace, job.uuid, "unseen");
      return { outcome: { kind: "unseen" }, facts: undefined };
    }
    const workspace = findWorkspace(config, job.workspace);
    return { outcome: await withdraw(stored, workspace, context), facts: undefined };
  }
  const { facts } = found;
  // Before anything else, and also for a repository that is not mirrored.
  if (found.isFromRest) await releaseName(storage.store, job.uuid, facts);
  const isBack = found.isFromRest && stored.value?.isNamed === false && stored.value.removedAt !== undefined;
  if (job.reason === "gone" || isBack) await noteFound(facts.workspace, context);
  const workspace = findWorkspace(config, facts.workspace);
  if (workspace === undefined || !isMirrored(config, facts)) {
    await releaseReservedName(storage.store, job.uuid, facts);
    return { outcome: await retire(stored, facts, workspace, context), facts };
  }
  const primary = await context.primaryOf(workspace);
  const source = { api: primary.api, context };
  try {
    return { outcome: await synchronize(stored, facts, primary.upstreamOf(job.uuid, facts), source), facts };
  } catch (error) {
    if (!(error instanceof RenamedError || (!found.isFromRest && isRefusal(error)))) throw error;
    // The repository may have another name, or be gone.
    const foundNow = await tryForFacts(source);
    if (foundNow === undefined) throw error;
    return act(await repositoryDocument(storage.store, job.uuid).readForChange(), foundNow, context);
  }
}

/** In the index, and for the next run of reconcile: the run that made the job may not have written the index yet. */
async function noteFound(
  workspace: string,
  { job: { uuid }, storage: { store } }: JobContext,
): Promise<void> {
  await noteFinding(store, workspace, uuid, "found");
  await takeBackFound(store, workspace, uuid).catch(insteadOf(VersionConflictError, undefined));
}

async function synchronize(
  stored: StoredRecord,
  facts: RepositoryFacts,
  upstream: FoundUpstream,
  source: FactsSource,
): Promise<JobOutcome> {
  const { context } = source;
  const { job, checks, now } = context;
  if (await isCurrent(stored.value, facts, context)) {
    await clearFailureMark(stored.value, context, facts);
    return { kind: "current" };
  }
  if (isKnownUnsupported(stored.value, context)) return { kind: "unsupported" };
  const begun = await beginSync(stored, facts, context);
  const startedAt = now();
  const outcome = await syncOrRecordFailure(begun, facts, upstream, source);
  await announce(stored.value, facts, outcome, context);
  checks.set(job.uuid, startedAt.getTime());
  const foundBy = await foundByAfter(begun.value.foundBy, upstream, outcome, facts, source);
  await recordSuccess(begun, facts, { outcome, startedAt, foundBy }, context);
  return outcome;
}

async function syncOrRecordFailure(
  begun: WrittenRecord,
  facts: RepositoryFacts,
  upstream: FoundUpstream,
  source: FactsSource,
): Promise<SyncOutcome> {
  const { context } = source;
  const { job, signal, onProgress } = context;
  try {
    return await syncRepository(job.uuid, {
      ...context,
      upstream,
      expectedBytes: facts.sizeBytes,
      // What may have changed is found out by the next sync without a push.
      capabilities: isWaitedFor(job) ? begun.value.primaryCapabilities : undefined,
      checkStore: context.checksStore?.(job.uuid) ?? false,
      notesVerified: isWaitedFor(job),
      onProgress: (progress) => onProgress(facts, progress),
      confirm: (continues) => confirmName(facts, upstream, continues, source),
    });
  } catch (error) {
    // A stopped process says nothing about the repository, whatever error the stop became; nor does a rename.
    if (signal?.aborted || error instanceof StoppedError || error instanceof RenamedError) throw error;
    throw await afterCleanUp(error, () => recordFailure(begun, facts, error, context));
  }
}

function logResult(
  { outcome, facts }: JobResult,
  record: RepositoryRecord | undefined,
  startedMs: number,
  { job, log, now }: JobContext,
): void {
  const { workspace, slug } = facts ?? record ?? { workspace: job.workspace, slug: job.uuid };
  const named = { repo: `${workspace}/${slug}`, reason: job.reason };
  const ms = now().getTime() - startedMs;
  if (outcome.kind === "published") {
    const {
      kind: _,
      refsSha256: _after,
      refsSha256Before: _before,
      capabilities: _known,
      changes,
      ...counts
    } = outcome;
    const lag = job.reason === "push" && { SyncLagSeconds: secondsBetween(job.queuedAt, now()) };
    const fields = { ...named, ...counts, changedRefs: changes.length, ms };
    log.info("sync:published", fields, { Syncs: 1, ...lag });
  } else {
    const { generation } = { generation: undefined, ...outcome };
    log[outcome.kind === "unseen" ? "warn" : "info"](`sync:${outcome.kind}`, {
      ...named,
      ...(generation !== undefined && { generation }),
      ms,
    });
  }
}

/** Clocks of two machines may differ. */
function secondsBetween(earlier: string, later: Date): number {
  return Math.max(0, (later.getTime() - Date.parse(earlier)) / 1000);
}

async function maintain(
  { outcome, facts }: JobResult,
  context: JobContext,
  uncachedStore: BlobStore,
): Promise<void> {
  const { job, storage, log, signal, onProgress } = context;
  const { maintains = ({ reason }) => reason === "check" } = context;
  const isDue = outcome.kind === "published" || (outcome.kind === "unchanged" && maintains(job));
  if (facts === undefined || !isDue) return;
  const { compaction } = await maintainRepository(job.uuid, {
    ...{ store: storage.store, uncachedStore, log, signal, name: `${facts.workspace}/${facts.slug}` },
    onProgress: (progress) => onProgress(facts, progress),
  });
  // A compaction has put the recent objects into other packs; the release before, or a failure, has left none.
  const mayLackRecent = compaction?.kind === "compacted" || outcome.kind === "unchanged";
  if (mayLackRecent) await prepareRecent(job.uuid, { storage, log, signal });
}

async function releaseClaimedName({ job: { uuid, facts }, storage }: JobContext): Promise<void> {
  if (facts !== undefined) await releaseReservedName(storage.store, uuid, facts);
}

function isRefusal(error: unknown): boolean {
  if (error instanceof NotFoundError) return true;
  return error instanceof UpstreamError && [401, 403].includes(Number(error.context["status"]));
}

/** Not mirrored, or another workspace of this mirror has it now. Of a damaged record that is not known. */
function isElsewhere({ value, damage }: StoredRecord, { workspace }: RepositoryJob): boolean {
  if (value === undefined) return damage === undefined;
  return value.workspace.toLowerCase() !== workspace.toLowerCase();
}
