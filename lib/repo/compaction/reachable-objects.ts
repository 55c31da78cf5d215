/** Which objects the refs reach, and which packs hold others as well. */

import { assertNotStopped } from "../../errors.ts";
import { markMissingByHistory } from "../../git/history/objects-by-history.ts";
import type { ObjectNumber, PackNumber } from "../../git/object-numbers.ts";
import type { RefList } from "../../git/ports.ts";
import { markMissingObjects } from "../../git/walk/missing-objects.ts";
import { ObjectMarks } from "../../git/walk/object-marks.ts";
import type { ObjectDatabase } from "../object-database.ts";

/** Reads trees where a pack has no history, or a ref names a tree. */
export async function markReachable(
  objects: ObjectDatabase,
  { head, refs }: RefList,
  signal?: AbortSignal,
): Promise<ObjectMarks> {
  const marks = new ObjectMarks(objects.objectCount);
  const wants = new Set(refs.map(({ id }) => id));
  if ("commitId" in head) wants.add(head.commitId);
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
export function holdUnreachable(
  objects: ObjectDatabase,
  packCount: number,
  reachable: ObjectMarks,
): boolean[] {
  const { packs, history } = objects;
  const predecessors = history?.versionForest.parents;
  const namesLost = (packNumber: PackNumber, objectNumber: ObjectNumber): boolean => {
    const predecessor = predecessors?.[objectNumber] ?? -1;
    return (
      predecessor >= 0 && !reachable.isSent(predecessor) && packs.packNumberOf(objectNumber) === packNumber
    );
  };
  return Array.from({ length: packCount }, (_, packNumber) =>
    packs
      .numbersOf(packNumber)
      .some((objectNumber) => !reachable.isSent(objectNumber) || namesLost(packNumber, objectNumber)),
  );
}
