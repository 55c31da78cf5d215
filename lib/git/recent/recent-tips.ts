/** Where the recent history begins and ends: what refs point to, and the line of first parents of the main branch. */
import type { CommitHistory } from "../history/commit-history.ts";
import type { HistoryRow } from "../object-numbers.ts";
import type { PackedObjects, RefList } from "../ports.ts";
import { refsStartingWith, resolveHead } from "../upload-pack/find-refs.ts";
import { type PeeledObject, peelObject } from "../walk/peel.ts";

/** Branches and tags that are looked at. */
const MAX_TIPS = 4096;
/** How far back the base may be. */
const MAX_COMMITS_BACK = 4096;
/** Below, work may be elsewhere than on the default branch: an orphan one with documents, say. */
const SHORT_LINE_COMMITS = 16;
/** The newest tips, of which one has the main line then. */
const MAX_LINES = 32;

export interface Tips {
  readonly head: HistoryRow;
  /** Of branches and tags. */
  readonly rows: readonly HistoryRow[];
  /** Of these some thousand, the newest first. */
  readonly newest: readonly HistoryRow[];
  /** What annotated tags point to. */
  readonly tags: readonly PeeledObject[];
}

export async function findTips(
  objects: PackedObjects,
  history: CommitHistory,
  refList: RefList,
): Promise<Tips | undefined> {
  const rows = new Set<HistoryRow>();
  const tags: PeeledObject[] = [];
  for (const { id } of refsStartingWith(refList, "")) {
    const peeled = await peelObject(objects, id);
    if (peeled === undefined) continue;
    if (peeled.tagNumbers.length > 0) tags.push(peeled);
    const row = history.rowOf(peeled.objectNumber);
    if (row >= 0) rows.add(row);
  }
  const headId = resolveHead(refList)?.id;
  const headPeeled = headId && (await peelObject(objects, headId));
  const headRow = headPeeled ? history.rowOf(headPeeled.objectNumber) : -1;
  if (headRow >= 0) rows.add(headRow);
  const newest = newestOf(history, rows);
  const head = headRow >= 0 ? headRow : newest[0];
  return head === undefined ? undefined : { head, rows: [...rows], newest, tags };
}

/** @returns Some, the newest first: to compare half a million would hold the event loop. */
function newestOf(history: CommitHistory, rows: ReadonlySet<HistoryRow>): HistoryRow[] {
  const ascending = Float64Array.from(rows, (row) => history.seconds(row)).sort();
  const leastSeconds = ascending[Math.max(0, ascending.length - MAX_TIPS)] ?? 0;
  return [...rows]
    .filter((row) => history.seconds(row) >= leastSeconds)
    .slice(0, 2 * MAX_TIPS)
    .toSorted((a, b) => history.seconds(b) - history.seconds(a));
}

/** The line of the default branch; where it is short, the longest one of the newest tips. */
export function mainLine(history: CommitHistory, { head, newest }: Tips): HistoryRow[] {
  let longest = firstParents(history, head);
  if (longest.length >= SHORT_LINE_COMMITS) return longest;
  for (const row of newest.slice(0, MAX_LINES)) {
    const line = firstParents(history, row);
    if (line.length > longest.length) longest = line;
  }
  return longest;
}

/** Each commit's first parent, from the tip on. */
function firstParents(history: CommitHistory, tipRow: HistoryRow): HistoryRow[] {
  const line = [tipRow];
  while (line.length < MAX_COMMITS_BACK) {
    const parentRow = history.parentRows(line.at(-1) as HistoryRow)[0] ?? -1;
    if (parentRow < 0) break;
    line.push(parentRow);
  }
  return line;
}
