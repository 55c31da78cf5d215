/**
 * Reads chosen entries of packs in pack order, in windows: stretches of a pack with the entries in them that are to be copied.
 * A small part is read through what is kept at hand of packs, many entries with one read and the next reads while one is used;
 * a large one as few long streams as the gaps allow, of which nothing is kept.
 */
import type { PackNumber } from "../object-numbers.ts";
import type { EntryPlaces, PackedObjects, PackReader } from "../ports.ts";
import type { WorkSlices } from "../work-slices.ts";
import { addRange, type RangeReader, RangeStreams, type ReadRange } from "./range-coalescing.ts";

/** More than this would push out of memory what other answers share. */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;
export const MAX_WINDOW_BYTES = 1024 * 1024;
/** Entries that are located at once: a slow client must not keep the places of all entries in memory. */
const LOCATED_AT_ONCE = 4096;
/** In a step of `WorkSlices`. */
const LOCATED_A_STEP = 10;
/** Read over rather than skip: less than a block of the cache of packs, which reads over it as well. */
const MAX_GAP_BYTES = 16 * 1024;
/** Reads under way: a store that takes 20 ms to answer is to be asked for all of a usual answer in few rounds. */
const MAX_READS_AHEAD = 48;
/** What a slow client holds of them. */
const MAX_BYTES_AHEAD = 2 * 1024 * 1024;

/** Bytes of a pack with whole entries; of an entry larger than a window, its first bytes. */
export interface EntryWindow {
  readonly places: EntryPlaces;
  /** Among `places`. */
  readonly first: number;
  readonly end: number;
  readonly packNumber: PackNumber;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
  /** Part of a copy so large that the client verifies its objects, as with whole packs, unless it is stored for others. */
  readonly isUnchecked: boolean;
}

/**
 * @param objectNumbers - In the order of packs and offsets.
 * @returns `isCached`: whether the windows are read through the cache of packs, so that reading ahead helps.
 */
export async function planEntryReading(
  { packs, slices }: PackedObjects,
  objectNumbers: Uint32Array,
): Promise<{ readonly windows: AsyncGenerator<EntryWindow, void>; readonly isCached: boolean }> {
  const { ranges, entryBytes } = await planRanges(packs, objectNumbers, slices);
  return entryBytes > MAX_KEPT_BYTES
    ? { windows: readStreamedWindows(packs, objectNumbers, ranges), isCached: false }
    : { windows: readCachedWindows(packs, objectNumbers), isCached: true };
}

function* locateInSlices(packs: PackReader, objectNumbers: Uint32Array): Generator<EntryPlaces, void> {
  for (let start = 0; start < objectNumbers.length; start += LOCATED_AT_ONCE)
    yield packs.locate(objectNumbers.subarray(start, start + LOCATED_AT_ONCE));
}

type PlannedWindow = Omit<EntryWindow, "bytes" | "isUnchecked"> & { readonly lengthBytes: number };

export async function* readCachedWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
): AsyncGenerator<EntryWindow, void> {
  const planned = planWindows(packs, objectNumbers);
  const reading: { readonly window: PlannedWindow; readonly bytes: Promise<Uint8Array> }[] = [];
  let bytesAhead = 0;
  const readMore = (): void => {
    while (reading.length < MAX_READS_AHEAD && bytesAhead < MAX_BYTES_AHEAD) {
      const next = planned.next();
      if (next.done === true) return;
      const { packNumber, offsetBytes, lengthBytes } = next.value;
      const bytes = packs.readPackRange(packNumber, offsetBytes, lengthBytes).then(ownBytes);
      bytes.catch(() => undefined); // The reader of the window gets the error.
      reading.push({ window: next.value, bytes });
      bytesAhead += lengthBytes;
    }
  };
  readMore();
  for (let next = reading.shift(); next !== undefined; next = reading.shift()) {
    const bytes = await next.bytes;
    bytesAhead -= bytes.length;
    readMore();
    yield { ...next.window, bytes, isUnchecked: false };
  }
}

