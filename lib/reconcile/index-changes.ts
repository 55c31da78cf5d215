/** What a run learns about a workspace's repositories, and which of them need a job. Works on the index in memory. */
import type { BitbucketRepository } from "../bitbucket/rest-api.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { isActive, selects } from "../mirror/selection.ts";
import type { IndexedRepository, WorkspaceIndex } from "../mirror/workspace-index.ts";

/** The index while a run works on it. */
export type WorkingIndex = Omit<WorkspaceIndex, "repositories"> & {
  readonly repositories: Map<string, IndexedRepository>;
};

export function workingIndex(index: WorkspaceIndex | undefined): WorkingIndex {
  return { ...index, repositories: new Map(Object.entries(index?.repositories ?? {})) };
}

/** Takes in what REST says of one repository. */
export function noteListed(
  index: WorkingIndex,
  { uuid, slug, projectKey, isPrivate, updatedOn, sizeBytes }: BitbucketRepository,
  seenAt: string,
): { readonly isChanged: boolean; readonly isNamedAnew: boolean } {
  const before = index.repositories.get(uuid);
  const {
    isGone,
    isDeleted: _kept,
    removalAcceptedAt: _accepted,
    unlisted: _listed,
    ...others
  } = before ?? {};
  const isChanged =
    before?.slug !== slug ||
    before.projectKey !== projectKey ||
    before.isPrivate !== isPrivate ||
    Date.parse(before.updatedOn) < Date.parse(updatedOn) ||
    isGone === true;
  index.repositories.set(uuid, {
    ...others,
    ...{ slug, projectKey, isPrivate, updatedOn, seenAt },
    // An entry without a size does not say that the repository has none.
    sizeBytes: sizeBytes ?? before?.sizeBytes,
    ...(before?.held !== undefined && isChanged && { due: "changed" as const }),
  });
  if (Date.parse(updatedOn) > Date.parse(index.updatedCursor ?? "1970-01-01"))
    index.updatedCursor = updatedOn;
  return { isChanged, isNamedAnew: before?.slug !== slug };
}

/** Brings what is held in line with the selection as it is now. */
export function noteSelection(index: WorkingIndex, workspace: MirroredWorkspace): void {
  for (const [uuid, entry] of index.repositories) {
    const isSelected = isActive(workspace) && entry.isGone !== true && isSelectedBy(workspace, entry);
    if (isSelected && entry.held !== "mirrored") {
      index.repositories.set(uuid, { ...entry, held: "mirrored", due: "new" });
    } else if (!isSelected && entry.held === "mirrored") {
      index.repositories.set(uuid, { ...entry, held: "retired", due: entry.due ?? "changed" });
    }
  }
}

function isSelectedBy(workspace: MirroredWorkspace, entry: IndexedRepository): boolean {
  const { slug, projectKey, isPrivate } = entry;
  return selects(workspace, { workspace: workspace.workspace, slug, projectKey, isPrivate });
}

export interface DueLimits {
  readonly maxJobs: number;
  /** Each of these costs requests of REST. */
  readonly maxGone: number;
  /** Within this time each mirrored repository is checked once. */
  readonly checkEveryMs: number;
  /** How often to look whether the data of one that is not mirrored any more may go. */
  readonly retiredEveryMs: number;
}

/** Lists do not have it, but git may: by git it is checked as usual, but not in each run that checks all. */
const UNLISTED_CHECK_MS = 15 * 60_000;

/** Which repositories get a job now: what is known to need one first, then those that were checked longest ago. */
export function dueRepositories(index: WorkingIndex, nowMs: number, limits: DueLimits): string[] {
  const dueUuids: string[] = [];
  const checks: { uuid: string; checkedAtMs: number }[] = [];
  let goneCount = 0;
  for (const [uuid, { due, held, checkedAt, unlisted }] of index.repositories) {
    const checkedAtMs = checkedAt === undefined ? 0 : Date.parse(checkedAt);
    if (due === "gone") {
      if (goneCount++ < limits.maxGone) dueUuids.push(uuid);
    } else if (due !== undefined) dueUuids.push(uuid);
    else if (held !== undefined) {
      const checkEveryMs = unlisted === undefined ? 0 : UNLISTED_CHECK_MS;
      const mirroredEveryMs = Math.max(checkEveryMs, limits.checkEveryMs * spread(uuid));
      const everyMs = held === "mirrored" ? mirroredEveryMs : limits.retiredEveryMs;
      if (nowMs - checkedAtMs >= everyMs) checks.push({ uuid, checkedAtMs });
    }
  }
  checks.sort((a, b) => a.checkedAtMs - b.checkedAtMs);
  return [...dueUuids, ...checks.map(({ uuid }) => uuid)].slice(0, limits.maxJobs);
}

/** From 0.75 to 1, always the same for one repository: what began together drifts apart. */
function spread(uuid: string): number {
  return 0.75 + Number.parseInt(uuid.slice(0, 4), 16) / 0x40000;
}
