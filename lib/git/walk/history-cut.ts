/**
 * Where a shallow history ends: by its depth, by the age of commits, or by what other commits already reach.
 * Source: gitprotocol-v2(5), "deepen", "deepen-since", "deepen-not".
 */
import type { CommitRow } from "../object-numbers.ts";
import { type CommitTable, MISSING_PARENT } from "./commit-table.ts";
import { findMissingCommits } from "./missing-commits.ts";

/** A part of history. Both sets are of rows that are loaded. */
export interface HistoryCut {
  /** Commits of the part at which it ends: their parents do not belong to it, or not all of them. */
  readonly boundaryRows: ReadonlySet<number>;
  /** All others of the part. */
  readonly innerRows: ReadonlySet<number>;
}

/**
 * The commits within `depth` of `startRows`, which have depth 1. One at the full depth is a boundary even if it has no
 * parents, as git has it.
 */
export async function cutAtDepth(
  table: CommitTable,
  startRows: readonly number[],
  depth: number,
): Promise<HistoryCut> {
  const innerRows = new Set<number>();
  let levelRows = new Set(startRows);
  for (let level = 1; level < depth && levelRows.size > 0; level++) {
    const nextRows = new Set<number>();
    for (const row of levelRows) innerRows.add(row);
    for (const row of levelRows) {
      for (const parentRow of await loadedParents(table, row)) {
        if (!innerRows.has(parentRow)) nextRows.add(parentRow);
      }
    }
    levelRows = nextRows;
  }
  for (const row of levelRows) await table.load(row);
  return { boundaryRows: levelRows, innerRows };
}

/**
 * @returns The least depth of one of `searchedRows` below `startRows`, which have depth 1; `undefined` if none is there.
 * `--deepen` counts from it since git 2.54: from each cut by itself, as before, a cut could be put where the client's history
 * does not reach.
 */
export async function depthOfNearest(
  table: CommitTable,
  startRows: readonly number[],
  searchedRows: ReadonlySet<number>,
): Promise<number | undefined> {
  if (searchedRows.size === 0) return undefined;
  const seenRows = new Set(startRows);
  let levelRows: readonly number[] = [...seenRows];
  for (let depth = 1; levelRows.length > 0; depth++) {
    if (levelRows.some((row) => searchedRows.has(row))) return depth;
    const nextRows: number[] = [];
    for (const row of levelRows) {
      for (const parentRow of await loadedParents(table, row)) {
        if (seenRows.has(parentRow)) continue;
        seenRows.add(parentRow);
        nextRows.push(parentRow);
      }
    }
    levelRows = nextRows;
  }
  return undefined;
}

/**
 * The commits reachable from `startRows` within the limits.
 * @param sinceSeconds - Commits older than this are left out; 0 leaves out none.
 * @param excludedRows - Left out with all that they reach.
 */
export async function cutByRevisions(
  table: CommitTable,
  startRows: readonly number[],
  sinceSeconds: number,
  excludedRows: readonly number[],
): Promise<HistoryCut> {
  const rows =
    excludedRows.length === 0
      ? await rowsSince(table, startRows, sinceSeconds)
      : // Here an old commit excludes what it reaches: git treats the two cases differently.
        new Set((await findMissingCommits(table, startRows, excludedRows, sinceSeconds)).rows);
  const boundaryRows = new Set<number>();
  const innerRows = new Set<number>();
  for (const row of rows) {
    if (table.slices.isDue(1)) await table.slices.pause();
    const isInner = table.parentRows(row).every((parentRow) => rows.has(parentRow));
    (isInner ? innerRows : boundaryRows).add(row);
  }
  return { boundaryRows, innerRows };
}

/** An old commit ends its line of history, whatever the age of those below it. */
async function rowsSince(
  table: CommitTable,
  startRows: readonly number[],
  sinceSeconds: number,
): Promise<Set<number>> {
  const rows = new Set<number>();
  const pending = [...startRows];
  for (let row = pending.pop(); row !== undefined; row = pending.pop()) {
    if (rows.has(row)) continue;
    const parentRows = await loadedParents(table, row);
    if (table.seconds(row) < sinceSeconds) continue;
    rows.add(row);
    for (const parentRow of parentRows) pending.push(parentRow);
  }
  return rows;
}

async function loadedParents(table: CommitTable, row: CommitRow): Promise<number[]> {
  await table.load(row);
  return table.parentRows(row).filter((parentRow) => parentRow !== MISSING_PARENT);
}
