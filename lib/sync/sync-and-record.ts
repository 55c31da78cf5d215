/** A sync whose course is kept: what state the repository is in, since when, and what went wrong. */
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import { afterCleanUp, RenamedError, StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
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
import type { CompactionProgress } from "../repo/compaction/compact-repository.ts";
import { nameKey, type RepositoryUuid } from "../repo/layout.ts";
import { indexNames, type NameConflicts, releaseReservedName, reserveName } from "../repo/name-index.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { indexDone, type RepositoryRecord, type StoredRecord } from "../repo/repository-record.ts";
import { openIfThere } from "./fetch-base.ts";
import type { RecentChecks } from "./recent-checks.ts";
import type { SyncProgress } from "./sync-context.ts";
import { type SyncOutcome, syncRepository } from "./sync-repository.ts";

export interface SyncAndRecordOptions {
  readonly storage: RepositoryStorage;
  readonly log: Logger;
  /** Of this process. */
  readonly checks: RecentChecks;
  /**
   * Resolves once it is sure that those who want to know will be told; the job fails if it throws, and tells when it comes again.
   * Where it is absent, the next job that has one tells.
   */
  readonly announce?: (news: RepositoryNews) => Promise<void>;
  readonly onProgress?: (facts: RepositoryFacts, progress: SyncProgress | CompactionProgress) => void;
  /** Whether to look for damage in the store, though nothing is new. */
  readonly checksStore?: (uuid: RepositoryUuid) => boolean;
  /** See `SyncOptions`. */
  readonly confirm?: (continues: boolean) => Promise<void>;
  /** Whether REST says so, now. */
  readonly isNameRight?: () => Promise<boolean>;
  readonly signal?: AbortSignal;
  readonly temporaryFolder?: string | undefined;
  readonly now?: () => Date;
  /** How far the clocks of those who make jobs and of those who do them may differ. AWS keeps them within milliseconds. */
  readonly clockMarginMs?: number;
}

const DEFAULT_CLOCK_MARGIN_MS = 100;

/** How old "last synchronized" may grow before a sync without news notes it again. */
const NOTE_AGE_MS = 5 * 60_000;

/** @throws What `syncRepository` throws. */
export async function syncAndRecord(
  job: RepositoryJob,
  stored: StoredRecord,
  facts: RepositoryFacts,
  upstream: FoundUpstream,
  options: SyncAndRecordOptions,
): Promise<SyncOutcome | { readonly kind: "current" }> {
  const { storage, log, checks, onProgress, signal, temporaryFolder, now = () => new Date() } = options;
  const { store } = storage;
  if (await isCurrent(job, stored.value, facts, options)) {
    await unmark(job, stored.value, facts, store);
    return { kind: "current" };
  }
  const begun = await begin(job.uuid, stored, facts, storage);
  const startedAt = now();
  let outcome: SyncOutcome;
  try {
    outcome = await syncRepository(job.uuid, {
      storage,
      upstream,
      log,
      now,
      temporaryFolder,
      expectedBytes: facts.sizeBytes,
      checkStore: options.checksStore?.(job.uuid) ?? false,
      notesVerified: isWaitedFor(job),
      ...(onProgress && { onProgress: (progress) => onProgress(facts, progress) }),
      ...(options.confirm && { confirm: options.confirm }),
      ...(signal && { signal }),
    });
  } catch (error) {
    // A process that stops says nothing about the repository, whatever error the stop became; nor does a rename.
    const isStopped = signal?.aborted || error instanceof StoppedError;
    const isFailure = !(isStopped || error instanceof RenamedError);
    if (!isFailure) throw error;
    throw await afterCleanUp(error, () => noteFailure(job.uuid, begun, facts, error, store, now()));
  }
  await announceNews(job.uuid, stored.value, facts, outcome, options);
  checks.note(job.uuid, startedAt.getTime());
  const succeeded = {
    outcome,
    isAnnounced: options.announce !== undefined,
    hasUuidPath: await hasUuidPath(begun.value, upstream, outcome, options),
    startedAt,
  };
  const { isNameTaken, isProjectNameTaken } = await noteSuccess(job, begun, facts, succeeded, store);
  await unmark(job, begun.value, facts, store);
  const { workspace, slug, projectKey } = facts;
  if (isNameTaken) log.warn("sync:name-taken", { repo: `${workspace}/${slug}`, uuid: job.uuid });
  if (isProjectNameTaken) log.warn("sync:project-name-taken", { repo: `${workspace}/${slug}`, projectKey });
  return outcome;
}

/** Also what an earlier job has published, and was killed before it could tell. */
async function announceNews(
  uuid: RepositoryUuid,
  before: RepositoryRecord | undefined,
  facts: RepositoryFacts,
  outcome: SyncOutcome,
  { announce }: SyncAndRecordOptions,
): Promise<void> {
  const { kind, generation, refsSha256 } = outcome;
  if (announce === undefined || (kind === "unchanged" && before?.announcedRefs === refsSha256)) return;
  const isFirst = before?.firstSyncAt === undefined;
  // What was published before and told to nobody would be left out.
  const isNext = kind === "published" && outcome.refsSha256Before === before?.announcedRefs;
  const changes = isNext ? outcome.changes : undefined;
  await announce({ uuid, facts, generation, refsSha256, isFirst, changes });
}

/** Whether the refs were listed after the job was made, and nothing else has changed. */
async function isCurrent(
  { uuid, queuedAt, reason }: RepositoryJob,
  state: RepositoryRecord | undefined,
  facts: RepositoryFacts,
  { checks, storage, announce, clockMarginMs = DEFAULT_CLOCK_MARGIN_MS }: SyncAndRecordOptions,
): Promise<boolean> {
  if (state?.state !== "AVAILABLE" || !sameFacts(factsOf(state), facts)) return false;
  const neededMs = Date.parse(queuedAt) + clockMarginMs;
  if (!isWaitedFor({ reason }) && checks.listedAtMs(uuid) > neededMs) return true;
  const repository = await openIfThere(storage, uuid);
  if (repository === undefined) return false;
  const { verifiedAt, refs } = repository.manifest;
  if (announce !== undefined && state.announcedRefs !== refs.sha256) return false;
  return Date.parse(verifiedAt) > neededMs;
}

/** Who asked, and who lists refs after a push was announced, waits for the time in the manifest. */
function isWaitedFor({ reason }: Pick<RepositoryJob, "reason">): boolean {
  return reason === "asked" || reason === "push";
}

/** Takes the mark away that the state before says there is; also one that is left because a process was killed after the state. */
async function unmark(
  { uuid, reason }: RepositoryJob,
  before: RepositoryRecord | undefined,
  { workspace }: RepositoryFacts,
  store: RepositoryStorage["store"],
): Promise<void> {
  const isMarked = before?.firstSyncAt === undefined || before.failedSyncCount > 0 || reason === "failed";
  if (isMarked) await markFailure(store, workspace, uuid, false);
}

/**
 * Before the first generation, whoever asks is to see that it is under way. It is marked from its beginning: a process that is
 * killed notes no failure, and reconcile then finds it by the mark.
 */
async function begin(
  uuid: RepositoryUuid,
  stored: StoredRecord,
  facts: RepositoryFacts,
  { store }: RepositoryStorage,
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

async function noteFailure(
  uuid: RepositoryUuid,
  stored: StoredRecord,
  facts: RepositoryFacts,
  error: unknown,
  store: RepositoryStorage["store"],
  at: Date,
): Promise<void> {
  await changeRecord(store, uuid, facts, (record) => failed(record, error, at), stored);
  await markFailure(store, facts.workspace, uuid, true);
}

interface SucceededSync {
  readonly outcome: SyncOutcome;
  /** Whether the relay has sent these refs, or surely will. */
  readonly isAnnounced: boolean;
  readonly startedAt: Date;
  /** See `RepositoryRecord`; `undefined` where nothing new is known. */
  readonly hasUuidPath: boolean | undefined;
}

/** @returns `undefined` where nothing new is known: refs that are the same under the name prove nothing. */
async function hasUuidPath(
  record: RepositoryRecord | undefined,
  { foundBy }: FoundUpstream,
  { kind }: SyncOutcome,
  { isNameRight }: SyncAndRecordOptions,
): Promise<boolean | undefined> {
  if (foundBy === "uuid") return true;
  if (kind === "published") return false;
  // Callers are asked about by a path that git rejects by now: none of them would be let in.
  return record?.hasUuidPath === true && (await isNameRight?.()) ? false : undefined;
}

/**
 * Until the first generation is published, nothing is served under the name. A change of names is written before the index is
 * changed, so that a job that is killed in between leaves it to the next one.
 */
async function noteSuccess(
  job: RepositoryJob,
  stored: WrittenRecord,
  facts: RepositoryFacts,
  succeeded: SucceededSync,
  store: RepositoryStorage["store"],
): Promise<NameConflicts> {
  const { uuid } = job;
  const { outcome, isAnnounced, hasUuidPath, startedAt } = succeeded;
  const named = (record: RepositoryRecord) => withFacts(record, facts, { isNamed: true, hasUuidPath });
  const isPending = named(stored.value).isIndexPending === true;
  const begun = isPending ? await changeRecord(store, uuid, facts, named, stored) : stored;
  const indexed = named(begun.value);
  const conflicts = await indexNames(store, uuid, indexed, { all: isPending || job.reason === "check" });
  if (!isPending && outcome.kind === "unchanged" && isNoted(begun.value, facts, succeeded)) return conflicts;
  const at = startedAt.toISOString();
  const { refsSha256 } = outcome;
  const change = (record: RepositoryRecord): RepositoryRecord => {
    const { lastError: _fixed, ...others } = indexDone(named(record), indexed);
    return {
      ...others,
      state: "AVAILABLE",
      firstSyncAt: record.firstSyncAt ?? at,
      lastSyncAt: at,
      failedSyncCount: 0,
      hashes: { ...others.hashes, content: refsSha256 },
      ...(isAnnounced && { announcedRefs: refsSha256 }),
    };
  };
  await changeRecord(store, uuid, facts, change, begun);
  return conflicts;
}

/** Whether the record says all this already, or nearly. */
function isNoted(
  record: RepositoryRecord | undefined,
  facts: RepositoryFacts,
  { outcome, isAnnounced, startedAt }: SucceededSync,
): boolean {
  if (record?.state !== "AVAILABLE" || !sameFacts(factsOf(record), facts)) return false;
  const ageMs = startedAt.getTime() - Date.parse(record.lastSyncAt ?? "1970-01-01");
  return ageMs < NOTE_AGE_MS && (!isAnnounced || record.announcedRefs === outcome.refsSha256);
}

function sameName(a: RepositoryFacts, b: Pick<RepositoryFacts, "workspace" | "slug">): boolean {
  return nameKey(a.workspace, a.slug) === nameKey(b.workspace, b.slug);
}
