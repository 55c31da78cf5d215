/** Which packs are to be rewritten now, and what of them is kept. */
import { assertNotStopped } from "../../errors.ts";
import { markMissingByHistory } from "../../git/history/objects-by-history.ts";
import type { ObjectNumber, PackNumber } from "../../git/object-numbers.ts";
import type { RefList } from "../../git/ports.ts";
import { markMissingObjects } from "../../git/walk/missing-objects.ts";
import { ObjectMarks } from "../../git/walk/object-marks.ts";
import type { ObjectDatabase } from "../object-database.ts";
import type { Repository } from "../repository.ts";
import { bytesOf, type CompactionPolicy, chooseMerge, dropDueAtMs, type PackRun, runsOf } from "./policy.ts";

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
    isKept: (objectNumber) => reachable.isMarked(objectNumber),
  };
}

/** What the refs reach. Reads trees where a pack has no history, or a ref names a tree. */
async function markReachable(
  objects: ObjectDatabase,
  { head, refs }: RefList,
  signal?: AbortSignal,
): Promise<ObjectMarks> {
  const marks = new ObjectMarks(objects.objectCount);
  const wants = new Set(refs.map(({ id }) => id));
  if ("id" in head) wants.add(head.id);
  const request = { wants, commonCommits: [] };
  const { history } = objects;
  if (history !== undefined && (await markMissingByHistory(objects, history, marks, request)) !== undefined)
    return marks;
  for await (const _count of markMissingObjects(objects, marks, request)) assertNotStopped(signal);
  return marks;
}

/**
 * By pack number: whether an entry of the pack, an appended base too, holds an object that is not reachable, or its history
 * names one: as what was there before an object that other commits reach as well.
 */
function holdUnreachable(objects: ObjectDatabase, packCount: number, reachable: ObjectMarks): boolean[] {
  const { packs, history } = objects;
  const predecessors = history?.versionForest.parents;
  const namesLost = (packNumber: PackNumber, objectNumber: ObjectNumber): boolean => {
    const predecessor = predecessors?.[objectNumber] ?? -1;
    return (
      predecessor >= 0 && !reachable.isMarked(predecessor) && packs.packNumberOf(objectNumber) === packNumber
    );
  };
  return Array.from({ length: packCount }, (_, packNumber) =>
    packs
      .numbersOf(packNumber)
      .some((objectNumber) => !reachable.isMarked(objectNumber) || namesLost(packNumber, objectNumber)),
  );
}
