/**
 * The recent objects of a repository: an excerpt of its indexes and histories around the tips of its refs, which is read in their place
 * where it suffices. Its size does not depend on the repository's.
 *
 *   header: "NSRO", then 32-bit numbers: version, objects, packs, bytes of the columns, deflated and inflated, bytes of entries
 *   subject 32 · ids 20 x objects · crcs 4 x objects · columns, deflated · entries · SHA-256 of all before
 *
 * Objects are numbered in the order of packs and offsets. The columns are 32-bit numbers, see `columnsOf`: each is written as its difference
 * to the one before, and of all of them first the lowest bytes, then the next ones, because most differences are small.
 */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import type { LeftOutCommits } from "../history/left-out-commits.ts";
import { assertInside, type PackHistory } from "../history/pack-history.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { WorkSlices } from "../work-slices.ts";
import {
  deflated,
  fromDistances,
  highHalves,
  inflated,
  joinHalves,
  joinSeconds,
  lowHalves,
  readPlanes,
  secondColumns,
  toDistances,
  writePlanes,
} from "./number-columns.ts";

const SIGNATURE = 0x4f52534e; // "NSRO", little-endian
/** It is in the blob's key as well. */
export const RECENT_VERSION = 2;
const HEADER_BYTES = 28;
const SUBJECT_BYTES = 32;
const CHECKSUM_BYTES = 32;
/** Far above what is written: how much memory damage may take. */
const MAX_OBJECTS = 2 ** 20;
const MAX_PACKS = 2 ** 16;
const MAX_COLUMN_BYTES = 2 ** 27;
/** Bytes of columns in a step of `WorkSlices`. */
const BYTES_A_STEP = 100;

/** Columns of one length, but for `packCounts` and the history's. */
export interface RecentObjects {
  /** 20 bytes each. */
  readonly ids: Uint8Array;
  /** As in the packs' indexes. */
  readonly crcs: Uint32Array;
  /** By pack: how many of the objects are taken from it. */
  readonly packCounts: Uint32Array;
  readonly offsets: Float64Array;
  readonly ends: Float64Array;
  /**
   * As of one pack with these objects. The first commit is the base: all commits are there that refs reach and it does not, but for those
   * of some branches. Parents that only the base reaches are left out; what else it reaches counts as introduced by it.
   */
  readonly history: PackHistory;
  /** The commits of those branches. */
  readonly leftOut: LeftOutCommits;
  /** Some objects whose entries are in the sidecar of their pack as well, see newest-entries.ts: numbers in the order of packs and places there. */
  readonly placed: Uint32Array;
  /** Where in the sidecar the entry of each of `placed` begins. */
  readonly placedStarts: Uint32Array;
  /** Some objects, of which the entries are here as well: their numbers, in the order of `entries`. */
  readonly held: Uint32Array;
  /** As in the packs, each with the byte that follows it there, because readers of an entry ask for one more. */
  readonly entries: Uint8Array;
}

/** @param subject - SHA-256 of what the objects were chosen for. */
export async function encodeRecentObjects(
  recent: RecentObjects,
  subject: Uint8Array,
  slices = new WorkSlices(),
): Promise<Uint8Array> {
  const { ids, crcs, packCounts, entries } = recent;
  const columns = columnsOf(recent);
  const planes = await writePlanes(columns, slices);
  const deflatedPlanes = await deflated(planes);
  const header = Uint32Array.of(
    SIGNATURE,
    RECENT_VERSION,
    crcs.length,
    packCounts.length,
    deflatedPlanes.length,
    planes.length,
    entries.length,
  );
  const body = Buffer.concat([bytesOf(header), subject, ids, bytesOf(crcs), deflatedPlanes, entries]);
  return Buffer.concat([body, createHash("sha256").update(body).digest()]);
}

/**
 * @returns `undefined` for other objects, or another version.
 * @throws {CorruptPackError} The bytes contradict themselves.
 */
