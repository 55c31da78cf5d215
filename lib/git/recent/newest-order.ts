/** The order in which clients come to lack the recent objects, the newest first: what a fetch needs lies together then. */
import { NONE, type PackHistory, partOf } from "../history/pack-history.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { WorkSlices } from "../work-slices.ts";
import type { RecentObjects } from "./recent-objects.ts";

/** In steps of `WorkSlices`. */
const OBJECT_STEPS = 1 / 2;

/** Numbers among the recent objects. */
export interface NewestOrder {
  /** What each commit introduces, with what it may become a delta of, and what all of these are deltas of. */
  readonly withBases: Uint32Array;
  /** The same objects: first all that commits introduce, then what no client lacks. */
  readonly apart: Uint32Array;
}

/** @param head - The newest commit of the main line. */
export async function newestOrder(
  { history }: RecentObjects,
  head: ObjectNumber,
  slices: WorkSlices,
): Promise<NewestOrder> {
  const { commitObjects, introduced, introducedEnds, deltaBases, predecessors } = history;
  const withBases = new Set<ObjectNumber>();
  const own = new Set<ObjectNumber>();
  const add = (start: ObjectNumber): void => {
    for (let next = start; next !== NONE && !withBases.has(next); next = deltaBases[next] as number)
      withBases.add(next);
  };
  await slices.spend(history.types.length * OBJECT_STEPS);
  const tags = tagsByTarget(history);
  const deltas = oldDeltas(history);
  for (const row of newestRows(history, head)) {
    const commit = commitObjects[row] as number;
    for (const objectNumber of [
      commit,
      ...(tags.get(commit) ?? []),
      ...partOf(introduced, introducedEnds, row),
    ]) {
      if (slices.isDue(OBJECT_STEPS)) await slices.pause();
      own.add(objectNumber);
      add(objectNumber);
      if (deltaBases[objectNumber] !== NONE) continue;
      const before = predecessors[objectNumber] as number;
      add(before === NONE ? (deltas.get(objectNumber) ?? NONE) : before);
    }
  }
  await slices.spend(withBases.size * OBJECT_STEPS);
  return { withBases: Uint32Array.from(withBases), apart: Uint32Array.from(new Set([...own, ...withBases])) };
}

/** Rows in the order in which a client of the main line comes to lack them: after each of its commits what came in by it. */
function newestRows({ commitObjects, parents, parentEnds }: PackHistory, head: ObjectNumber): number[] {
  const rowOf = new Map<ObjectNumber, number>();
  for (const [row, commit] of commitObjects.entries()) rowOf.set(commit, row);
  const parentRows = (row: number): number[] =>
    Array.from(partOf(parents, parentEnds, row), (parent) => rowOf.get(parent) ?? 0);
  const line: number[] = [];
  for (let row = rowOf.get(head) ?? 0; row > 0; row = parentRows(row)[0] ?? 0) line.push(row);
  // The first row is the base, which has no use here.
  const isPlaced = new Uint8Array(commitObjects.length).fill(1, 0, 1);
  const groups = line.toReversed().map((tip) => {
    const group: number[] = [];
    const pending = [tip];
    for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
      if (isPlaced[row] === 1) continue;
      isPlaced[row] = 1;
      group.push(row);
      pending.push(...parentRows(row));
    }
    return group;
  });
  const others = Array.from(commitObjects.keys()).filter((row) => isPlaced[row] === 0);
  return [...groups.toReversed().flat(), ...others.toReversed()];
}

/** By an object: a delta of it that the base has. */
function oldDeltas({ deltaBases, introduced, introducedEnds }: PackHistory): Map<ObjectNumber, ObjectNumber> {
  const deltas = new Map<ObjectNumber, ObjectNumber>();
  for (const old of partOf(introduced, introducedEnds, 0)) deltas.set(deltaBases[old] as number, old);
  return deltas;
}

function tagsByTarget({ types, tagTargets }: PackHistory): Map<ObjectNumber, ObjectNumber[]> {
  const tags = new Map<ObjectNumber, ObjectNumber[]>();
  let tag = 0;
  for (const [objectNumber, type] of types.entries()) {
    if (type !== OBJECT_TYPE.tag) continue;
    const target = tagTargets[tag++] as number;
    const ofTarget = tags.get(target);
    if (ofTarget === undefined) tags.set(target, [objectNumber]);
    else ofTarget.push(objectNumber);
  }
  return tags;
}
