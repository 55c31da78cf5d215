/** Whether objects can be reached from the refs. Only asked when the packs may hold more than that. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import type { ObjectReader, RefList } from "../ports.ts";
import { markMissingObjects } from "./missing-objects.ts";
import { ObjectMarks } from "./object-marks.ts";
import { peelObject } from "./peel.ts";

/** @returns Those of `ids` that are in the repository. */
export async function findPresent(reader: ObjectReader, ids: readonly ObjectId[]): Promise<ObjectId[]> {
  const present: ObjectId[] = [];
  for (const id of ids) {
    if (reader.slices.isDue(1)) await reader.slices.pause();
    if (reader.findId(id) >= 0) present.push(id);
  }
  return present;
}

/** @returns -1 for an object that is not here, and for one that clients must not know of. */
export type FindServed = (id: ObjectId) => ObjectNumber;

/**
 * For what clients say that they have. Where packs may hold unreachable objects, these are the commits that a ref reaches, and
 * what refs point to: a client has no other trees and blobs without such a commit.
 */
export async function findServedBy(
  reader: ObjectReader,
  refList: RefList,
  mayHoldUnreachable: boolean,
): Promise<FindServed> {
  if (!mayHoldUnreachable) return (id) => reader.findId(id);
  const marks = await reachedCommits(reader, refList);
  return (id) => {
    const objectNumber = reader.findId(id);
    return objectNumber >= 0 && marks.isMarked(objectNumber) ? objectNumber : -1;
  };
}

/**
 * @returns Those of `ids` that no ref reaches.
 * @param ids - Objects that are in the repository.
 */
export async function findUnreachable(
  reader: ObjectReader,
  refList: RefList,
  ids: readonly ObjectId[],
): Promise<Set<ObjectId>> {
  if (ids.length === 0) return new Set();
  let commitsOnly = true;
  for (const id of ids) {
    if (reader.slices.isDue(1)) await reader.slices.pause();
    const type = await reader.readType(reader.findId(id));
    if (type === "tree" || type === "blob") commitsOnly = false;
  }
  const marks = commitsOnly
    ? await reachedCommits(reader, refList)
    : await walkFrom(reader, tipIds(refList), false);
  const unreached = new Set<ObjectId>();
  for (const id of ids) {
    if (reader.slices.isDue(1)) await reader.slices.pause();
    if (!marks.isMarked(reader.findId(id))) unreached.add(id);
  }
  return unreached;
}

/** @param mayHoldUnreachable - If not, whatever is here is reached. */
export async function areReached(
  reader: ObjectReader,
  refList: RefList,
  commitIds: readonly ObjectId[],
  mayHoldUnreachable: boolean,
): Promise<boolean> {
  const findServed = await findServedBy(reader, refList, mayHoldUnreachable);
  return commitIds.every((id) => findServed(id) >= 0);
}

/** By generation: each has a list of refs of its own, which serves many requests. */
const knownMarks = new WeakMap<RefList, ObjectMarks>();

/** Marked as sent: commits, tags, and what refs and tags point to. */
async function reachedCommits(reader: ObjectReader, refList: RefList): Promise<ObjectMarks> {
  const known = knownMarks.get(refList);
  if (known !== undefined) return known;
  const marks = await (reader.history === undefined
    ? walkFrom(reader, tipIds(refList), true)
    : paintFrom(reader, reader.history, refList));
  knownMarks.set(refList, marks);
  return marks;
}

async function paintFrom(
  reader: ObjectReader,
  history: NonNullable<ObjectReader["history"]>,
  refList: RefList,
): Promise<ObjectMarks> {
  const marks = new ObjectMarks(reader.objectCount);
  const rows: number[] = [];
  /** Tips that the sidecars do not have as commits. */
  const otherIds: ObjectId[] = [];
  for (const id of tipIds(refList)) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined) continue;
    for (const tagNumber of peeled.tagNumbers) marks.markSent(tagNumber);
    const row = history.rowOf(peeled.objectNumber);
    if (row >= 0) rows.push(row);
    else if (peeled.type === "commit") otherIds.push(id);
    else marks.markSent(peeled.objectNumber);
  }
  for (const row of history.paint(rows, []).missingRows()) {
    if (reader.slices.isDue(1)) await reader.slices.pause();
    marks.markSent(history.objectNumber(row));
  }
  if (otherIds.length > 0) {
    for (const objectNumber of (await walkFrom(reader, otherIds, true)).sentObjects)
      marks.markSent(objectNumber);
  }
  return marks;
}

async function walkFrom(
  reader: ObjectReader,
  wants: Iterable<ObjectId>,
  commitsOnly: boolean,
): Promise<ObjectMarks> {
  const marks = new ObjectMarks(reader.objectCount);
  const walk = markMissingObjects(reader, marks, { wants, commonCommits: [], commitsOnly });
  for await (const _count of walk);
  return marks;
}

function* tipIds(refList: RefList): Generator<ObjectId, void> {
  // Not by `refs` where there is a finder: a list may make them only when they are asked for, and then keeps them.
  for (const { id } of refList.finder?.startingWith("") ?? refList.refs) yield id;
  if ("id" in refList.head) yield refList.head.id;
}
