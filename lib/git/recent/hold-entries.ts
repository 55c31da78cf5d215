/**
 * Puts the entries of the newest objects beside the recent ones: a pack of a whole repository has them all over, and a cold process would
 * read far more than it needs, in many requests.
 */
import { NONE, type PackHistory, partOf } from "../history/pack-history.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import type { ObjectNumber, PackNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { PackedObjects } from "../ports.ts";
import type { RecentObjects } from "./recent-objects.ts";

const MAX_ENTRIES_BYTES = 1024 * 1024;
/** Of one entry: a larger one is worth a request. */
const MAX_ENTRY_BYTES = 64 * 1024;
/** In steps of `WorkSlices`. */
const ENTRY_STEPS = 10;

/**
 * @param head - Among the recent objects: the newest commit of the main line.
 * @param objects - All of the repository.
 * @returns The same with entries.
 */
export async function holdEntries(
  recent: RecentObjects,
  head: ObjectNumber,
  objects: PackedObjects,
): Promise<RecentObjects> {
  const { packs, slices } = objects;
  const held = newestWithBases(recent, head);
  await slices.spend(recent.crcs.length / ENTRY_STEPS);
  const { ids, offsets, ends, packCounts } = recent;
  packs.readAhead(Array.from(held, (number) => objects.find(ids, number * OBJECT_ID_BYTES)));
  const entries: Uint8Array[] = [];
  for (const number of held) {
    if (slices.isDue(ENTRY_STEPS)) await slices.pause();
    const offsetBytes = offsets[number] as number;
    const lengthBytes = (ends[number] as number) + 1 - offsetBytes;
    entries.push(await packs.readPackRange(packNumberOf(packCounts, number), offsetBytes, lengthBytes));
  }
  return { ...recent, held, entries: Buffer.concat(entries) };
}

/** What the newest commits introduce, tags of them, what it may become deltas of, and what all of these are deltas of. */
function newestWithBases({ offsets, ends, history }: RecentObjects, head: ObjectNumber): Uint32Array {
  const { commitObjects, introduced, introducedEnds, deltaBases, predecessors } = history;
  const held = new Set<ObjectNumber>();
  let heldBytes = 0;
  const hold = (start: ObjectNumber): void => {
    for (let next = start; next !== NONE && !held.has(next); next = deltaBases[next] as number) {
      const entryBytes = 1 + (ends[next] as number) - (offsets[next] as number);
      if (entryBytes > MAX_ENTRY_BYTES || heldBytes + entryBytes > MAX_ENTRIES_BYTES) return;
      held.add(next);
      heldBytes += entryBytes;
    }
  };
  const tags = tagsByTarget(history);
  const deltas = oldDeltas(history);
  for (const row of newestRows(history, head)) {
    const commit = commitObjects[row] as number;
    for (const objectNumber of [commit, ...(tags.get(commit) ?? [])]) hold(objectNumber);
    for (const objectNumber of partOf(introduced, introducedEnds, row)) {
      hold(objectNumber);
      if (deltaBases[objectNumber] !== NONE) continue;
      const before = predecessors[objectNumber] as number;
      hold(before === NONE ? (deltas.get(objectNumber) ?? NONE) : before);
    }
  }
  return Uint32Array.from(held);
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
    tags.set(target, [...(tags.get(target) ?? []), objectNumber]);
  }
  return tags;
}

function packNumberOf(packCounts: Uint32Array, number: ObjectNumber): PackNumber {
  let end = 0;
  return packCounts.findIndex((count) => {
    end += count;
    return number < end;
  });
}
