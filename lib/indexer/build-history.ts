/** Builds a pack's history sidecar over the threads that have indexed it. */
import { DEFAULT_HISTORY_LIMITS, type HistoryLimits } from "../git/history/history-budget.ts";
import { NONE, type PackHistory, type TreeColumns } from "../git/history/pack-history.ts";
import type { RecordedTrees } from "../git/history/tree-records.ts";
import type { SharedEntryTable } from "../git/pack/entry-table.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import { OBJECT_TYPE } from "../git/pack/pack-format.ts";
import { Externals, type Introduced, TREE_ELSEWHERE } from "./history-tasks.ts";
import type { IndexThread } from "./index-threads.ts";
import { type CommitColumns, inOrder, parentsFirst } from "./order-commits.ts";
import { inShared, sharedWords } from "./shared-memory.ts";

export interface IndexedTable {
  readonly table: SharedEntryTable;
  readonly entryCount: number;
  /** The three in shared memory. */
  readonly index: Uint8Array;
  readonly order: Uint32Array;
  readonly types: Uint8Array;
  readonly sizes: Uint32Array;
  /** Index numbers; see `PackHistory`. */
  readonly deltaBases: Uint32Array;
  /** Entries from this number on were appended: their history is in older packs' sidecars. */
  readonly sentCount: number;
}

export interface BuiltHistory {
  /** Of the open rows, without what they introduce. */
  readonly history: Omit<PackHistory, keyof TreeColumns>;
  /** Of all other rows: what their trees hold. */
  readonly treeRecords: readonly RecordedTrees[];
  /** Commits that need objects of other packs to say what they introduce, ascending. */
  readonly openRows: readonly number[];
}

/** Commits of one task: enough to be worth the message, few enough for the threads to end together. */
const ROWS_PER_TASK = 1024;

/** @returns `undefined` if the limits do not allow it. */
export async function buildHistory(
  threads: readonly IndexThread[],
  pack: IndexedTable,
  limits: HistoryLimits = DEFAULT_HISTORY_LIMITS,
): Promise<BuiltHistory | undefined> {
  const { types, sizes, deltaBases } = pack;
  const found = await readAllCommits(threads, pack);
  const rows = parentsFirst(found, types.length);
  const commits = inOrder(found, rows);
  const parts = await introduceAll(threads, pack, commits, limits);
  if (parts === undefined) return undefined;
  const introduced = joinParts(parts, rows.length);
  const { externals } = found;
  const treeRecords = parts.map((part) => ({
    ...part.treeRecords,
    changes: externals.renumber(part.treeRecords.changes, part),
  }));
  return {
    treeRecords,
    history: {
      types,
      sizes,
      deltaBases,
      predecessors: firstPredecessors(parts, types.length),
      ...commits,
      tagTargets: found.tagTargets,
      externalIds: externals.ids(),
      introducedEnds: introduced.ends,
      introduced: introduced.objects,
    },
    openRows: [...introduced.openRows],
  };
}

async function readAllCommits(
  threads: readonly IndexThread[],
  pack: IndexedTable,
): Promise<CommitColumns & Pick<PackHistory, "tagTargets"> & { readonly externals: Externals }> {
  const { table, entryCount, index, order, types } = pack;
  // As they follow each other in the pack, or each one's block would be read anew.
  const commitObjects = Uint32Array.from(sentObjects(pack, OBJECT_TYPE.commit)).sort(
    (a, b) => (order[a] as number) - (order[b] as number),
  );
  const tagObjects = Uint32Array.from(sentObjects(pack, OBJECT_TYPE.tag));
  const shares = splitEvenly(commitObjects, threads.length);
  const tagShares = splitEvenly(tagObjects, threads.length);
  const parts = await Promise.all(
    threads.map((thread, i) =>
      thread.run("readCommits", {
        table,
        entryCount,
        index,
        order,
        commits: shares[i] ?? new Uint32Array(),
        tags: tagShares[i] ?? new Uint32Array(),
      }),
    ),
  );
  const externals = new Externals(new PackIndex(index));
  const parentCount = parts.reduce((sum, { parents }) => sum + parents.length, 0);
  const commits = {
    commitObjects,
    commitTrees: new Uint32Array(commitObjects.length),
    seconds: new Float64Array(commitObjects.length),
    parentEnds: new Uint32Array(commitObjects.length),
    parents: new Uint32Array(parentCount),
  };
  let row = 0;
  let parentStart = 0;
  let tagCount = 0;
  const targetOf = new Map<number, number>();
  for (const part of parts) {
    for (const target of externals.renumber(part.tagTargets, part))
      targetOf.set(tagObjects[tagCount++] as number, target);
    commits.seconds.set(part.seconds, row);
    commits.commitTrees.set(externals.renumber(part.trees, part), row);
    commits.parentEnds.set(
      part.parentEnds.map((end) => end + parentStart),
      row,
    );
    commits.parents.set(externals.renumber(part.parents, part), parentStart);
    row += part.seconds.length;
    parentStart += part.parents.length;
  }
  const allTags = numbersOfType(types, OBJECT_TYPE.tag);
  const tagTargets = Uint32Array.from(allTags, (tag) => targetOf.get(tag) ?? NONE);
  return { ...commits, tagTargets, externals };
}

