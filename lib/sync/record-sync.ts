/** What a job writes into the repository's record: its state, since when, what went wrong, which refs were announced. */
import type { RepositoryNews } from "../mirror/repository-news.ts";
import {
  changeRecord,
  factsOf,
  failed,
  markFailure,
  sameFacts,
  type WrittenRecord,
  withFacts,
} from "../mirror/repository-state.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import { indexNames, releaseReservedName, reserveName } from "../repo/name-index.ts";
import type { FoundBy } from "../repo/names.ts";
import {
  indexDone,
  type RecentSync,
  type RepositoryRecord,
  type StoredRecord,
  withRecentSync,
} from "../repo/repository-record.ts";
import { openIfThere } from "./fetch-base.ts";
import type { JobContext } from "./job-context.ts";
import type { PublishedOutcome } from "./publish-fetched.ts";
import { sameName } from "./repository-facts.ts";
import type { SyncOutcome } from "./sync-repository.ts";

const DEFAULT_CLOCK_MARGIN_MS = 100;

/** How old "last synchronized" may grow before a sync without changes writes it again. */
const NOTE_AGE_MS = 5 * 60_000;

/** Whether the refs were listed after the job was made, and nothing else has changed. */
export async function isCurrent(
  record: RepositoryRecord | undefined,
  facts: RepositoryFacts,
  { job, checks, storage, announce, clockMarginMs = DEFAULT_CLOCK_MARGIN_MS }: JobContext,
): Promise<boolean> {
  if (record?.state !== "AVAILABLE" || !sameFacts(factsOf(record), facts)) return false;
  const neededMs = Date.parse(job.queuedAt) + clockMarginMs;
  if (!isWaitedFor(job) && (checks.get(job.uuid) ?? 0) > neededMs) return true;
  const repository = await openIfThere(storage, job.uuid);
  if (repository === undefined) return false;
  const { verifiedAt, refs } = repository.manifest;
  if (announce !== undefined && record.announcedRefs !== refs.sha256) return false;
  return Date.parse(verifiedAt) > neededMs;
}

/** How long a repository that cannot be mirrored is left alone. */
const RETRY_UNSUPPORTED_MS = 6 * 3_600_000;

/** Whether the last sync found that the repository cannot be mirrored. When the operator asks, it is tried again at once. */
export function isKnownUnsupported(
  record: RepositoryRecord | undefined,
  { job: { reason }, now }: JobContext,
): boolean {
  const { lastError } = record ?? {};
  if (lastError?.code !== "UNSUPPORTED" || reason === "asked") return false;
  return now().getTime() - Date.parse(lastError.at) < RETRY_UNSUPPORTED_MS;
}

/** Requests that asked for the sync, or list refs after a push, wait for the time in the manifest. */
export function isWaitedFor({ reason }: RepositoryJob): boolean {
  return reason === "asked" || reason === "push";
}

/** Deletes the failure mark if there may be one: also one that was left by a process killed after it wrote the record. */
export async function clearFailureMark(
  before: RepositoryRecord | undefined,
  { job: { uuid, reason }, storage: { store } }: JobContext,
  { workspace }: RepositoryFacts,
): Promise<void> {
  const isMarked = before?.firstSyncAt === undefined || before.failedSyncCount > 0 || reason === "failed";
  if (isMarked) await markFailure(store, workspace, uuid, false);
}

/**
 * Before the first generation, readers see that a sync is under way. The failure mark is set from the beginning: a process that
 * is killed records no failure, and reconcile then finds the repository by the mark.
 */
export async function beginSync(
  stored: StoredRecord,
  facts: RepositoryFacts,
  { job: { uuid }, storage: { store } }: JobContext,
): Promise<WrittenRecord> {
  const { value: before } = stored;
  if (before?.firstSyncAt !== undefined && before.removedAt === undefined)
    return { ...stored, value: before };
  // Renamed before anything was mirrored.
  if (before !== undefined && !sameName(before, facts)) await releaseReservedName(store, uuid, before);
  if (!before?.isNamed) await reserveName(store, uuid, facts);
  if (before?.firstSyncAt === undefined) await markFailure(store, facts.workspace, uuid, true);
  const change = (record: RepositoryRecord): RepositoryRecord => {
    const { removedAt: _back, ...others } = withFacts(record, facts);
    return { ...others, state: record.firstSyncAt === undefined ? "INITIALIZING" : record.state };
  };
  return changeRecord(store, uuid, facts, change, stored);
}

