/**
 * Sidecars of large packs with the entries of their newest objects once more, see newest-entries.ts. Each is made once, when recent objects
 * are written, replaced only if it is damaged, and deleted with its pack. It may be deleted at any time: its entries are read out of the pack then.
 */
import { crc32 } from "node:zlib";
import { CorruptPackError, insteadOf, NotFoundError, VersionConflictError } from "../errors.ts";
import { OBJECT_ID_BYTES } from "../git/object-id.ts";
import type { ObjectNumber, PackNumber } from "../git/object-numbers.ts";
import type { PackedObjects } from "../git/ports.ts";
import { packNumbersOf } from "../git/recent/hold-entries.ts";
import {
  decodeNewestTable,
  encodeNewestTable,
  MAX_NEWEST_ENTRIES,
  type NewestTable,
  newestTableBytes,
  newestTableBytesOf,
} from "../git/recent/newest-entries.ts";
import type { RecentObjects } from "../git/recent/recent-objects.ts";
import type { WorkSlices } from "../git/work-slices.ts";
import { inBatches } from "../in-batches.ts";
import type { BlobStore, WriteCondition } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";

/** What is wanted of a smaller pack lies near enough together. */
const DEFAULT_MIN_PACK_BYTES = 4 * 1024 * 1024;
const MAX_SIDECAR_BYTES = 40 * 1024 * 1024;
/** Of the pack. */
const MAX_SIDECAR_SHARE = 1 / 4;
/** A larger one is worth a request. */
const MAX_ENTRY_BYTES = 256 * 1024;
/** Of a sidecar; most tables are no longer. */
const HEAD_BYTES = 64 * 1024;
/** Heads, at a time. */
const HEADS_AT_ONCE = 16;
/** Read at once out of the pack. */
const READ_AT_ONCE = 1024;
/** In steps of `WorkSlices`. */
const ENTRY_STEPS = 5;
const CRC_BYTES_A_STEP = 1024;

interface PlacedIn {
  readonly store: BlobStore;
  readonly keys: RepositoryKeys;
  /** Of the manifest. */
  readonly packs: readonly ManifestPack[];
  readonly minPackBytes?: number | undefined;
  /** Whether to read the sidecars whole and replace those with damaged entries; a damaged table is found in any case. */
  readonly checksEntries?: boolean | undefined;
}

/** The sidecar of a pack. */
interface Sidecar {
  readonly store: BlobStore;
  readonly key: string;
  readonly packNumber: PackNumber;
  readonly recent: RecentObjects;
  /** By offset in the pack: numbers of its recent objects. */
  readonly numberAt: ReadonlyMap<number, ObjectNumber>;
  /** For a new one, in its order. */
  readonly numbers: Uint32Array;
}

/**
 * Writes the sidecars that large packs lack. One request for each large pack, and those that read and write what is lacking.
 * @param newest - Numbers among the recent objects.
 * @param objects - All of the repository.
 * @returns The same with the places of entries in the sidecars.
 */
export async function placeEntries(
  recent: RecentObjects,
  newest: Uint32Array,
  objects: PackedObjects,
  placedIn: PlacedIn,
): Promise<RecentObjects> {
  const placed: number[] = [];
  const starts: number[] = [];
  const sidecars = sidecarsOf(recent, newest, placedIn);
  const tables = await inBatches(sidecars, HEADS_AT_ONCE, readTable);
  // One after the other: each may be held in memory.
  for (const [i, sidecar] of sidecars.entries()) {
    const known = tables[i];
    const isKept = known !== "damaged" && known !== undefined && placedIn.checksEntries !== true;
    const table = isKept ? known : await checkOrWrite(sidecar, objects, known);
    if (table === undefined) continue;
    for (const { number, start } of placesOf(sidecar, table)) {
      placed.push(number);
      starts.push(start);
    }
  }
  return { ...recent, placed: Uint32Array.from(placed), placedStarts: Uint32Array.from(starts) };
}

function sidecarsOf(
  recent: RecentObjects,
  newest: Uint32Array,
  { store, keys, packs, minPackBytes = DEFAULT_MIN_PACK_BYTES }: PlacedIn,
): Sidecar[] {
  const packNumbers = packNumbersOf(recent);
  const sidecars: Sidecar[] = [];
  for (const [packNumber, pack] of packs.entries()) {
    if (pack.packBytes < minPackBytes) continue;
    const own = newest.filter((number) => packNumbers[number] === packNumber);
    if (own.length === 0) continue;
    const numberAt = new Map<number, ObjectNumber>();
    for (let number = packNumbers.indexOf(packNumber); packNumbers[number] === packNumber; number++)
      numberAt.set(recent.offsets[number] as number, number);
    const maxBytes = Math.min(MAX_SIDECAR_BYTES, pack.packBytes * MAX_SIDECAR_SHARE);
    const numbers = fitting(recent, own, maxBytes);
    sidecars.push({ store, key: keys.packNewest(pack.id), packNumber, recent, numberAt, numbers });
  }
  return sidecars;
}

