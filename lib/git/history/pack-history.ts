/**
 * The sidecar of a pack, `pack-<id>.history-<version>`: what is needed to plan an answer without reading the pack. Sizes, types and
 * delta bases of all objects; the commits, parents before children, and for each the objects that it introduces; what the
 * trees hold, by object, without names; and what the tags point to.
 *
 * Flat columns of little-endian numbers, read whole into typed arrays:
 *   header: "NSHI", then 32-bit numbers: version, objects, commits, parents, introduced, externals, trees, treeChanges, tags
 *   seconds 8 x commits · sizes 4 x objects · deltaBases 4 x objects · predecessors 4 x objects · commitObjects 4 x commits · commitTrees 4 x commits
 *   parentEnds 4 x commits · parents 4 x parents · introducedEnds 4 x commits · introduced 4 x introduced
 *   treeChangeEnds 4 x trees · treeChanges 4 x treeChanges · tagTargets 4 x tags · externalIds 20 x externals · types 1 x objects
 *   treeKinds 1 x trees · SHA-256 of all before
 * An object is written as its number in the pack's index, or, above these, as objects + its place in `externalIds`.
 */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { WorkSlices } from "../work-slices.ts";

const SIGNATURE = 0x4948534e; // "NSHI", little-endian
/** 4: dates are read as git reads them. It is in the sidecar's key as well. */
export const HISTORY_VERSION = 4;
const HEADER_BYTES = 40;
const CHECKSUM_BYTES = 32;

/** In place of a number: an entry that holds its object whole, an object that no other one came before. */
export const NONE = 0xffffffff;

/** The header's counts, in the order of the file. */
const COUNTS = [
  "objects",
  "commits",
  "parents",
  "introduced",
  "externals",
  "trees",
  "treeChanges",
  "tags",
] as const;

type Counts = Readonly<Record<(typeof COUNTS)[number], number>>;

export interface PackHistory extends TreeColumns {
  /** In the order of the index: the object's type code. */
  readonly types: Uint8Array;
  /** In the order of the index; 2^32 - 1 stands for that and anything larger. */
  readonly sizes: Uint32Array;
  /** In the order of the index: the number there of the entry that this one is a delta of, or {@link NONE}. */
  readonly deltaBases: Uint32Array;
  /**
   * In the order of the index: the object that was at its path before it, in a parent of the commit that first introduces
   * it, or {@link NONE}.
   */
  readonly predecessors: Uint32Array;
  /** Parents before children. */
  readonly commitObjects: Uint32Array;
  readonly commitTrees: Uint32Array;
  /** By the committers' clocks. */
  readonly seconds: Float64Array;
  /** Where in `parents` the commit's end; they begin where those of the commit before end. */
  readonly parentEnds: Uint32Array;
  readonly parents: Uint32Array;
  readonly introducedEnds: Uint32Array;
  readonly introduced: Uint32Array;
  /** Of the pack's tags, in the order of the index; {@link NONE} where an older pack's sidecar says it. */
  readonly tagTargets: Uint32Array;
  /** 20 bytes each: objects of older packs. */
  readonly externalIds: Uint8Array;
}

/** The columns in the order of the file, with what each has one element for. */
const COLUMNS = [
  ["seconds", Float64Array, "commits"],
  ["sizes", Uint32Array, "objects"],
  ["deltaBases", Uint32Array, "objects"],
  ["predecessors", Uint32Array, "objects"],
  ["commitObjects", Uint32Array, "commits"],
  ["commitTrees", Uint32Array, "commits"],
  ["parentEnds", Uint32Array, "commits"],
  ["parents", Uint32Array, "parents"],
  ["introducedEnds", Uint32Array, "commits"],
  ["introduced", Uint32Array, "introduced"],
  ["treeChangeEnds", Uint32Array, "trees"],
  ["treeChanges", Uint32Array, "treeChanges"],
  ["tagTargets", Uint32Array, "tags"],
  ["externalIds", Uint8Array, "externals"],
  ["types", Uint8Array, "objects"],
  ["treeKinds", Uint8Array, "trees"],
] as const satisfies readonly (readonly [keyof PackHistory, unknown, keyof Counts])[];

