/** Marks the objects that a client lacks: those introduced by the commits that it lacks, and what it wants by name. */

import type { ObjectId } from "../object-id.ts";
import type { CommitRow, ObjectNumber } from "../object-numbers.ts";
import type { ObjectReader } from "../ports.ts";
import { CommitTable, MISSING_PARENT } from "./commit-table.ts";
import { findMissingCommits, type MissingCommits } from "./missing-commits.ts";
import { leavesOutAllTrees, type ObjectFilter } from "./object-filter.ts";
import type { ObjectMarks } from "./object-marks.ts";
import { peelObject } from "./peel.ts";
import { openTreeMarker, RecordedObjects } from "./recorded-objects.ts";
import type { ParentTree, TreeMarker } from "./tree-marker.ts";
import { TreePrefetch } from "./tree-prefetch.ts";

/** History as a client with a shallow repository sees it, after the answer. */
export interface ShallowHistory {
  /** Cut at the commits whose parents the client does not have, or did not have before. */
  readonly table: CommitTable;
  /** Cut commits that the client has and whose parents it now gets; loaded. */
  readonly deepenedRows: readonly number[];
}

export interface MissingObjectsRequest {
  /** Those that are not in the repository are passed over. */
  readonly wants: Iterable<ObjectId>;
  /** Object numbers of commits that the client has. */
  readonly commonCommits: readonly number[];
  readonly shallow?: ShallowHistory | undefined;
  readonly filter?: ObjectFilter | undefined;
  /** Leave out what commits point to. */
  readonly commitsOnly?: boolean;
}

/** Yields now and then, with the count so far. Marks as sent in `marks`. */
export async function* markMissingObjects(
  reader: ObjectReader,
  marks: ObjectMarks,
  request: MissingObjectsRequest,
): AsyncGenerator<number, void> {
  const { filter, shallow } = request;
  const commitsOnly = request.commitsOnly === true || (filter !== undefined && leavesOutAllTrees(filter));
  const table = shallow?.table ?? new CommitTable(reader);
  const marker = openTreeMarker(reader, marks, filter);
  const namedRows = await markNamedObjects(reader, marks, table, marker, request.wants);
  const haveRows = request.commonCommits.map((objectNumber) => table.rowOf(objectNumber));
  const deepenedRows = shallow?.deepenedRows ?? [];
  const belowRows = deepenedRows.flatMap((row) => table.recordedParentRows(row));
  const wantRows = [...namedRows, ...belowRows.filter((row) => row !== MISSING_PARENT)];
  const missing = await findMissingCommits(table, wantRows, [...haveRows, ...deepenedRows]);
  const heldRows = newestRows(table, [...haveRows, ...deepenedRows]);
  const marksHeld = deepenedRows.length > 0 && !commitsOnly;
  const walkedRows = commitsOnly
    ? []
    : missing.rows.filter((row) => filter !== undefined || !isRecorded(reader, table, missing, row));
  const ahead =
    marker instanceof RecordedObjects
      ? undefined
      : new TreePrefetch(reader, { table, walkedRows, heldRows: marksHeld ? heldRows : [] });
  if (marksHeld) await marker.markHeld(heldRows.map((row) => table.treeNumber(row)));
  const [wanted, walked] = [new Set(wantRows), new Set(walkedRows)];
  const comparedWith = treesForCuts(table, heldRows);
  let reportedCount = 0;
  for (const row of missing.rows) {
    if (filter === undefined || filter.types.has("commit") || wanted.has(row)) {
      marks.markSent(table.objectNumber(row));
    }
    if (walked.has(row)) {
      ahead?.pass(row);
      const parents = table.isCut(row) ? comparedWith(row) : await parentTrees(table, missing, row);
      await marker.mark(table.treeNumber(row), parents);
    } else if (!commitsOnly) {
      markRecorded(reader, marks, table.objectNumber(row));
    }
    if (marks.sentCount < reportedCount + REPORT_STEP) continue;
    reportedCount = marks.sentCount;
    yield reportedCount;
  }
}

const REPORT_STEP = 5000;

/** @returns The rows of the commits among the wants, tags followed. */
async function markNamedObjects(
  reader: ObjectReader,
  marks: ObjectMarks,
  table: CommitTable,
  marker: TreeMarker,
  wants: Iterable<ObjectId>,
): Promise<number[]> {
  const wantRows: number[] = [];
  for (const id of wants) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined) continue;
    for (const tagNumber of peeled.tagNumbers) marks.markSent(tagNumber);
    if (peeled.type === "commit") wantRows.push(table.rowOf(peeled.objectNumber));
    else if (peeled.type === "tree") await marker.markWanted(peeled.objectNumber);
    else marks.markSent(peeled.objectNumber);
  }
  return wantRows;
}

/** More of them would rarely save anything: the trees of a client's commits are mostly alike. */
const MAX_HELD_ROWS = 64;
/** The same, for each commit that has no parents to be compared with. */
const MAX_COMPARED_ROWS = 8;

/** Commits that the client has, loaded, newest first, some of them at least. */
function newestRows(table: CommitTable, rows: readonly number[]): number[] {
  return [...new Set(rows)].toSorted((a, b) => table.seconds(b) - table.seconds(a)).slice(0, MAX_HELD_ROWS);
}

/** @returns What the tree of each cut commit, in turn, is compared with: else it would be looked at whole. */
function treesForCuts(
  table: CommitTable,
  heldRows: readonly number[],
): (row: CommitRow) => readonly ParentTree[] {
  const held = heldRows
    .slice(0, MAX_COMPARED_ROWS)
    .map((heldRow) => ({ treeNumber: table.treeNumber(heldRow), clientHas: true }));
  /** Of the cut commit before, of which all is sent. */
  let sent: readonly ParentTree[] = [];
  return (row) => {
    const compared = [...held, ...sent];
    sent = [{ treeNumber: table.treeNumber(row), clientHas: false }];
    return compared;
  };
}

/**
 * Whether what a commit introduces need not be looked for. It must be for a commit that is cut, and where there is no history; and
 * where the client has a parent its trees are to be looked at, as they hold the bases of thin deltas.
 */
function isRecorded(
  { history }: ObjectReader,
  table: CommitTable,
  missing: MissingCommits,
  row: CommitRow,
): boolean {
  if (history === undefined || history.rowOf(table.objectNumber(row)) < 0 || table.isCut(row)) return false;
  return !table.parentRows(row).some((parentRow) => missing.clientHas(parentRow));
}

/** Marks what a commit introduces as its history records it. */
function markRecorded({ history }: ObjectReader, marks: ObjectMarks, commitNumber: ObjectNumber): void {
  if (history === undefined) return;
  for (const objectNumber of history.introduced(history.rowOf(commitNumber))) {
    if (!marks.isSettled(objectNumber)) marks.markSent(objectNumber);
  }
}

async function parentTrees(
  table: CommitTable,
  missing: MissingCommits,
  row: CommitRow,
): Promise<ParentTree[]> {
  const trees: ParentTree[] = [];
  for (const parentRow of table.parentRows(row)) {
    if (parentRow === MISSING_PARENT) continue;
    await table.load(parentRow);
    trees.push({ treeNumber: table.treeNumber(parentRow), clientHas: missing.clientHas(parentRow) });
  }
  return trees;
}
