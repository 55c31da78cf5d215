/**
 * Sidecars of large packs with the entries of their newest objects once more, see newest-entries.ts. Each is made once, when recent objects
 * are written, and goes with its pack. It may be deleted at any time: its entries are read out of the pack then.
 */
import { CorruptPackError, NotFoundError } from "../errors.ts";
import { OBJECT_ID_BYTES } from "../git/object-id.ts";
import type { PackNumber } from "../git/object-numbers.ts";
import type { PackedObjects } from "../git/ports.ts";
import { packNumbersOf } from "../git/recent/hold-entries.ts";
import {
  decodeNewestTable,
  encodeNewestTable,
  MAX_NEWEST_ENTRIES,
  MAX_NEWEST_TABLE_BYTES,
  type NewestTable,
  newestTableBytes,
} from "../git/recent/newest-entries.ts";
import type { RecentObjects } from "../git/recent/recent-objects.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";

/** What is wanted of a smaller pack lies near enough together. */
const DEFAULT_MIN_PACK_BYTES = 4 * 1024 * 1024;
const MAX_SIDECAR_BYTES = 40 * 1024 * 1024;
/** Of the pack. */
const MAX_SIDECAR_SHARE = 1 / 4;
/** A larger one is worth a request. */
const MAX_ENTRY_BYTES = 256 * 1024;
/** Read at once out of the pack. */
const READ_AT_ONCE = 1024;
/** In steps of `WorkSlices`. */
const ENTRY_STEPS = 5;

interface PlacedIn {
  readonly store: BlobStore;
  readonly keys: RepositoryKeys;
  /** Of the manifest. */
  readonly packs: readonly ManifestPack[];
  readonly minPackBytes?: number | undefined;
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
  { store, keys, packs, minPackBytes = DEFAULT_MIN_PACK_BYTES }: PlacedIn,
): Promise<RecentObjects> {
  const packNumbers = packNumbersOf(recent);
  const placed: number[] = [];
  const starts: number[] = [];
  for (const [packNumber, pack] of packs.entries()) {
    if (pack.packBytes < minPackBytes) continue;
    const key = keys.packNewest(pack.id);
    const own = newest.filter((number) => packNumbers[number] === packNumber);
    if (own.length === 0) continue;
    const maxBytes = Math.min(MAX_SIDECAR_BYTES, pack.packBytes * MAX_SIDECAR_SHARE);
    const table =
      (await readTable(store, key)) ??
      (await writeSidecar(store, key, objects, {
        packNumber,
        recent,
        numbers: fitting(recent, own, maxBytes),
      }));
    const firstNumber = packNumbers.indexOf(packNumber);
    const numberAt = new Map<number, number>();
    for (let number = firstNumber; packNumbers[number] === packNumber; number++)
      numberAt.set(recent.offsets[number] as number, number);
    let start = newestTableBytes(table.offsets.length);
    for (const [i, offsetBytes] of table.offsets.entries()) {
      const number = numberAt.get(offsetBytes);
      const lengthBytes = table.lengths[i] as number;
      if (number !== undefined && (recent.ends[number] as number) - offsetBytes === lengthBytes) {
        placed.push(number);
        starts.push(start);
      }
      start += lengthBytes + 1;
    }
  }
  return { ...recent, placed: Uint32Array.from(placed), placedStarts: Uint32Array.from(starts) };
}

/** @returns `undefined` where there is none, or it is damaged. */
async function readTable(store: BlobStore, key: string): Promise<NewestTable | undefined> {
  try {
    return decodeNewestTable(await store.readUpTo(key, 0, MAX_NEWEST_TABLE_BYTES));
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof CorruptPackError) return undefined;
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

interface SidecarContent {
  readonly packNumber: PackNumber;
  readonly recent: RecentObjects;
  /** In the order of the sidecar. */
  readonly numbers: Uint32Array;
}

async function writeSidecar(
  store: BlobStore,
  key: string,
  objects: PackedObjects,
  { packNumber, recent, numbers }: SidecarContent,
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
  await store.write(key, sidecar);
  return { offsets, lengths };
}