export async function decodeRecentObjects(
  bytes: Uint8Array,
  subject: Uint8Array,
  slices = new WorkSlices(),
): Promise<RecentObjects | undefined> {
  const idsStart = HEADER_BYTES + SUBJECT_BYTES;
  if (bytes.length < idsStart + CHECKSUM_BYTES) throw new CorruptPackError("recent objects are cut off");
  const checksum = createHash("sha256").update(bytes.subarray(0, -CHECKSUM_BYTES)).digest();
  if (!checksum.equals(bytes.subarray(-CHECKSUM_BYTES)))
    throw new CorruptPackError("recent objects' checksum is wrong");
  const header = numbersAt(bytes, 0, HEADER_BYTES);
  const [signature, version, objects = 0, packs = 0, deflatedBytes = 0, planeBytes = 0] = header;
  if (signature !== SIGNATURE) throw new CorruptPackError("these are no recent objects");
  if (version !== RECENT_VERSION || Buffer.compare(bytes.subarray(HEADER_BYTES, idsStart), subject) !== 0)
    return undefined;
  const crcsStart = idsStart + objects * OBJECT_ID_BYTES;
  const columnsStart = crcsStart + objects * 4;
  const isFit = objects <= MAX_OBJECTS && packs <= MAX_PACKS && planeBytes <= MAX_COLUMN_BYTES;
  const entriesStart = columnsStart + deflatedBytes;
  if (!isFit || bytes.length !== entriesStart + (header[6] ?? 0) + CHECKSUM_BYTES)
    throw new CorruptPackError("recent objects do not fit their length");
  const planes = await inflated(bytes.subarray(columnsStart, entriesStart), planeBytes);
  await slices.spend(planes.length / BYTES_A_STEP);
  const columns = new ColumnReader(readPlanes(planes), { objects, packs });
  const ids = bytes.subarray(idsStart, crcsStart);
  const crcs = numbersAt(bytes, crcsStart, columnsStart);
  const places = columns.places();
  const recent = {
    ...{ ids, crcs, ...places, history: columns.history() },
    ...{ leftOut: columns.leftOut(), ...columns.entries(places) },
    entries: bytes.subarray(entriesStart, -CHECKSUM_BYTES),
  };
  assertPlaces(recent);
  await assertInside(recent.history, slices);
  return recent;
}

/** The columns in the order of the file. */
function columnsOf(recent: RecentObjects): Uint32Array[] {
  const { packCounts, offsets, ends, history, leftOut, placed, held } = recent;
  const { types, sizes, deltaBases, predecessors, commitObjects, commitTrees, seconds } = history;
  const { parentEnds, parents, introducedEnds, introduced, tagTargets } = history;
  const counts = Uint32Array.of(
    ...[
      commitObjects.length,
      parents.length,
      introduced.length,
      tagTargets.length,
      leftOut.prefixes.length,
      leftOut.bits,
      placed.length,
      held.length,
    ],
  );
  const lengths = ends.map((end, number) => end - (offsets[number] as number));
  return [
    ...[counts, packCounts, lowHalves(offsets), highHalves(offsets), lowHalves(lengths), highHalves(lengths)],
    ...[Uint32Array.from(types), sizes, toDistances(deltaBases), toDistances(predecessors)],
    ...[commitObjects, commitTrees, ...secondColumns(seconds), parentEnds, parents],
    ...[introducedEnds, introduced, tagTargets, leftOut.prefixes, placed, placedGaps(recent), held],
  ];
}

class ColumnReader {
  readonly #numbers: Uint32Array;
  readonly #counts: { readonly objects: number; readonly packs: number };
  #lengths: readonly number[] = [];
  #at = 0;

  constructor(numbers: Uint32Array, counts: { readonly objects: number; readonly packs: number }) {
    this.#numbers = numbers;
    this.#counts = counts;
  }

