/** What a client lacks, out of the histories: no commit and no tree is read. */

import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { objectTypeName } from "../pack/pack-format.ts";
import type { ObjectReader, PackedObjects, RefList } from "../ports.ts";
import { refsStartingWith } from "../upload-pack/find-refs.ts";
import type { MissingObjectsRequest } from "../walk/missing-objects.ts";
import { goesByTypeAndSize, type ObjectFilter, passesFilter } from "../walk/object-filter.ts";
import type { ObjectMarks } from "../walk/object-marks.ts";
import { peelObject } from "../walk/peel.ts";
import type { CommitHistory, PaintedHistory } from "./commit-history.ts";

/** Objects that are marked in a step of `WorkSlices`. */
const MARKED_A_STEP = 20;

/** @param filter - One that goes by type and size. */
function passesBy(
  { types, sizes }: CommitHistory,
  filter: ObjectFilter | undefined,
): (object: ObjectNumber) => boolean {
  return (object) =>
    filter === undefined || passesFilter(filter, objectTypeName(types[object] ?? 0), sizes[object] ?? 0);
}

/**
 * Marks as sent in `marks` what the wants reach and the common commits do not.
 * @param request - With a filter that goes by type and size, if any.
 * @returns What the client has, to be asked for each object; `undefined` if the sidecars do not say what a want needs:
 *   a tree that is wanted by name. Nothing is marked then.
 */
export async function markMissingByHistory(
  reader: ObjectReader,
  history: CommitHistory,
  marks: ObjectMarks,
  { wants, commonCommits, filter }: MissingObjectsRequest,
): Promise<PaintedHistory | undefined> {
  const passes = passesBy(history, filter);
  const wantRows: number[] = [];
  const named: number[] = [];
  for (const id of wants) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined) continue;
    if (peeled.type === "tree") return undefined;
    named.push(...peeled.tagNumbers);
    const row = history.rowOf(peeled.objectNumber);
    if (row >= 0) wantRows.push(row);
    else named.push(peeled.objectNumber);
  }
  const haveRows = commonCommits.map((objectNumber) => history.rowOf(objectNumber)).filter((row) => row >= 0);
  const painted = history.paint(wantRows, haveRows);
  const namedRows = new Set(wantRows);
  for (const objectNumber of named) marks.markSent(objectNumber);
  for (const row of painted.missingRows()) {
    const commitNumber = history.objectNumber(row);
    // What is wanted by name is sent whatever the filter says.
    if (passes(commitNumber) || namedRows.has(row)) marks.markSent(commitNumber);
    const introduced = history.introduced(row);
    if (reader.slices.isDue((1 + introduced.length) / MARKED_A_STEP)) await reader.slices.pause();
    for (const objectNumber of introduced) {
      // What came back to where it had been before, the client has already.
      if (!painted.isHad(objectNumber) && passes(objectNumber)) marks.markSent(objectNumber);
    }
  }
  return painted;
}

/** Whether type and size alone decide what passes. Where tags do not, what they point to may be wanted by name. */
export function canPassByColumns(filter: ObjectFilter): boolean {
  return goesByTypeAndSize(filter) && filter.types.has("tag");
}

/**
 * What a clone of everything gets, but for what a filter leaves out: found by passing once through the objects.
 * @param wants - Each value of a ref is among them.
 * @param filter - One for `canPassByColumns`.
 * @returns What passes the filter, and what is wanted by name, each once.
 */
export function passingObjects(
  objects: PackedObjects,
  history: CommitHistory,
  refList: RefList,
  wants: Iterable<ObjectId>,
  filter: ObjectFilter,
): Uint32Array {
  const passes = passesBy(history, filter);
  const passing = objects.packs.allObjects();
  let count = 0;
  for (const objectNumber of passing) {
    if (passes(objectNumber)) passing[count++] = objectNumber;
  }
  const named = new Set<number>();
  for (const id of wants) named.add(objects.findId(id));
  // The tags between a ref and what it points to in the end pass by themselves.
  for (const { peeledId } of refsStartingWith(refList, "")) {
    if (peeledId !== undefined) named.add(objects.findId(peeledId));
  }
  const namedBeside = [...named].filter((objectNumber) => !passes(objectNumber));
  passing.set(namedBeside, count);
  return passing.subarray(0, count + namedBeside.length);
}
