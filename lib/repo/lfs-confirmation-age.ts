/** For how long the primary's confirmation of an LFS file counts: for the copier, which renews it, and for what serves. */
import { LFS_STATE, type LfsRecord } from "./lfs-rights-table.ts";

/** Then the copier asks for it again. */
export const CONFIRM_AFTER_DAYS = 7;
/** For how long a removal may be doubted, see `lib/lfs/confirmations.ts`. */
export const MAX_HELD_DAYS = 7;
/** One day more than a copier needs that does its work: without one no right lasts for longer. */
const MAX_SERVED_DAYS = CONFIRM_AFTER_DAYS + MAX_HELD_DAYS + 1;
/** While the primary cannot be asked. */
const MAX_SERVED_IN_OUTAGE_DAYS = 30;

const DAY_SECONDS = 24 * 60 * 60;

/** @param isOutage - Whether the primary was asked for the file just now, and gave no answer. */
export function isConfirmed({ state, seconds }: LfsRecord, nowSeconds: number, isOutage = false): boolean {
  const maxDays = isOutage ? MAX_SERVED_IN_OUTAGE_DAYS : MAX_SERVED_DAYS;
  return state === LFS_STATE.stored && nowSeconds - seconds <= maxDays * DAY_SECONDS;
}
