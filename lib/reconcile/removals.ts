/**
 * Which repositories are believed to be gone. That the account does not see them is no evidence: it may have lost a right, or
 * Bitbucket may show less for a while. Few that vanish are believed at once, many only after a day, or when the operator says so.
 */
import type { Logger } from "../log.ts";
import type { JobFindings } from "../mirror/job-findings.ts";
import {
  foundAgain,
  type IndexedRepository,
  isMassRemoval,
  REMOVALS_WINDOW_MS,
} from "../mirror/workspace-index.ts";
import type { WorkingIndex } from "./index-changes.ts";

/** Of lists, over `REMOVALS_WINDOW_MS`. */
const BELIEVED_AFTER_ROUNDS = 3;
/** While removals are held back, and after a job did not find a repository. */
const LOOK_AGAIN_AFTER_MS = 15 * 60_000;
const MAX_LOGGED_NAMES = 20;
const NO_ACCESS =
  "Bitbucket does not list these repositories for the mirror's account any more: it lacks the right to read them, or they were deleted. See nearside status --failed.";
/** A page of a list has 100. So lists take at most 200 requests an hour, of the budget's 400. */
const LIST_MS_PER_REPOSITORY = 180;

/** Whether a complete list is due before its time. */
export function needsNewList(index: WorkingIndex, findings: JobFindings, nowMs: number): boolean {
  const { listedAt, removalsHeld, removalsAcceptedAt, repositories } = index;
  const listedAtMs = Date.parse(listedAt ?? "1970-01-01");
  const isSince = (at: string | undefined) => at !== undefined && Date.parse(at) >= listedAtMs;
  if (isSince(removalsAcceptedAt)) return true;
  for (const { removalAcceptedAt } of repositories.values()) if (isSince(removalAcceptedAt)) return true;
  if (removalsHeld === undefined && !hasNews(index, findings)) return false;
  return nowMs - listedAtMs >= Math.max(LOOK_AGAIN_AFTER_MS, repositories.size * LIST_MS_PER_REPOSITORY);
}

/**
 * After a complete list: what it did not have is gone, or has moved where the selection does not look, or is not shown.
 * @param options.hasUnnamedEntry - The list has an entry without a uuid that can be read: each that is missing may be that one.
 */
export function noteUnlisted(
  index: WorkingIndex,
  listed: ReadonlySet<string>,
  at: string,
  {
    log,
    workspace,
    hasUnnamedEntry,
    deleted,
  }: {
    readonly log: Logger;
    readonly workspace: string;
    readonly hasUnnamedEntry: boolean;
    /** Events say so of these. */
    readonly deleted: ReadonlyMap<string, string>;
  },
): void {
  const mirrored: [string, IndexedRepository][] = [];
  let removedCount = 0;
  for (const [uuid, entry] of index.repositories) {
    if (entry.held === "mirrored") mirrored.push([uuid, entry]);
    else if (listed.has(uuid)) continue;
    else if (entry.held === undefined) index.repositories.delete(uuid);
    // Not served any more in any case.
    else {
      if (entry.isGone === true && ageMs(entry.unlisted?.since, at) < REMOVALS_WINDOW_MS) removedCount += 1;
      index.repositories.set(uuid, {
        ...{ ...entry, ...(entry.isGone !== true && ({ isGone: true, due: "gone" } as const)) },
        ...(deleted.has(uuid) && { isDeleted: true }),
      });
    }
  }
  const missing = mirrored.filter(([uuid]) => !listed.has(uuid));
  const vanishedCount = missing.length + removedCount;
  const mayBeFault =
    hasUnnamedEntry || listed.size === 0 || isMassRemoval(vanishedCount, mirrored.length + removedCount);
  let heldCount = 0;
  const lost: { readonly slug: string; readonly isWithdrawn: boolean }[] = [];
  for (const [uuid, entry] of missing) {
    const unlisted = { since: entry.unlisted?.since ?? at, rounds: (entry.unlisted?.rounds ?? 0) + 1 };
    const isConfirmed = entry.removalAcceptedAt !== undefined || isAccepted(index, unlisted.since);
    const isBelieved = !mayBeFault || isConfirmed || hasLasted(unlisted, at);
    const isDeleted = isConfirmed || entry.isDeleted === true || deleted.has(uuid);
    if (!isBelieved) heldCount += 1;
    if (!isDeleted && (isBelieved || entry.unlisted === undefined))
      lost.push({ slug: entry.slug, isWithdrawn: isBelieved });
    index.repositories.set(uuid, {
      ...{ ...entry, unlisted },
      // Also while it is held back: the finding that says so is forgotten after this list.
      ...(isDeleted && { isDeleted }),
      ...(isBelieved && ({ isGone: true, due: "gone" } as const)),
    });
  }
  for (const isWithdrawn of [true, false]) {
    const slugs = lost.filter((one) => one.isWithdrawn === isWithdrawn).map(({ slug }) => slug);
    const repositories = slugs.toSorted().slice(0, MAX_LOGGED_NAMES);
    // An error, so that a server writes it by default: the operator has to act.
    if (slugs.length > 0)
      log.error("reconcile:no-access", {
        ...{ workspace, count: slugs.length, repositories, isWithdrawn, message: NO_ACCESS },
      });
  }
  const { removalsHeld } = index;
  index.removalsHeld = heldCount > 0 ? { since: removalsHeld?.since ?? at, count: heldCount } : undefined;
  if (heldCount > 0) {
    const of = mirrored.length;
    log.warn("reconcile:removals-held", {
      workspace,
      count: heldCount,
      of,
      since: index.removalsHeld?.since,
    });
  } else {
    index.removalsAcceptedAt = undefined;
    if (removalsHeld !== undefined) log.info("reconcile:removals-settled", { workspace });
  }
}

function isAccepted({ removalsAcceptedAt }: WorkingIndex, since: string): boolean {
  return removalsAcceptedAt !== undefined && Date.parse(since) <= Date.parse(removalsAcceptedAt);
}

function hasLasted({ since, rounds }: NonNullable<IndexedRepository["unlisted"]>, at: string): boolean {
  return rounds >= BELIEVED_AFTER_ROUNDS && ageMs(since, at) >= REMOVALS_WINDOW_MS;
}

/** Infinite where it is not known. */
function ageMs(since: string | undefined, at: string): number {
  return since === undefined ? Number.POSITIVE_INFINITY : Date.parse(at) - Date.parse(since);
}

/** Jobs have found them, so the index was wrong: the selection counts again. */
export function takeBack(index: WorkingIndex, found: Iterable<string>): void {
  for (const uuid of found) {
    const entry = foundAgain(index.repositories.get(uuid));
    if (entry !== undefined) index.repositories.set(uuid, entry);
  }
}

/** Whether a job did not see a repository that is in the index as if it were there. */
function hasNews({ repositories }: WorkingIndex, { unseen }: JobFindings): boolean {
  return [...unseen.keys()].some((uuid) => {
    const entry = repositories.get(uuid);
    return entry?.held === "mirrored" && entry.unlisted === undefined;
  });
}
