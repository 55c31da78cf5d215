/**
 * Finds what webhooks missed in one workspace, and makes jobs of it: repositories that are new, renamed, moved, deleted,
 * lagging or failed. It talks to REST only, within a budget; whether refs differ is for the jobs to find out, by git.
 */

import { RequestBudget } from "../bitbucket/request-budget.ts";
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";
import type { OnSkipped } from "../bitbucket/rest-pages.ts";
import { errorFields, LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import { inBatches } from "../in-batches.ts";
import type { Logger } from "../log.ts";
import { forgetFindings, type JobFindings, readFindings } from "../mirror/job-findings.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";
import { readWorkspaceIndex, writeWorkspaceIndex } from "../mirror/workspace-index.ts";
import { failurePrefix } from "../repo/layout.ts";
import { releaseName } from "../repo/name-index.ts";
import { isNameSegment, readName } from "../repo/names.ts";
import type { BlobStore } from "../store/blob-store.ts";
import {
  dueRepositories,
  noteListed,
  noteSelection,
  type WorkingIndex,
  workingIndex,
} from "./index-changes.ts";
import { makeJobs, unlessUnreadable } from "./make-jobs.ts";
import { needsNewList, noteUnlisted, takeBack } from "./removals.ts";
import { listEverything, listScope, listUpdated } from "./workspace-listing.ts";

export type ReconcileMode = "quick" | "list" | "full";

export interface ReconcileOptions {
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** @param limit - To be put before what the API asks through. */
  readonly apiOf: (
    workspace: MirroredWorkspace,
    limit: (fetch: typeof globalThis.fetch) => typeof globalThis.fetch,
  ) => Promise<BitbucketRestApi>;
  readonly log: Logger;
  /**
   * `quick`: what was updated lately, and those whose turn it is. `list`: the same, after a complete list. `full`: a complete
   * list, and every repository is checked.
   */
  readonly mode: ReconcileMode;
  readonly now?: () => Date;
  readonly limits?: ReconcileLimits;
}

const HOUR_MS = 3_600_000;

export type ReconcileLimits = Readonly<typeof DEFAULT_RECONCILE_LIMITS>;

export const DEFAULT_RECONCILE_LIMITS = {
  /** Of one run. Ten syncs at a time get through about so many before the next one, five minutes later. */
  maxJobs: 1_000,
  /** Each costs two requests of REST, and there are twelve runs an hour. */
  maxGone: 25,
  /** 5,000 repositories are then some 1,700 requests of git's 60,000 an hour. */
  checkEveryMs: 6 * HOUR_MS,
  /** A complete list of 5,000 repositories is 50 requests of REST's 1,000 an hour. */
  listEveryMs: 6 * HOUR_MS,
  retiredEveryMs: 24 * HOUR_MS,
  /** The queue has given up by then. */
  retryFailedMs: HOUR_MS / 2,
};

/** Requested by a person, who waits. */
const FULL = { checkEveryMs: 0, maxJobs: Number.POSITIVE_INFINITY, maxGone: 250 };

export interface ReconcileOutcome {
  readonly jobCount: number;
  /** What kept REST from being asked, if anything did. */
  readonly failure: unknown;
  /** Whether nothing of the workspace's repositories is here any more, or on its way. */
  readonly isEmpty: boolean;
}

/** @throws What the store or the queue throws. A primary that fails is in the outcome: repositories that are known are still checked by git. */
export async function reconcileWorkspace(
  workspace: MirroredWorkspace,
  options: ReconcileOptions,
): Promise<ReconcileOutcome> {
  const { store, log, now = () => new Date(), limits = DEFAULT_RECONCILE_LIMITS } = options;
  if (workspace.disabled) return { jobCount: 0, failure: undefined, isEmpty: false };
  const stored = await readWorkspaceIndex(store, workspace.workspace);
  const budget = new RequestBudget(stored.value?.rest, now);
  const index = workingIndex(stored.value);
  const isRemoved = workspace.removedAt !== undefined;
  const findings = await readFindings(store, workspace.workspace);
  takeBack(index, findings.found.keys());
  // Also before the list: what the operator has deselected is not missing there.
  noteSelection(index, workspace);
  const listedBefore = index.listedAt;
  const learnOptions = { ...options, now, limits, findings };
  const failure = isRemoved ? undefined : await learn(workspace, index, budget, learnOptions);
  noteSelection(index, workspace);
  await noteFailures(workspace, index, store, now().getTime(), limits);
  const due = dueRepositories(index, now().getTime(), {
    ...limits,
    ...(options.mode === "full" && !isRemoved && FULL),
  });
  const jobs = await makeJobs(workspace, index, due, { store, log, now });
  await options.requests.request(jobs);
  const next = { ...index, rest: budget.state, repositories: Object.fromEntries(index.repositories) };
  const isWritten = await writeWorkspaceIndex(store, workspace.workspace, next, stored);
  if (isWritten) await forgetFindings(store, workspace.workspace, findings.found.keys(), "found");
  if (isWritten && index.listedAt !== listedBefore) {
    await forgetFindings(store, workspace.workspace, findings.unseen.keys(), "unseen");
    await forgetFindings(store, workspace.workspace, findings.deleted.keys(), "deleted");
  }
  log.info("reconcile:done", {
    workspace: workspace.workspace,
    mode: options.mode,
    repositories: index.repositories.size,
    jobs: jobs.length,
    isWritten,
  });
  const isEmpty = [...index.repositories.values()].every(({ held }) => held === undefined);
  return { jobCount: jobs.length, failure, isEmpty };
}

/** As many as are on a page: those updated last come first, so there is nothing new behind them. */
const MAX_KNOWN_IN_ROW = 100;

type LearnOptions = ReconcileOptions & {
  readonly now: () => Date;
  readonly limits: ReconcileLimits;
  readonly findings: JobFindings;
};

/** @returns REST's failure, if its answer was incomplete. */
async function learn(
  workspace: MirroredWorkspace,
  index: WorkingIndex,
  budget: RequestBudget,
  options: LearnOptions,
): Promise<unknown> {
  const { log, now, mode, limits } = options;
  if (!budget.mayAsk) {
    log.debug("reconcile:rest-left-alone", { workspace: workspace.workspace });
    return undefined;
  }
  const startedAt = now().toISOString();
  const listedAtMs = index.listedAt === undefined ? 0 : Date.parse(index.listedAt);
  const isComplete =
    mode !== "quick" ||
    index.updatedCursor === undefined ||
    // The last list may lack what is selected now, or what another account sees.
    index.listedScope !== listScope(workspace) ||
    needsNewList(index, options.findings, now().getTime()) ||
    now().getTime() - listedAtMs >= limits.listEveryMs;
  const listed = new Set<string>();
  let hasUnnamedEntry = false;
  const onSkipped: OnSkipped = ({ uuid, name, problem }) => {
    log.warn("reconcile:entry-skipped", { workspace: workspace.workspace, entry: name, uuid, problem });
    // It is in the list: only what it says cannot be used.
    if (uuid === undefined) hasUnnamedEntry = true;
    else listed.add(uuid);
  };
  const renamed: string[] = [];
  const { updatedCursor } = index;
  let knownInRow = 0;
  let failure: unknown;
  try {
    const api = await options.apiOf(workspace, (fetch) => budget.limit(fetch));
    const list = isComplete
      ? listEverything(api, workspace, updatedCursor, onSkipped)
      : listUpdated(api, workspace, index.updatedCursor ?? "", onSkipped);
    for await (const repository of list) {
      // One that has just been transferred may still be in the list of where it was.
      if (repository.workspace.toLowerCase() !== workspace.workspace.toLowerCase()) continue;
      if (!isNameSegment(repository.slug)) {
        onSkipped({ uuid: repository.uuid, name: repository.fullName, problem: "its name is not valid" });
        continue;
      }
      listed.add(repository.uuid);
      noteWorkspace(index, repository, log);
      const { isChanged, isNamedAnew } = noteListed(index, repository, startedAt);
      if (isNamedAnew) renamed.push(repository.uuid);
      knownInRow = isChanged ? 0 : knownInRow + 1;
      // Where thousands were updated in the same minute, each list of updates would go through all of them.
      if (!isComplete && knownInRow >= MAX_KNOWN_IN_ROW) break;
    }
    if (isComplete) {
      const { deleted } = options.findings;
      noteUnlisted(index, listed, startedAt, {
        ...{ log, workspace: workspace.workspace, hasUnnamedEntry, deleted },
      });
      index.listedAt = startedAt;
      index.listedScope = listScope(workspace);
    }
  } catch (error) {
    const isPrimarys = [UpstreamError, NotFoundError, LimitExceededError].some(
      (kind) => error instanceof kind,
    );
    if (!isPrimarys) throw error;
    failure = error;
    // What it did not come to may have been updated before what it saw: then only a complete list finds it.
    index.updatedCursor = listed.size === 0 ? updatedCursor : undefined;
    log.warn("reconcile:list-failed", { workspace: workspace.workspace, ...errorFields(error) });
  }
  await noteTakenNames(workspace, index, renamed, options);
  return failure;
}

/** The first one counts: should the workspace be renamed, others can take its name. */
function noteWorkspace(index: WorkingIndex, { workspace, workspaceUuid }: BitbucketRepository, log: Logger) {
  index.workspaceUuid ??= workspaceUuid;
  if (workspaceUuid !== undefined && workspaceUuid !== index.workspaceUuid)
    log.warn("reconcile:other-workspace", { workspace, workspaceUuid, known: index.workspaceUuid });
}

/** Reads at a time. */
const CONCURRENT_READS = 32;

/**
 * One that is not mirrored may have got the name under which another is served: the name no longer leads to that one, and
 * what became of it has to be asked.
 */
async function noteTakenNames(
  { workspace }: MirroredWorkspace,
  index: WorkingIndex,
  renamed: readonly string[],
  { store, log }: Pick<LearnOptions, "store" | "log">,
): Promise<void> {
  const noteTakenName = async (uuid: string) => {
    const { slug = "", seenAt = "" } = index.repositories.get(uuid) ?? {};
    const named = await readName(store, workspace, slug);
    if (named === undefined || named.uuid === uuid) return;
    const holder = index.repositories.get(named.uuid);
    const isToBeAsked = holder !== undefined && holder.due === undefined && !named.isFormer;
    if (isToBeAsked) index.repositories.set(named.uuid, { ...holder, due: "gone" });
    await releaseName(store, uuid, { workspace, slug, seenAt });
  };
  await inBatches(renamed, CONCURRENT_READS, (uuid) =>
    unlessUnreadable(log, uuid, () => noteTakenName(uuid)),
  );
}

async function noteFailures(
  { workspace }: MirroredWorkspace,
  index: WorkingIndex,
  store: BlobStore,
  nowMs: number,
  { retryFailedMs }: ReconcileLimits,
): Promise<void> {
  const prefix = failurePrefix(workspace);
  for await (const { key, modifiedAtMs } of store.list(prefix)) {
    const uuid = key.slice(prefix.length);
    const entry = index.repositories.get(uuid);
    if (entry?.held !== "mirrored" || entry.due !== undefined || entry.unlisted !== undefined) continue;
    const triedAtMs = Math.max(modifiedAtMs, Date.parse(entry.checkedAt ?? "1970-01-01"));
    if (nowMs - triedAtMs >= retryFailedMs) index.repositories.set(uuid, { ...entry, due: "failed" });
  }
}
