/**
 * The right to serve a file is the primary's confirmation, which is asked for again after a week. What it no longer confirms is
 * not served any more. Where it drops many files within a day it may be faulty, or the account may have lost a right: then their
 * rights are held, and the primary is asked again each day. After a week of the same answer it is believed.
 */
import { CONFIRM_AFTER_DAYS, LFS_STATE, type LfsRecord, MAX_HELD_DAYS } from "../repo/lfs-rights-table.ts";
import type { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { FileOutcome } from "./bring-file.ts";

const DAY_SECONDS = 24 * 60 * 60;
const CONFIRM_AFTER_SECONDS = CONFIRM_AFTER_DAYS * DAY_SECONDS;
/** Of a repository's files, within a day. Fewer are believed at once. */
const HELD_ABOVE_FILES = 5;
const HELD_ABOVE_SHARE = 0.1;
/** How long a mass removal is held, with a day for the last job. */
const MANY_MS = (MAX_HELD_DAYS + 1) * DAY_SECONDS * 1000;

/** Whether a copy job has to ask the primary about a file of which this is known. */
export function isWanted(known: LfsRecord | undefined, nowSeconds: number): boolean {
  return known?.state !== LFS_STATE.stored || isConfirmationDue(known, nowSeconds);
}

/** Of a stored file. Its `tries` count the days for which the primary has not confirmed it. */
export function isConfirmationDue({ seconds, tries }: LfsRecord, nowSeconds: number): boolean {
  return seconds + CONFIRM_AFTER_SECONDS + tries * DAY_SECONDS <= nowSeconds;
}

export interface Removals {
  readonly rights: StoredLfsRights;
  /** Whether the primary answered for single files, and not for the repository as a whole. */
  readonly isAnswered: boolean;
  readonly nowMs: number;
}

/** Counts removals in the repository before any is noted. Three requests more where there are some. */
export async function holdRemovals(
  outcomes: readonly FileOutcome[],
  { rights, isAnswered, nowMs }: Removals,
): Promise<readonly FileOutcome[]> {
  const isHeld = (outcome: FileOutcome): outcome is Removal =>
    wasRemoved(outcome) && outcome.known.tries + 1 < MAX_HELD_DAYS;
  const files = outcomes.filter(isHeld).length;
  if (files === 0) return outcomes;
  if (isAnswered) {
    const maxFiles = Math.max(HELD_ABOVE_FILES, HELD_ABOVE_SHARE * (await rights.countStored()));
    if ((await rights.countRemovals(files, { nowMs, maxFiles, manyMs: MANY_MS })) <= maxFiles)
      return outcomes;
  }
  return outcomes.map((outcome) => {
    if (!isHeld(outcome)) return outcome;
    return { kind: "held", record: { ...outcome.known, tries: outcome.known.tries + 1 } };
  });
}

type Removal = FileOutcome & { readonly kind: "missing"; readonly known: LfsRecord };

function wasRemoved(outcome: FileOutcome): outcome is Removal {
  return outcome.kind === "missing" && outcome.known?.state === LFS_STATE.stored;
}
