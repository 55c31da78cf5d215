/** Puts the commits of a pack into the order of its history. */
import { partOf } from "../git/history/pack-history.ts";

/** Of a pack's commits, in one order. */
export interface CommitColumns {
  readonly commitObjects: Uint32Array;
  readonly commitTrees: Uint32Array;
  readonly seconds: Float64Array;
  readonly parentEnds: Uint32Array;
  readonly parents: Uint32Array;
}

/** @returns Rows in the order of time, but parents before children. */
export function parentsFirst(
  { commitObjects, seconds, parentEnds, parents }: CommitColumns,
  objectCount: number,
): Uint32Array {
  const rowOf = new Int32Array(objectCount).fill(-1);
  commitObjects.forEach((object, row) => {
    rowOf[object] = row;
  });
  const byTime = Uint32Array.from(commitObjects, (_, row) => row).sort(
    (a, b) => (seconds[a] as number) - (seconds[b] as number),
  );
  const isPlaced = new Uint8Array(commitObjects.length);
  const ordered = new Uint32Array(commitObjects.length);
  let count = 0;
  for (const start of byTime) {
    const waiting = [start];
    for (let row = waiting.at(-1); row !== undefined; row = waiting.at(-1)) {
      const before = waiting.length;
      for (const parent of isPlaced[row] ? [] : partOf(parents, parentEnds, row)) {
        const parentRow = parent < objectCount ? (rowOf[parent] as number) : -1;
        if (parentRow >= 0 && !isPlaced[parentRow]) waiting.push(parentRow);
      }
      if (waiting.length > before) continue;
      waiting.pop();
      if (isPlaced[row]) continue;
      isPlaced[row] = 1;
      ordered[count++] = row;
    }
  }
  return ordered;
}

export function inOrder(commits: CommitColumns, rows: Uint32Array): CommitColumns {
  const parents = new Uint32Array(commits.parents.length);
  const parentEnds = new Uint32Array(rows.length);
  let end = 0;
  rows.forEach((row, i) => {
    const own = partOf(commits.parents, commits.parentEnds, row);
    parents.set(own, end);
    end += own.length;
    parentEnds[i] = end;
  });
  return {
    commitObjects: rows.map((row) => commits.commitObjects[row] as number),
    commitTrees: rows.map((row) => commits.commitTrees[row] as number),
    seconds: Float64Array.from(rows, (row) => commits.seconds[row] as number),
    parentEnds,
    parents,
  };
}
