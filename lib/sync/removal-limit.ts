/** A job that an event made removes no more than a list does: many deletions at once are for the next list to judge. */
import { noteFinding, readFindings } from "../mirror/job-findings.ts";
import { isMassRemoval, REMOVALS_WINDOW_MS, readWorkspaceIndex } from "../mirror/workspace-index.ts";
import type { JobContext } from "./job-context.ts";

/**
 * Call before a repository that is gone is withdrawn. Jobs of reconcile pass: their removals were judged there.
 * @returns Whether so many of the workspace vanished within a day that this one stays.
 */
export async function isHeldBack({ job, storage: { store }, now }: JobContext): Promise<boolean> {
  const { workspace, uuid, factsFrom } = job;
  if (factsFrom === "rest") return false;
  // Before the count, so that of jobs at the same time each counts the others.
  await noteFinding(store, workspace, uuid, "deleted");
  const [{ value: index }, findings] = await Promise.all([
    readWorkspaceIndex(store, workspace),
    readFindings(store, workspace),
  ]);
  const vanished = new Set([...findings.deleted.keys(), ...findings.unseen.keys()]);
  let count = 0;
  for (const [one, { held, isGone, unlisted }] of Object.entries(index?.repositories ?? {})) {
    const isLately =
      unlisted !== undefined && now().getTime() - Date.parse(unlisted.since) < REMOVALS_WINDOW_MS;
    if (held === "mirrored" || (isGone === true && isLately)) count += 1;
    if (unlisted !== undefined && (held === "mirrored" || isLately)) vanished.add(one);
  }
  return isMassRemoval(vanished.size, count);
}
