/** Completes a new pack's history where it refers to older packs. */
import { assertNotStopped, CorruptPackError } from "../errors.ts";
import {
  type IntroducedByCommit,
  introducedObjects,
  NO_OBJECT,
  type TreeRecorder,
} from "../git/history/compare-commits.ts";
import { DEFAULT_HISTORY_LIMITS, type HistoryLimits } from "../git/history/history-budget.ts";
import { NONE, type PackHistory } from "../git/history/pack-history.ts";
import { joinTreeRecords, TreeRecords } from "../git/history/tree-records.ts";
import { someWhole } from "../git/history/write-tree-columns.ts";
import { OBJECT_ID_BYTES, objectIdAt } from "../git/object-id.ts";
import { parseCommit } from "../git/objects.ts";
import type { ObjectBody } from "../git/pack/delta.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { ObjectReader } from "../git/ports.ts";
import type { BuiltHistory } from "../indexer/build-history.ts";
import { Externals } from "../indexer/history-tasks.ts";

/**
 * @param index - Of the new pack.
 * @param reader - Over all packs, including the new one.
 * @returns `undefined` if the limits do not allow it.
 * @throws {CorruptPackError} An object that a commit refers to is missing. @throws {StoppedError}
 */
export async function completeHistory(
  { history, openRows, treeRecords }: BuiltHistory,
  index: Uint8Array,
  reader: ObjectReader,
  signal?: AbortSignal,
  limits: HistoryLimits = DEFAULT_HISTORY_LIMITS,
): Promise<PackHistory | undefined> {
  const packIndex = new PackIndex(index);
  const externals = new Externals(packIndex);
  for (let at = 0; at < history.externalIds.length; at += OBJECT_ID_BYTES)
    externals.reference(objectIdAt(history.externalIds, at));
  const reference = (objectNumber: number): number => externals.reference(reader.objectId(objectNumber));
  // These name trees of older packs, which may have no number here.
  const records = new TreeRecords(externals.referenceAt, limits.maxTreeChangesAtOnce);
  const ownRecords: TreeRecorder = {
    begin: (tree, predecessor) => {
      const local = packIndex.find(reader.objectId(tree));
      const before = predecessor === NO_OBJECT ? NO_OBJECT : reference(predecessor);
      return local >= 0 && records.begin(local, before);
    },
    add: (bytes, idStart) => records.add(bytes, idStart),
    remove: (bytes, idStart) => records.remove(bytes, idStart),
  };
  const additions = new Map<number, number[]>();
  const predecessors = history.predecessors.slice();
  const read = limitedReads(reader, limits);
  let leftIntroduced = limits.maxIntroduced;
  for (const row of openRows) {
    assertNotStopped(signal);
    const commitId = packIndex.objectId(history.commitObjects[row] as number);
    records.beginCommit(row);
    const introduced = await introducedBy(reader.findId(commitId), reader, read, ownRecords);
    leftIntroduced -= introduced?.objects.length ?? 0;
    if (introduced === undefined || leftIntroduced < 0) return undefined;
    const objects = introduced.objects.map(reference);
    additions.set(row, objects);
    for (const [i, object] of objects.entries()) {
      const predecessor = introduced.predecessors[i] ?? NO_OBJECT;
      if (predecessor !== NO_OBJECT && predecessors[object] === NONE)
        predecessors[object] = reference(predecessor);
    }
  }
  const parts = [...treeRecords, records.columns()];
  const externalIds = externals.ids();
  const recorded = joinTreeRecords(parts, history.types, predecessors, limits.maxTreeChanges);
  const trees = await someWhole(history.types, recorded, predecessors, externalIds.length / OBJECT_ID_BYTES);
  return { ...history, ...withAdditions(history, additions), ...trees, predecessors, externalIds };
}

type LimitedRead = (objectNumbers: readonly number[]) => Promise<ObjectBody[] | undefined>;

/** Reads trees in batches, within the limits. */
function limitedReads(reader: ObjectReader, { maxComparedBytes, maxHeldBytes }: HistoryLimits): LimitedRead {
  let leftBytes = maxComparedBytes;
  return async (objectNumbers) => {
    const bodies: ObjectBody[] = [];
    let heldBytes = 0;
    for (const objectNumber of objectNumbers) {
      const { bytes } = await reader.read(objectNumber);
      heldBytes += bytes.length;
      leftBytes -= bytes.length;
      if (heldBytes > maxHeldBytes || leftBytes < 0) return undefined;
      bodies.push({ bytes, start: 0, sizeBytes: bytes.length });
    }
    return bodies;
  };
}

/** @returns `undefined` if the limits are spent. */
async function introducedBy(
  commitNumber: number,
  reader: ObjectReader,
  read: LimitedRead,
  recorder: TreeRecorder,
): Promise<IntroducedByCommit | undefined> {
  const commit = parseCommit((await reader.read(commitNumber)).bytes);
  const parentTrees: number[] = [];
  for (const parentId of commit.parentIds) {
    const parent = parseCommit((await reader.read(reader.findId(parentId))).bytes);
    parentTrees.push(reader.findId(parent.treeId));
  }
  const find = (bytes: Uint8Array, start: number): number => reader.find(bytes, start);
  const steps = introducedObjects(reader.findId(commit.treeId), parentTrees, find, recorder);
  let step = steps.next();
  while (!step.done) {
    const bodies = await read(step.value);
    if (bodies === undefined) return undefined;
    step = steps.next(bodies);
  }
  if (step.value === undefined) {
    throw new CorruptPackError("a commit refers to an object that is missing", {
      id: reader.objectId(commitNumber),
    });
  }
  return step.value;
}

/** The introduced objects, including those of the rows that were open. */
function withAdditions(
  { introduced, introducedEnds }: BuiltHistory["history"],
  additions: ReadonlyMap<number, readonly number[]>,
): Pick<PackHistory, "introduced" | "introducedEnds"> {
  let addedCount = 0;
  for (const objects of additions.values()) addedCount += objects.length;
  const allIntroduced = new Uint32Array(introduced.length + addedCount);
  const allEnds = new Uint32Array(introducedEnds.length);
  let at = 0;
  let start = 0;
  introducedEnds.forEach((end, row) => {
    const own = additions.get(row) ?? introduced.subarray(start, end);
    allIntroduced.set(own, at);
    at += own.length;
    allEnds[row] = at;
    start = end;
  });
  return { introduced: allIntroduced, introducedEnds: allEnds };
}