export async function recordFailure(
  begun: WrittenRecord,
  facts: RepositoryFacts,
  error: unknown,
  { job: { uuid }, storage: { store }, now }: JobContext,
): Promise<void> {
  const at = now();
  await changeRecord(store, uuid, facts, (record) => failed(record, error, at), begun);
  await markFailure(store, facts.workspace, uuid, true);
}

/** The event of what was published; also of what an earlier job published before it was killed. */
export async function announce(
  before: RepositoryRecord | undefined,
  facts: RepositoryFacts,
  outcome: SyncOutcome,
  context: JobContext,
): Promise<void> {
  const { kind, generation, refsSha256 } = outcome;
  if (context.announce === undefined || (kind === "unchanged" && before?.announcedRefs === refsSha256))
    return;
  const isFirst = before?.firstSyncAt === undefined;
  // Else the changes of a publish that was never announced would be missing.
  const isNext = kind === "published" && outcome.refsSha256Before === before?.announcedRefs;
  const changes = isNext ? outcome.changes : undefined;
  const news: RepositoryNews = { uuid: context.job.uuid, facts, generation, refsSha256, isFirst, changes };
  await context.announce(news);
}

export interface SucceededSync {
  readonly outcome: SyncOutcome;
  readonly startedAt: Date;
  /** `undefined` where nothing new is known. */
  readonly foundBy: FoundBy | undefined;
}

/**
 * Names lead to the repository from here on, so after its first publish. A change of names is written before the index is
 * changed: the next job completes it if this one is killed in between.
 */
export async function recordSuccess(
  begun: WrittenRecord,
  facts: RepositoryFacts,
  succeeded: SucceededSync,
  context: JobContext,
): Promise<void> {
  const { job, log, storage } = context;
  const { store } = storage;
  const { foundBy, outcome } = succeeded;
  const named = (record: RepositoryRecord) => withFacts(record, facts, { isNamed: true, foundBy });
  const isPending = named(begun.value).isIndexPending === true;
  const stored = isPending ? await changeRecord(store, job.uuid, facts, named, begun) : begun;
  const indexed = named(stored.value);
  const all = isPending || job.reason === "check";
  const { isNameTaken, isProjectNameTaken } = await indexNames(store, job.uuid, indexed, { all });
  if (isPending || outcome.kind === "published" || !isRecorded(stored.value, facts, succeeded, context)) {
    const change = (record: RepositoryRecord) =>
      withSuccess(indexDone(named(record), indexed), succeeded, context);
    await changeRecord(store, job.uuid, facts, change, stored);
  }
  await clearFailureMark(begun.value, context, facts);
  const { workspace, slug, projectKey } = facts;
  if (isNameTaken) log.warn("sync:name-taken", { repo: `${workspace}/${slug}`, uuid: job.uuid });
  if (isProjectNameTaken) log.warn("sync:project-name-taken", { repo: `${workspace}/${slug}`, projectKey });
}

/** Git's own server has nine. A list that is cut only leaves out what could be asked for. */
const MAX_CAPABILITIES = 32;

function withSuccess(
  { lastError: _fixed, ...record }: RepositoryRecord,
  { outcome, startedAt }: SucceededSync,
  context: JobContext,
): RepositoryRecord {
  const { refsSha256, capabilities } = outcome;
  const at = startedAt.toISOString();
  return {
    ...(outcome.kind === "published"
      ? withRecentSync(record, published(outcome, startedAt, context))
      : record),
    state: "AVAILABLE",
    firstSyncAt: record.firstSyncAt ?? at,
    lastSyncAt: at,
    failedSyncCount: 0,
    hashes: { ...record.hashes, content: refsSha256 },
    ...(context.announce !== undefined && { announcedRefs: refsSha256 }),
    primaryCapabilities: capabilities?.slice(0, MAX_CAPABILITIES),
  };
}

function published(
  { changes, objects, receivedBytes }: PublishedOutcome,
  startedAt: Date,
  { now }: JobContext,
): RecentSync {
  const durationMs = Math.max(0, now().getTime() - startedAt.getTime());
  const changedRefs = changes.length;
  return { kind: "published", at: startedAt.toISOString(), durationMs, changedRefs, objects, receivedBytes };
}

/** Whether the record says all this already, or nearly. */
function isRecorded(
  record: RepositoryRecord,
  facts: RepositoryFacts,
  { outcome, startedAt }: SucceededSync,
  context: JobContext,
): boolean {
  if (record.state !== "AVAILABLE" || !sameFacts(factsOf(record), facts)) return false;
  const ageMs = startedAt.getTime() - Date.parse(record.lastSyncAt ?? "1970-01-01");
  const isAnnounced = context.announce === undefined || record.announcedRefs === outcome.refsSha256;
  return ageMs < NOTE_AGE_MS && isAnnounced;
}
