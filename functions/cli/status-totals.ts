/** How far the mirroring of a workspace is: `187 of 200 available, 3 failed, 10 to go, about 41 min`. */
import { hasLostAccess, type RepositoryStatus } from "../../lib/mirror/mirror-status.ts";

/** First syncs before this time say nothing of how fast they are now. */
const RATE_WINDOW_MS = 3_600_000;
/** Fewer make no rate. */
const MIN_FINISHED = 3;

export function isFailed(one: RepositoryStatus): boolean {
  const { state, damage } = one;
  return damage !== undefined || state.startsWith("ERROR_") || hasLostAccess(one);
}

/** @param repositories - Of a workspace. @returns Empty where none is selected. */
export function describeTotals(repositories: readonly RepositoryStatus[], nowMs: number): string {
  const selected = repositories.filter(({ isSelected }) => isSelected);
  if (selected.length === 0) return "";
  const failed = selected.filter(isFailed).length;
  const others = selected.filter((one) => !isFailed(one));
  const available = others.filter(({ state }) => state === "AVAILABLE").length;
  const toGo = others.filter(
    ({ state, noAccess }) => (state === "NOT_MIRRORED" || state === "INITIALIZING") && noAccess === undefined,
  ).length;
  return [
    `${available} of ${selected.length} available`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(toGo === 0 ? [] : [`${toGo} to go`, ...timeLeft(selected, toGo, nowMs)]),
  ].join(", ");
}

/** By the first syncs that ended within the last hour; nothing where these are few. */
function timeLeft(selected: readonly RepositoryStatus[], toGo: number, nowMs: number): string[] {
  const ends = selected
    .flatMap(({ firstSyncAt }) => (firstSyncAt === undefined ? [] : [Date.parse(firstSyncAt)]))
    .filter((at) => at <= nowMs && nowMs - at < RATE_WINDOW_MS);
  if (ends.length < MIN_FINISHED) return [];
  const spentMs = Math.max(nowMs - Math.min(...ends), 1000);
  const minutes = Math.ceil((spentMs / ends.length) * (toGo / 60_000));
  return [minutes < 120 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`];
}