/** Recent objects whose entries the sidecar has, and where in it. */
function* placesOf(
  { recent, numberAt }: Sidecar,
  table: NewestTable,
): Generator<{ readonly number: ObjectNumber; readonly start: number }, void, undefined> {
  let start = newestTableBytes(table.offsets.length);
  for (const [i, offsetBytes] of table.offsets.entries()) {
    const number = numberAt.get(offsetBytes);
    const lengthBytes = table.lengths[i] as number;
    if (number !== undefined && (recent.ends[number] as number) - offsetBytes === lengthBytes)
      yield { number, start };
    start += lengthBytes + 1;
  }
}

/** @returns `undefined` where there is none. */
async function readTable({ store, key }: Sidecar): Promise<NewestTable | "damaged" | undefined> {
  try {
    const head = await store.readUpTo(key, 0, HEAD_BYTES);
    const restBytes = newestTableBytesOf(head) - head.length;
    const rest = restBytes > 0 ? await store.readUpTo(key, head.length, restBytes) : new Uint8Array();
    return decodeNewestTable(restBytes > 0 ? Buffer.concat([head, rest]) : head);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    if (error instanceof CorruptPackError || error instanceof RangeError) return "damaged";
    throw error;
  }
}

/**
 * Writes over nothing but what is damaged: the recent objects of another writer name places in the sidecar.
 * @returns `undefined` where another writer's cannot be used.
 */
async function checkOrWrite(
  sidecar: Sidecar,
  objects: PackedObjects,
  known: NewestTable | "damaged" | undefined,
): Promise<NewestTable | undefined> {
  const { store, key } = sidecar;
  const stored = known && (await store.read(key).catch(insteadOf(NotFoundError, undefined)));
  if (stored !== undefined) {
    const table = await wholeTable(sidecar, stored.bytes, objects.slices);
    if (table !== undefined) return table;
  }
  try {
    return await writeSidecar(sidecar, objects, { ifVersion: stored?.version ?? "absent" });
  } catch (error) {
    if (!(error instanceof VersionConflictError)) throw error;
    const table = await readTable(sidecar);
    return table === "damaged" ? undefined : table;
  }
}

/** @returns `undefined` if the sidecar is damaged, as far as the recent objects tell. */
async function wholeTable(
  sidecar: Sidecar,
  bytes: Uint8Array,
  slices: WorkSlices,
): Promise<NewestTable | undefined> {
  const { crcs, offsets, ends } = sidecar.recent;
  try {
    const table = decodeNewestTable(bytes);
    for (const { number, start } of placesOf(sidecar, table)) {
      const entry = bytes.subarray(start, start + (ends[number] as number) - (offsets[number] as number));
      if (slices.isDue(ENTRY_STEPS + entry.length / CRC_BYTES_A_STEP)) await slices.pause();
      if (crc32(entry) !== crcs[number]) return undefined;
    }
    return table;
  } catch (error) {
    if (error instanceof CorruptPackError) return undefined;
    throw error;
  }
}

function fitting({ offsets, ends }: RecentObjects, numbers: Uint32Array, maxBytes: number): Uint32Array {
  let bytes = 0;
  const fits = numbers.filter((number) => {
    const entryBytes = 1 + (ends[number] as number) - (offsets[number] as number);
    if (entryBytes > MAX_ENTRY_BYTES || bytes + entryBytes > maxBytes) return false;
    bytes += entryBytes;
    return true;
  });
  return fits.subarray(0, MAX_NEWEST_ENTRIES);
}

/** @throws {VersionConflictError} */
async function writeSidecar(
  { store, key, packNumber, recent, numbers }: Sidecar,
  objects: PackedObjects,
  condition: WriteCondition,
): Promise<NewestTable> {
  const { packs, slices } = objects;
  const { ids } = recent;
  const offsets = Float64Array.from(numbers, (number) => recent.offsets[number] as number);
  const lengths = Uint32Array.from(
    numbers,
    (number) => (recent.ends[number] as number) - (recent.offsets[number] as number),
  );
  const head = encodeNewestTable({ offsets, lengths });
  const starts = new Map<number, number>();
  let bytes = head.length;
  for (const [i, number] of numbers.entries()) {
    starts.set(number, bytes);
    bytes += (lengths[i] as number) + 1;
  }
  const sidecar = new Uint8Array(bytes);
  sidecar.set(head);
  // In the order of the pack: neighbours are read together.
  const inOrder = numbers.slice().sort();
  for (let first = 0; first < inOrder.length; first += READ_AT_ONCE) {
    const batch = inOrder.subarray(first, first + READ_AT_ONCE);
    packs.readAhead(Array.from(batch, (number) => objects.find(ids, number * OBJECT_ID_BYTES)));
    for (const number of batch) {
      if (slices.isDue(ENTRY_STEPS)) await slices.pause();
      const offsetBytes = recent.offsets[number] as number;
      const lengthBytes = (recent.ends[number] as number) + 1 - offsetBytes;
      sidecar.set(
        await packs.readPackRange(packNumber, offsetBytes, lengthBytes),
        starts.get(number) as number,
      );
    }
  }
  await store.write(key, sidecar, condition);
  return { offsets, lengths };
}