/** A view of a block keeps all of it in memory, also after its eviction from the cache. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length < bytes.buffer.byteLength / 2 ? new Uint8Array(bytes) : bytes;
}

function* planWindows(packs: PackReader, objectNumbers: Uint32Array): Generator<PlannedWindow, void> {
  for (const places of locateInSlices(packs, objectNumbers)) {
    const { packNumbers, offsets, ends, objectNumbers: numbers } = places;
    for (let first = 0; first < offsets.length; ) {
      const packNumber = packNumbers[first] as number;
      const offsetBytes = offsets[first] as number;
      let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
      let end = first + 1;
      for (; end < offsets.length; end++) {
        const isNear =
          packNumbers[end] === packNumber && (offsets[end] as number) - endBytes <= MAX_GAP_BYTES;
        if (!isNear || (ends[end] as number) - offsetBytes > MAX_WINDOW_BYTES) break;
        if (packs.isApart?.(numbers[end - 1] as number, numbers[end] as number)) break;
        endBytes = ends[end] as number;
      }
      yield { places, first, end, packNumber, offsetBytes, lengthBytes: endBytes - offsetBytes };
      first = end;
    }
  }
}

/** @returns Also the sum of the entries' lengths. */
export async function planRanges(
  packs: PackReader,
  objectNumbers: Uint32Array,
  slices: WorkSlices,
): Promise<{ readonly ranges: readonly ReadRange[]; readonly entryBytes: number }> {
  const ranges: ReadRange[] = [];
  let entryBytes = 0;
  for (const { packNumbers, offsets, ends } of locateInSlices(packs, objectNumbers)) {
    if (slices.isDue(offsets.length / LOCATED_A_STEP)) await slices.pause();
    for (let i = 0; i < offsets.length; i++) {
      const offsetBytes = offsets[i] as number;
      const endBytes = ends[i] as number;
      entryBytes += endBytes - offsetBytes;
      const windowEndBytes = Math.min(endBytes, offsetBytes + MAX_WINDOW_BYTES);
      addRange(ranges, packNumbers[i] as number, offsetBytes, windowEndBytes);
    }
  }
  return { ranges, entryBytes };
}

/** @param ranges - From `planRanges`, of the same objects. */
export async function* readStreamedWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
  ranges: readonly ReadRange[],
): AsyncGenerator<EntryWindow, void> {
  await using streams = new RangeStreams(
    ranges,
    ({ packNumber, offsetBytes, endBytes }) =>
      packs.streamPackRange(packNumber, offsetBytes, endBytes - offsetBytes),
    packs.streamBudget,
  );
  let range = 0;
  for (const places of locateInSlices(packs, objectNumbers)) {
    for (let first = 0; first < places.offsets.length; ) {
      const isInRange =
        ranges[range]?.packNumber === places.packNumbers[first] &&
        (places.offsets[first] as number) < (ranges[range]?.endBytes ?? 0);
      if (!isInRange) range += 1;
      const window = await windowFrom(await streams.reader(range), places, first);
      first = window.end;
      yield window;
    }
  }
}

/** The entries from `first` on that have come; the first one is waited for. */
async function windowFrom(reader: RangeReader, places: EntryPlaces, first: number): Promise<EntryWindow> {
  const { offsets, ends, packNumbers } = places;
  const packNumber = packNumbers[first] as number;
  const offsetBytes = offsets[first] as number;
  let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
  const bytes = await reader.fill(offsetBytes, endBytes - offsetBytes);
  let end = first + 1;
  for (; end < offsets.length; end++) {
    const isThere = packNumbers[end] === packNumber && (ends[end] as number) <= offsetBytes + bytes.length;
    if (!isThere) break;
    endBytes = ends[end] as number;
  }
  const windowBytes = bytes.subarray(0, endBytes - offsetBytes);
  return { places, first, end, packNumber, offsetBytes, bytes: windowBytes, isUnchecked: true };
}
