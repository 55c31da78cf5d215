/**
 * The right to serve a file is the primary's confirmation, which is asked for again after a week. What it no longer confirms is
 * not served any more. Where it drops many files at once it may be ill, or the account may have lost a right: then their
 * rights are held, and the primary is asked again each day. After a week of the same answer it is believed.
 */
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import type { FileOutcome } from "./bring-file.ts";

const DAY_SECONDS = 24 * 60 * 60;
const CONFIRM_AFTER_SECONDS = 7 * DAY_SECONDS;
/** Days in a row. */
const MAX_HELD_TRIES = 7;
/** Of the files of one job. Fewer are believed at once. */
const HELD_ABOVE_FILES = 5;
const HELD_ABOVE_SHARE = 0.1;

/** Whether a copy job has to ask the primary about a file of which this is known. */
export function isWanted(known: LfsRecord | undefined, nowSeconds: number): boolean {
  return known?.state !== LFS_STATE.stored || isConfirmationDue(known, nowSeconds);
}

/** Of a stored file. Its `tries` count the days for which the primary has not confirmed it. */
export function isConfirmationDue({ seconds, tries }: LfsRecord, nowSeconds: number): boolean {
  return seconds + CONFIRM_AFTER_SECONDS + tries * DAY_SECONDS <= nowSeconds;
}

/** @param isAnswered - Whether the primary answered for single files, and not for the repository as a whole. */
export function holdRemovals(outcomes: readonly FileOutcome[], isAnswered: boolean): readonly FileOutcome[] {
  const removed = outcomes.filter(wasRemoved);
  const confirmedBefore = outcomes.filter(
    (outcome) => wasRemoved(outcome) || outcome.kind === "stored",
  ).length;
  const isFew = removed.length <= Math.max(HELD_ABOVE_FILES, HELD_ABOVE_SHARE * confirmedBefore);
  if (isAnswered && isFew) return outcomes;
  return outcomes.map((outcome) => {
    if (!wasRemoved(outcome) || outcome.known.tries + 1 >= MAX_HELD_TRIES) return outcome;
    return { kind: "held", record: { ...outcome.known, tries: outcome.known.tries + 1 } };
  });
}

function wasRemoved(
  outcome: FileOutcome,
): outcome is FileOutcome & { readonly kind: "missing"; readonly known: LfsRecord } {
  return outcome.kind === "missing" && outcome.known?.state === LFS_STATE.stored;
}
