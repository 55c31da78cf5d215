/** What a client lacks, out of the histories: no commit and no tree is read. */

import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { objectTypeName } from "../pack/pack-format.ts";
import type { ObjectReader } from "../ports.ts";
import { type ObjectFilter, passesFilter } from "../walk/object-filter.ts";
import type { ObjectMarks } from "../walk/object-marks.ts";
import { peelObject } from "../walk/peel.ts";
import type { CommitHistory, PaintedHistory } from "./commit-history.ts";

/** Objects that are marked in a step of `WorkSlices`. */
const MARKED_A_STEP = 20;

export interface HistoryRequest {
  /** Those that are not in the repository are passed over. */
  readonly wants: Iterable<ObjectId>;
  /** Object numbers of commits that the client has, with all that they reach. */
  readonly commonCommits: readonly number[];
  /** One that goes by type and size. */
  readonly filter?: ObjectFilter | undefined;
}

/**
 * Marks as sent in `marks` what the wants reach and the common commits do not.
 * @returns What the client has, to be asked for each object; `undefined` if the sidecars do not say what a want needs:
 *   a tree that is wanted by name. Nothing is marked then.
 */
export async function markMissingByHistory(
  reader: ObjectReader,
  history: CommitHistory,
  marks: ObjectMarks,
  { wants, commonCommits, filter }: HistoryRequest,
): Promise<PaintedHistory | undefined> {
  const passes = (objectNumber: ObjectNumber): boolean =>
    filter === undefined ||
    passesFilter(filter, objectTypeName(history.types[objectNumber] ?? 0), history.sizes[objectNumber] ?? 0);
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
    const pause = reader.slices.spend((1 + introduced.length) / MARKED_A_STEP);
    if (pause !== undefined) await pause;
    for (const objectNumber of introduced) {
      // What came back to where it had been before, the client has already.
      if (!painted.isHad(objectNumber) && passes(objectNumber)) marks.markSent(objectNumber);
    }
  }
  return painted;
}
