/** Marks the objects that a client lacks: those introduced by the commits that it lacks, and what it wants by name. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectReader } from "../ports.ts";
import { CommitTable, MISSING_PARENT } from "./commit-table.ts";
import { markIntroducedObjects, type ParentTree } from "./introduced-objects.ts";
import { findMissingCommits, type MissingCommits } from "./missing-commits.ts";
import type { ObjectMarks } from "./object-marks.ts";
import { peelObject } from "./peel.ts";

export interface MissingObjectsRequest {
  /** Those that are not in the repository are passed over. */
  readonly wants: Iterable<ObjectId>;
  /** Object numbers of commits that the client has. */
  readonly commonCommits: readonly number[];
  /** Leave out what commits point to. */
  readonly commitsOnly?: boolean;
}

/** Yields now and then, with the count so far. Marks as sent in `marks`. */
export async function* markMissingObjects(
  reader: ObjectReader,
  marks: ObjectMarks,
  { wants, commonCommits, commitsOnly = false }: MissingObjectsRequest,
): AsyncGenerator<number, void, undefined> {
  const table = new CommitTable(reader);
  const wantRows = await markNamedObjects(reader, marks, table, wants);
  const haveRows = commonCommits.map((objectNumber) => table.rowOf(objectNumber));
  const missing = await findMissingCommits(table, wantRows, haveRows);
  let reportedCount = 0;
  for (const row of missing.rows) {
    marks.markSent(table.objectNumber(row));
    if (!commitsOnly) {
      const parents = await parentTrees(table, missing, row);
      await markIntroducedObjects(reader, marks, table.treeNumber(row), parents);
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
  wants: Iterable<ObjectId>,
): Promise<number[]> {
  const wantRows: number[] = [];
  for (const id of wants) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined) continue;
    for (const tagNumber of peeled.tagNumbers) marks.markSent(tagNumber);
    if (peeled.type === "commit") wantRows.push(table.rowOf(peeled.objectNumber));
    else if (peeled.type === "tree") await markIntroducedObjects(reader, marks, peeled.objectNumber, []);
    else marks.markSent(peeled.objectNumber);
  }
  return wantRows;
}

async function parentTrees(table: CommitTable, missing: MissingCommits, row: number): Promise<ParentTree[]> {
  const trees: ParentTree[] = [];
  for (const parentRow of table.parentRows(row)) {
    if (parentRow === MISSING_PARENT) continue;
    await table.load(parentRow);
    trees.push({ treeNumber: table.treeNumber(parentRow), clientHas: missing.clientHas(parentRow) });
  }
  return trees;
}