function* sentObjects({ types, order, sentCount }: IndexedTable, type: number): Generator<number, void> {
  for (const number of numbersOfType(types, type)) if ((order[number] as number) < sentCount) yield number;
}

function* numbersOfType(types: Uint8Array, type: number): Generator<number, void> {
  for (let number = 0; number < types.length; number++) if (types[number] === type) yield number;
}

function splitEvenly(numbers: Uint32Array, partCount: number): Uint32Array[] {
  const each = Math.ceil(numbers.length / partCount);
  return Array.from({ length: partCount }, (_, i) => numbers.slice(i * each, (i + 1) * each));
}

async function introduceAll(
  threads: readonly IndexThread[],
  pack: IndexedTable,
  commits: CommitColumns,
  limits: HistoryLimits,
): Promise<Introduced[] | undefined> {
  const { table, entryCount, index, order } = pack;
  const rowCount = commits.commitObjects.length;
  const trees = { ...treesOf(commits, entryCount), parentEnds: inShared(commits.parentEnds) };
  const parts: Introduced[] = [];
  let nextPart = 0;
  let leftBytes = limits.maxComparedBytes;
  let leftIntroduced = limits.maxIntroduced;
  let leftTreeChanges = limits.maxTreeChanges;
  let isTooMuch = false;
  const takeParts = async (thread: IndexThread): Promise<void> => {
    for (let part = nextPart++; part * ROWS_PER_TASK < rowCount && !isTooMuch; part = nextPart++) {
      const firstRow = part * ROWS_PER_TASK;
      const endRow = Math.min(rowCount, firstRow + ROWS_PER_TASK);
      const introduced = await thread.run("introduce", {
        table,
        entryCount,
        index,
        order,
        ...trees,
        firstRow,
        endRow,
        limits: {
          ...limits,
          maxComparedBytes: leftBytes,
          maxTreeChangesAtOnce: Math.max(0, Math.min(leftTreeChanges, limits.maxTreeChangesAtOnce)),
        },
      });
      leftBytes -= introduced?.comparedBytes ?? 0;
      leftIntroduced -= introduced?.objects.length ?? 0;
      leftTreeChanges -= introduced?.treeRecords.changes.length ?? 0;
      if (introduced === undefined || leftBytes < 0 || leftIntroduced < 0) isTooMuch = true;
      else parts[part] = introduced;
    }
  };
  await Promise.all(threads.map(takeParts));
  return isTooMuch ? undefined : parts;
}

/** The trees of commits and of their parents, as far as they are in the pack. */
function treesOf(
  { commitObjects, commitTrees, parents }: CommitColumns,
  objectCount: number,
): { trees: Uint32Array; parentTrees: Uint32Array } {
  const here = (tree: number): number => (tree < objectCount ? tree : TREE_ELSEWHERE);
  const treeOf = new Uint32Array(objectCount).fill(TREE_ELSEWHERE);
  commitObjects.forEach((object, row) => {
    treeOf[object] = here(commitTrees[row] as number);
  });
  const trees = sharedWords(commitTrees.length);
  commitTrees.forEach((tree, row) => {
    trees[row] = here(tree);
  });
  const parentTrees = sharedWords(parents.length);
  parents.forEach((parent, i) => {
    parentTrees[i] = parent < objectCount ? (treeOf[parent] as number) : TREE_ELSEWHERE;
  });
  return { trees, parentTrees };
}

/** By index number; of what several commits introduce, the first one's. */
function firstPredecessors(parts: readonly Introduced[], objectCount: number): Uint32Array {
  const predecessors = new Uint32Array(objectCount).fill(NONE);
  for (const part of parts) {
    part.objects.forEach((object, i) => {
      if (predecessors[object] === NONE) predecessors[object] = part.predecessors[i] as number;
    });
  }
  return predecessors;
}

function joinParts(
  parts: readonly Introduced[],
  rowCount: number,
): Pick<Introduced, "ends" | "objects" | "openRows"> {
  const objects = new Uint32Array(parts.reduce((sum, part) => sum + part.objects.length, 0));
  const ends = new Uint32Array(rowCount);
  const openRows: number[] = [];
  let row = 0;
  let count = 0;
  for (const part of parts) {
    objects.set(part.objects, count);
    for (const end of part.ends) ends[row++] = count + end;
    count += part.objects.length;
    for (const openRow of part.openRows) openRows.push(openRow);
  }
  return { ends, objects, openRows: Uint32Array.from(openRows) };
}