/** What belongs to one row, of a column whose rows' parts end at `ends`. */
export function partOf<Column extends Uint32Array | Int32Array>(
  column: Column,
  ends: Uint32Array,
  row: number,
): Column {
  return column.subarray(row === 0 ? 0 : ends[row - 1], ends[row]) as Column;
}

/** A reader of columns on a platform of the other byte order would need to turn them; Node has none such. */
export function encodePackHistory(history: PackHistory): Uint8Array {
  const columns = COLUMNS.map(([name]) => history[name]);
  const bodyBytes = columns.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const bytes = new Uint8Array(HEADER_BYTES + bodyBytes + CHECKSUM_BYTES);
  const counts: Counts = {
    objects: history.types.length,
    commits: history.commitObjects.length,
    parents: history.parents.length,
    introduced: history.introduced.length,
    externals: history.externalIds.length / OBJECT_ID_BYTES,
    trees: history.treeKinds.length,
    treeChanges: history.treeChanges.length,
    tags: history.tagTargets.length,
  };
  new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4).set([
    SIGNATURE,
    HISTORY_VERSION,
    ...COUNTS.map((name) => counts[name]),
  ]);
  let at = HEADER_BYTES;
  for (const column of columns) {
    bytes.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at);
    at += column.byteLength;
  }
  bytes.set(createHash("sha256").update(bytes.subarray(0, at)).digest(), at);
  return bytes;
}

/**
 * @param objectCount - Of the pack.
 * @returns Views into `bytes` where these are aligned. `undefined` for another version: it is to be built again.
 * @throws {CorruptPackError} The bytes contradict themselves or the pack.
 */
export async function decodePackHistory(
  bytes: Uint8Array,
  objectCount: number,
  slices = new WorkSlices(),
): Promise<PackHistory | undefined> {
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES) throw new CorruptPackError("pack history is cut off");
  // The columns are aligned from the start of the file.
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const numbers = new Uint32Array(aligned.buffer, aligned.byteOffset, HEADER_BYTES / 4);
  const [signature, version, ...lengths] = numbers;
  if (signature !== SIGNATURE) throw new CorruptPackError("not a pack history");
  if (version !== HISTORY_VERSION) return undefined;
  const counts = Object.fromEntries(COUNTS.map((name, i) => [name, lengths[i] as number])) as Counts;
  if (counts.objects !== objectCount || bytes.length !== expectedBytes(counts))
    throw new CorruptPackError("pack history does not fit its pack");
  const checksum = createHash("sha256").update(aligned.subarray(0, -CHECKSUM_BYTES)).digest();
  if (!checksum.equals(aligned.subarray(-CHECKSUM_BYTES)))
    throw new CorruptPackError("pack history checksum is wrong");
  const history = columnsOf(aligned, counts);
  await assertInside(history, slices);
  return history;
}

/**
 * The checksum keeps out damage, not mistakes: no number may lead outside its table.
 * @throws {CorruptPackError} One does.
 */
export async function assertInside(history: PackHistory, slices: WorkSlices): Promise<void> {
  for (const checkedCount of checkInside(history)) {
    if (slices.isDue(checkedCount / CHECKED_A_STEP)) await slices.pause();
  }
}

function expectedBytes(counts: Counts): number {
  const sizes = COLUMNS.map(
    ([, { BYTES_PER_ELEMENT }, count]) => BYTES_PER_ELEMENT * lengthOf(count, counts),
  );
  return sizes.reduce((sum, size) => sum + size, HEADER_BYTES + CHECKSUM_BYTES);
}

/** The elements of a column. */
function lengthOf(count: keyof Counts, counts: Counts): number {
  return count === "externals" ? counts.externals * OBJECT_ID_BYTES : counts[count];
}

