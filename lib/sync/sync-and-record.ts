/** A sync whose course is kept: what state the repository is in, since when, and what went wrong. */
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import { afterCleanUp, RenamedError, StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { RepositoryNews } from "../mirror/repository-news.ts";
import {
  changeRepositoryState,
  factsOf,
  failed,
  markFailure,
  type RepositoryState,
  recordOf,
  type StoredState,
  sameFacts,
  withFacts,
} from "../mirror/repository-state.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import type { CompactionProgress } from "../repo/compaction/compact-repository.ts";
import { nameKey, type RepositoryUuid } from "../repo/layout.ts";
import { releaseReservedName, reserveName } from "../repo/names.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { readUpstreamRecord, writeUpstreamRecord } from "../repo/upstream-record.ts";
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
  stored: StoredState,
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
    hasUuidPath: await hasUuidPath(job.uuid, upstream, outcome, options),
    startedAt,
  };
  const isProjectNameTaken = await noteSuccess(job.uuid, begun, facts, succeeded, store);
  await unmark(job, begun.value, facts, store);
  if (isProjectNameTaken) {
    const { workspace, slug, projectKey } = facts;
    log.warn("sync:project-name-taken", { repo: `${workspace}/${slug}`, projectKey });
  }
  return outcome;
}

/** Also what an earlier job has published, and was killed before it could tell. */
async function announceNews(
  uuid: RepositoryUuid,
  before: RepositoryState | undefined,
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
  state: RepositoryState | undefined,
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
  before: RepositoryState | undefined,
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
  stored: StoredState,
  facts: RepositoryFacts,
  { store }: RepositoryStorage,
): Promise<StoredState> {
  if (stored.value?.firstSyncAt !== undefined && stored.value.removedAt === undefined) return stored;
  const { workspace, slug, isPrivate } = facts;
  const { value: before } = stored;
  // Renamed before anything was mirrored.
  if (before !== undefined && nameKey(before.workspace, before.slug) !== nameKey(workspace, slug))
    await releaseReservedName(store, before.workspace, before.slug, uuid);
  await reserveName(store, workspace, slug, uuid, !isPrivate);
  if (before?.firstSyncAt === undefined) await markFailure(store, workspace, uuid, true);
  const change = (state: RepositoryState): RepositoryState => {
    const { removedAt: _back, ...others } = withFacts(state, facts);
    return { ...others, state: state.firstSyncAt === undefined ? "INITIALIZING" : state.state };
  };
  return changeRepositoryState(store, uuid, facts, change, stored);
}

async function noteFailure(
  uuid: RepositoryUuid,
  stored: StoredState,
  facts: RepositoryFacts,
  error: unknown,
  store: RepositoryStorage["store"],
  at: Date,
): Promise<void> {
  await changeRepositoryState(store, uuid, facts, (state) => failed(state, error, at), stored);
  await markFailure(store, facts.workspace, uuid, true);
}

interface SucceededSync {
  readonly outcome: SyncOutcome;
  /** Whether those who want to know will be told of these refs. */
  readonly isAnnounced: boolean;
  readonly startedAt: Date;
  /** See `UpstreamRecord`. */
  readonly hasUuidPath: boolean | undefined;
}

/** @returns `undefined` where nothing new is known: refs that are the same under the name prove nothing. */
async function hasUuidPath(
  uuid: RepositoryUuid,
  { foundBy }: FoundUpstream,
  { kind }: SyncOutcome,
  { storage, isNameRight }: SyncAndRecordOptions,
): Promise<boolean | undefined> {
  if (foundBy === "uuid") return true;
  if (kind === "published") return false;
  const record = await readUpstreamRecord(storage.store, uuid);
  // Callers are asked about by a path that git does not take any more: none of them would be let in.
  return record?.hasUuidPath === true && (await isNameRight?.()) ? false : undefined;
}

/** @returns Whether another repository keeps the name by project. */
async function noteSuccess(
  uuid: RepositoryUuid,
  stored: StoredState,
  facts: RepositoryFacts,
  { outcome, isAnnounced, hasUuidPath, startedAt }: SucceededSync,
  store: RepositoryStorage["store"],
): Promise<boolean> {
  const before = stored.value;
  // Only now: until the first generation is published, nothing is served under the name.
  const { isProjectNameTaken } = await writeUpstreamRecord(store, uuid, { ...recordOf(facts), hasUuidPath });
  const isOld = startedAt.getTime() - Date.parse(before?.lastSyncAt ?? "1970-01-01") >= NOTE_AGE_MS;
  const { refsSha256 } = outcome;
  const isTold = !isAnnounced || before?.announcedRefs === refsSha256;
  const isSame = before?.state === "AVAILABLE" && sameFacts(factsOf(before), facts) && isTold;
  if (outcome.kind === "unchanged" && isSame && !isOld) return isProjectNameTaken;
  const at = startedAt.toISOString();
  const change = (state: RepositoryState): RepositoryState => {
    const { lastError: _fixed, ...others } = withFacts(state, facts);
    return {
      ...others,
      state: "AVAILABLE",
      firstSyncAt: state.firstSyncAt ?? at,
      lastSyncAt: at,
      failedSyncCount: 0,
      hashes: { ...others.hashes, content: refsSha256 },
      ...(isAnnounced && { announcedRefs: refsSha256 }),
    };
  };
  await changeRepositoryState(store, uuid, facts, change, stored);
  return isProjectNameTaken;
}
