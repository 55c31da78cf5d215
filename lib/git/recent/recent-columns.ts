/** The columns of the recent objects, out of the indexes and histories of all. */
import type { CommitHistory } from "../history/commit-history.ts";
import { leftOutCommits } from "../history/left-out-commits.ts";
import { NONE, type PackHistory } from "../history/pack-history.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdBytes } from "../object-id.ts";
import type { HistoryRow, ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { PackedObjects } from "../ports.ts";
import { Uint32Vector } from "../walk/uint32-vector.ts";
import type { WorkSlices } from "../work-slices.ts";
import type { RecentObjects } from "./recent-objects.ts";

/** Of all of the repository's. */
export interface ChosenObjects {
  readonly baseRow: HistoryRow;
  /** Without the base; in any order. */
  readonly rows: readonly HistoryRow[];
  /** By row: 1 for the base and those. */
  readonly isRow: Uint8Array;
  /** What refs reach and neither the base does nor any of `rows` is. */
  readonly leftOut: readonly HistoryRow[];
  /** Each once. */
  readonly objectNumbers: Uint32Array;
  /** The tags of refs among them. */
  readonly tagNumbers: ReadonlySet<ObjectNumber>;
  /** Whether the base reaches it. */
  readonly isOld: (objectNumber: ObjectNumber) => boolean;
}

interface Numbered {
  readonly chosen: ChosenObjects;
  readonly history: CommitHistory;
  readonly objectNumbers: Uint32Array;
  /** The numbers among the recent objects, by those of all. */
  readonly numberOf: Int32Array;
  readonly slices: WorkSlices;
}

/** In steps of `WorkSlices`. */
const OBJECT_STEPS = 1 / 5;
const OBJECTS_A_TURN = 1024;

/** @returns Also the numbers among the recent objects, by those of all. */
export async function recentColumns(
  chosen: ChosenObjects,
  objects: PackedObjects,
  history: CommitHistory,
  packCount: number,
): Promise<{ readonly recent: RecentObjects; readonly numberOf: Int32Array }> {
  const { packs, slices } = objects;
  const objectNumbers = chosen.objectNumbers.slice();
  await slices.spend(objectNumbers.length * OBJECT_STEPS);
  packs.sortByPlace(objectNumbers);
  const numberOf = new Int32Array(objects.objectCount).fill(-1);
  for (const [number, objectNumber] of objectNumbers.entries()) numberOf[objectNumber] = number;
  await slices.spend(objectNumbers.length * OBJECT_STEPS);
  const { packNumbers, offsets, ends } = packs.locate(objectNumbers);
  const packCounts = new Uint32Array(packCount);
  for (const packNumber of packNumbers) packCounts[packNumber] = (packCounts[packNumber] as number) + 1;
  const ids = new Uint8Array(objectNumbers.length * OBJECT_ID_BYTES);
  const crcs = new Uint32Array(objectNumbers.length);
  for (const [number, objectNumber] of objectNumbers.entries()) {
    if (number % OBJECTS_A_TURN === 0) await slices.spend(OBJECTS_A_TURN * OBJECT_STEPS);
    ids.set(objectIdBytes(objects.objectId(objectNumber)), number * OBJECT_ID_BYTES);
    crcs[number] = packs.crc(objectNumber);
  }
  const leftOutId = (number: number): ObjectId =>
    objects.objectId(history.objectNumber(chosen.leftOut[number] as HistoryRow));
  const numbered = { chosen, history, objectNumbers, numberOf, slices };
  const recent = {
    ...{ ids, crcs, packCounts, offsets, ends },
    leftOut: await leftOutCommits(chosen.leftOut.length, leftOutId, slices),
    ...{ placed: new Uint32Array(0), placedStarts: new Uint32Array(0) },
    ...{ held: new Uint32Array(0), entries: new Uint8Array(0) },
    history: { ...objectColumns(numbered), ...(await commitColumns(numbered)) },
  };
  return { recent, numberOf };
}

type CommitColumns = Pick<
  PackHistory,
  "commitObjects" | "commitTrees" | "seconds" | "parentEnds" | "parents" | "introducedEnds" | "introduced"
>;

function objectColumns({
  chosen,
  history,
  objectNumbers,
  numberOf,
}: Numbered): Omit<PackHistory, keyof CommitColumns> {
  const types = Uint8Array.from(objectNumbers, (objectNumber) => history.types[objectNumber] as number);
  const among = (parents: Int32Array) =>
    objectNumbers.map((objectNumber) => {
      const other = parents[objectNumber] as number;
      return other < 0 ? NONE : (numberOf[other] as number) >>> 0; // NONE as well for one that is not chosen
    });
  // Only of the tags of refs: a client may name no others.
  const tagTargets: number[] = [];
  for (const [number, objectNumber] of objectNumbers.entries()) {
    if (types[number] !== OBJECT_TYPE.tag) continue;
    const target = history.tagTargets[objectNumber] ?? -1;
    const isOfRef = chosen.tagNumbers.has(objectNumber) && target >= 0;
    tagTargets.push(isOfRef ? (numberOf[target] as number) >>> 0 : NONE);
  }
  const treeCount = types.filter((type) => type === OBJECT_TYPE.tree).length;
  return {
    types,
    sizes: objectNumbers.map((objectNumber) => history.sizes[objectNumber] as number),
    deltaBases: among(history.deltaForest.parents),
    predecessors: among(history.versionForest.parents),
    tagTargets: Uint32Array.from(tagTargets),
    treeKinds: new Uint8Array(treeCount),
    treeChangeEnds: new Uint32Array(treeCount),
    treeChanges: new Uint32Array(0),
    externalIds: new Uint8Array(0),
  };
}

async function commitColumns({
  chosen,
  history,
  objectNumbers,
  numberOf,
  slices,
}: Numbered): Promise<CommitColumns> {
  const { baseRow, isRow, isOld } = chosen;
  // Parents first: rows are in this order, and the base, whose parents are left out, is the first.
  const rows = [baseRow, ...chosen.rows.toSorted((a, b) => a - b)];
  const parents = new Uint32Vector();
  const introduced = new Uint32Vector();
  const parentEnds = new Uint32Array(rows.length);
  const introducedEnds = new Uint32Array(rows.length);
  for (const [number, objectNumber] of objectNumbers.entries())
    if (isOld(objectNumber)) introduced.push(number);
  introducedEnds[0] = introduced.length;
  for (const [i, row] of rows.entries()) {
    if (i === 0) continue;
    for (const parentRow of history.parentRows(row))
      if (isRow[parentRow] === 1) parents.push(numberOf[history.objectNumber(parentRow)] as number);
    const added = history.introduced(row);
    if (slices.isDue(1 + added.length * OBJECT_STEPS)) await slices.pause();
    // What the base has is never sent.
    for (const objectNumber of added)
      if (!isOld(objectNumber)) introduced.push(numberOf[objectNumber] as number);
    parentEnds[i] = parents.length;
    introducedEnds[i] = introduced.length;
  }
  return {
    commitObjects: Uint32Array.from(rows, (row) => numberOf[history.objectNumber(row)] as number),
    commitTrees: Uint32Array.from(rows, (row) => numberOf[history.treeNumber(row)] as number),
    seconds: Float64Array.from(rows, (row) => history.seconds(row)),
    parentEnds,
    parents: parents.values().slice(),
    introducedEnds,
    introduced: introduced.values().slice(),
  };
}