/** Views into `aligned`. */
function columnsOf({ buffer, byteOffset }: Uint8Array, counts: Counts): PackHistory {
  let at = byteOffset + HEADER_BYTES;
  const columns = COLUMNS.map(([name, Column, count]) => {
    const column = new Column(buffer as ArrayBuffer, at, lengthOf(count, counts));
    at += column.byteLength;
    return [name, column];
  });
  return Object.fromEntries(columns) as PackHistory;
}

/** Numbers of a column that are checked in a step of `WorkSlices`, and in one go. */
const CHECKED_A_STEP = 100;
const CHECKED_AT_ONCE = 16_384;

/** @returns Yields how many numbers it has checked since the last time. */
function* checkInside(history: PackHistory): Generator<number, void, undefined> {
  const objectCount = history.types.length;
  const referenceCount = objectCount + history.externalIds.length / OBJECT_ID_BYTES;
  const bases = { limit: objectCount, mask: -1, mayBeNone: true, what: "a delta base outside its pack" };
  yield* checkReferences(history.deltaBases, bases);
  const { commitObjects, commitTrees, parents, introduced, parentEnds, introducedEnds } = history;
  const { types, treeKinds, treeChangeEnds, treeChanges, tagTargets } = history;
  const counts = new Uint32Array(256);
  for (const type of types) counts[type] = (counts[type] as number) + 1;
  if (counts[OBJECT_TYPE.tree] !== treeKinds.length || counts[OBJECT_TYPE.tag] !== tagTargets.length)
    throw new CorruptPackError("pack history has another number of trees or tags");
  const columns = [
    history.predecessors,
    tagTargets,
    commitObjects,
    commitTrees,
    parents,
    introduced,
    treeChanges,
  ];
  for (const [i, column] of columns.entries()) {
    const mask = column === treeChanges ? ~TREE_ENTRY_GONE : -1;
    const what = "an object outside its tables";
    yield* checkReferences(column, { limit: referenceCount, mask, mayBeNone: i < 2, what });
  }
  for (const [ends, length] of [
    [parentEnds, parents.length],
    [introducedEnds, introduced.length],
    [treeChangeEnds, treeChanges.length],
  ] as const) {
    let previous = 0;
    yield ends.length;
    for (const end of ends) {
      if (end < previous || end > length) throw new CorruptPackError("pack history has ranges that go back");
      previous = end;
    }
    if (previous !== length) throw new CorruptPackError("pack history has entries that belong to nothing");
  }
}

interface ReferenceLimits {
  readonly limit: number;
  readonly mask: number;
  readonly mayBeNone: boolean;
  readonly what: string;
}

function* checkReferences(
  column: Uint32Array,
  { limit, mask, mayBeNone, what }: ReferenceLimits,
): Generator<number, void, undefined> {
  for (let start = 0; start < column.length; start += CHECKED_AT_ONCE) {
    const end = Math.min(column.length, start + CHECKED_AT_ONCE);
    for (let i = start; i < end; i++) {
      const reference = column[i] as number;
      if ((reference & mask) >>> 0 >= limit && !(mayBeNone && reference === NONE))
        throw new CorruptPackError(`pack history refers to ${what}`);
    }
    yield end - start;
  }
}

/**
 * What trees hold, by object and without names: as changes to the tree that was at the same path before, as most trees
 * differ from that in few entries. An object counts as often as the tree names it, so that changes add up.
 */

export const TREE_KIND = {
  /** Of a tree that no commit introduces: it has to be read. */
  unknown: 0,
  /** Its changes are all that it holds. */
  whole: 1,
  /** Its changes are those to its predecessor. */
  changed: 2,
} as const;

/** Beside an object in `treeChanges`: an entry that the predecessor has and the tree has not. */
export const TREE_ENTRY_GONE = 0x80000000;

/** Columns over the trees of a pack, in the order of its index. */
export interface TreeColumns {
  /** A {@link TREE_KIND} each. */
  readonly treeKinds: Uint8Array;
  /** Where in `treeChanges` the tree's end; they begin where those of the tree before end. */
  readonly treeChangeEnds: Uint32Array;
  /** Objects, as in all columns, some of them {@link TREE_ENTRY_GONE}. */
  readonly treeChanges: Uint32Array;
}