  places(): Pick<RecentObjects, "packCounts" | "offsets" | "ends"> {
    const { objects, packs } = this.#counts;
    this.#lengths = [...this.#take(8)];
    const packCounts = this.#take(packs);
    const offsets = joinHalves(this.#take(objects), this.#take(objects));
    const lengths = joinHalves(this.#take(objects), this.#take(objects));
    for (let number = 0; number < objects; number++)
      lengths[number] = (lengths[number] as number) + (offsets[number] as number);
    return { packCounts, offsets, ends: lengths };
  }

  /** After `places`. */
  history(): PackHistory {
    const { objects } = this.#counts;
    const [commits = 0, parents = 0, introduced = 0, tags = 0] = this.#lengths;
    const types = new Uint8Array(this.#take(objects));
    let trees = 0;
    for (let number = 0; number < objects; number++) if (types[number] === OBJECT_TYPE.tree) trees++;
    const history = {
      types,
      sizes: this.#take(objects),
      deltaBases: fromDistances(this.#take(objects)),
      predecessors: fromDistances(this.#take(objects)),
      commitObjects: this.#take(commits),
      commitTrees: this.#take(commits),
      seconds: joinSeconds(this.#take(commits), this.#take(commits)),
      parentEnds: this.#take(commits),
      parents: this.#take(parents),
      introducedEnds: this.#take(commits),
      introduced: this.#take(introduced),
      tagTargets: this.#take(tags),
      // What trees hold has to be read.
      treeKinds: new Uint8Array(trees),
      treeChangeEnds: new Uint32Array(trees),
      treeChanges: new Uint32Array(0),
      externalIds: new Uint8Array(0),
    };
    return history;
  }

  /** After `history`. */
  leftOut(): LeftOutCommits {
    const [count = 0, bits = 0] = this.#lengths.slice(4);
    return { bits, prefixes: this.#take(count) };
  }

  /** After `leftOut`. */
  entries(
    places: Pick<RecentObjects, "offsets" | "ends">,
  ): Pick<RecentObjects, "placed" | "placedStarts" | "held"> {
    const [placedCount = 0, heldCount = 0] = this.#lengths.slice(6);
    const placed = this.#take(placedCount);
    const placedStarts = startsOf(placed, this.#take(placedCount), places);
    const held = this.#take(heldCount);
    if (this.#at !== this.#numbers.length) throw new CorruptPackError("recent objects have too many columns");
    return { placed, placedStarts, held };
  }

  #take(count: number): Uint32Array {
    const end = this.#at + count;
    if (end > this.#numbers.length) throw new CorruptPackError("recent objects lack columns");
    const column = this.#numbers.subarray(this.#at, end);
    this.#at = end;
    return column;
  }
}

/** How far each is behind the end of the one before: mostly 0. */
function placedGaps({ placed, placedStarts, offsets, ends }: RecentObjects): Uint32Array {
  let expected = 0;
  return placed.map((number, i) => {
    const start = placedStarts[i] as number;
    const gap = start - expected;
    expected = start + 1 + (ends[number] as number) - (offsets[number] as number);
    return gap;
  });
}

function startsOf(
  placed: Uint32Array,
  gaps: Uint32Array,
  { offsets, ends }: Pick<RecentObjects, "offsets" | "ends">,
): Uint32Array {
  const starts = new Uint32Array(placed.length);
  let expected = 0;
  for (let i = 0; i < placed.length; i++) {
    const number = placed[i] as number;
    const start = (expected + (gaps[i] as number)) >>> 0;
    starts[i] = start;
    expected = start + 1 + (ends[number] ?? 0) - (offsets[number] ?? 0);
  }
  return starts;
}

/** The checksum keeps out damage, not mistakes. */
function assertPlaces({ packCounts, offsets, ends, placed, held, entries }: RecentObjects): void {
  let first = 0;
  for (const count of packCounts) {
    let previousEnd = 0;
    for (let number = first; number < first + count; number++) {
      if (
        (offsets[number] as number) < previousEnd ||
        !((ends[number] as number) > (offsets[number] as number))
      )
        throw new CorruptPackError("recent objects are not in the order of their places");
      previousEnd = ends[number] as number;
    }
    first += count;
  }
  if (first !== offsets.length) throw new CorruptPackError("recent objects are not in the packs");
  for (const number of placed)
    if (number >= offsets.length) throw new CorruptPackError("recent objects have places of others");
  let heldBytes = 0;
  for (const number of held) heldBytes += 1 + (ends[number] ?? Number.NaN) - (offsets[number] ?? Number.NaN);
  if (heldBytes !== entries.length) throw new CorruptPackError("entries of recent objects are not their own");
}

/** A copy, as they may be anywhere; `slice` of a Buffer would be a view. */
function numbersAt(bytes: Uint8Array, start: number, end: number): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes.subarray(start, end)).buffer);
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
