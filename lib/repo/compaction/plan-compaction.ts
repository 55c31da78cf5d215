/** Which packs are to be rewritten now, and what of them is kept. */
import type { ObjectNumber } from "../../git/object-numbers.ts";
import type { Repository } from "../repository.ts";
import { bytesOf, type CompactionPolicy, chooseMerge, dropDueAtMs, type PackRun, runsOf } from "./policy.ts";
import { holdUnreachable, markReachable } from "./reachable-objects.ts";

export interface CompactionPlan {
  /** Of packs that are rewritten into one each, in order, with others between them. */
  readonly runs: readonly PackRun[];
  /** Whether no pack will hold anything that no ref reaches. */
  readonly dropsUnreachable: boolean;
  /** By the repository's number of an object. */
  readonly isKept: (objectNumber: ObjectNumber) => boolean;
  /** There is something to drop, but not before this time. */
  readonly dropDueAt?: Date;
}

export async function planCompaction(
  repository: Repository,
  policy: CompactionPolicy,
  now: Date,
  signal?: AbortSignal,
): Promise<CompactionPlan> {
  const { packs, mayHoldUnreachable, unreachableDroppedAt } = repository.manifest;
  const merge = chooseMerge(packs, policy);
  const isMerged = packs.map((_, i) => merge !== undefined && i >= merge.start && i < merge.end);
  const merging = { runs: runsOf(isMerged), dropsUnreachable: false, isKept: () => true };
  if (!mayHoldUnreachable) return merging;
  const postponedUntil = (rewrittenBytes: number): Date | undefined => {
    const dueAt = new Date(dropDueAtMs(unreachableDroppedAt, rewrittenBytes, policy));
    return dueAt > now ? dueAt : undefined;
  };
  const objects = await repository.openObjects();
  // Without histories to look it up in, finding out what is reachable takes as long as rewriting everything.
  const allBytes = bytesOf(packs, [{ start: 0, end: packs.length }]);
  const searchDueAt = objects.history === undefined ? postponedUntil(allBytes) : undefined;
  if (searchDueAt !== undefined) return { ...merging, dropDueAt: searchDueAt };
  const reachable = await markReachable(objects, await repository.readRefs(), signal);
  const isDropping = holdUnreachable(objects, packs.length, reachable);
  const dropDueAt = postponedUntil(bytesOf(packs, runsOf(isDropping)));
  if (dropDueAt !== undefined) return { ...merging, dropDueAt };
  return {
    runs: runsOf(isMerged.map((isChosen, i) => isChosen || isDropping[i] === true)),
    dropsUnreachable: true,
    isKept: (objectNumber) => reachable.isSent(objectNumber),
  };
}
