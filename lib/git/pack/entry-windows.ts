/** Reads chosen entries of packs in the order they lie in: many with one read, and the next reads while one is used. */
import type { EntryPlaces, PackReader } from "../ports.ts";

/** Read over rather than skip: a request costs as much as reading this. */
const MAX_GAP_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 1024 * 1024;
/** More than this would push out of memory what other answers share. */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;
/** Reads under way: enough to keep a store busy that takes 20 ms to answer, few enough for a slow client to hold. */
const READS_AHEAD = 6;
/** Entries that are located at once: where all lie need not be in memory while a slow client takes them. */
const LOCATED_AT_ONCE = 4096;

/** Bytes of a pack with whole entries; of an entry larger than a window, its first bytes. */
export interface EntryWindow {
  readonly places: EntryPlaces;
  /** Among `places`. */
  readonly first: number;
  readonly end: number;
  readonly packNumber: number;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

type PlannedWindow = Omit<EntryWindow, "bytes"> & { readonly lengthBytes: number };
type ReadRange = PackReader["readPackRange"];

/** @param objectNumbers - In the order of packs and offsets. */
export async function* readEntryWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
): AsyncGenerator<EntryWindow, void, undefined> {
  const read: ReadRange = isLarge(packs, objectNumbers)
    ? (packNumber, offsetBytes, lengthBytes) => packs.readPackRangeOnce(packNumber, offsetBytes, lengthBytes)
    : (packNumber, offsetBytes, lengthBytes) => packs.readPackRange(packNumber, offsetBytes, lengthBytes);
  for await (const { range, bytes } of readAhead(planWindows(packs, objectNumbers), read, READS_AHEAD))
    yield { ...range, bytes };
}

interface PackRange {
  readonly packNumber: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

async function* readAhead<Range extends PackRange>(
  ranges: Iterator<Range, unknown>,
  read: ReadRange,
  maxReads: number,
): AsyncGenerator<{ readonly range: Range; readonly bytes: Uint8Array }, void, undefined> {
  const reading: { readonly range: Range; readonly bytes: Promise<Uint8Array> }[] = [];
  const readMore = (): void => {
    while (reading.length < maxReads) {
      const next = ranges.next();
      if (next.done === true) return;
      const range = next.value;
      const bytes = read(range.packNumber, range.offsetBytes, range.lengthBytes);
      bytes.catch(() => undefined); // told when its turn comes, which it may never
      reading.push({ range, bytes });
    }
  };
  readMore();
  for (let next = reading.shift(); next !== undefined; next = reading.shift()) {
    const bytes = await next.bytes;
    readMore();
    yield { range: next.range, bytes };
  }
}

function* locateInSlices(
  packs: PackReader,
  objectNumbers: Uint32Array,
): Generator<EntryPlaces, void, undefined> {
  for (let start = 0; start < objectNumbers.length; start += LOCATED_AT_ONCE)
    yield packs.locate(objectNumbers.subarray(start, start + LOCATED_AT_ONCE));
}

function isLarge(packs: PackReader, objectNumbers: Uint32Array): boolean {
  let bytes = 0;
  for (const { offsets, ends } of locateInSlices(packs, objectNumbers)) {
    for (let i = 0; i < offsets.length; i++) bytes += (ends[i] as number) - (offsets[i] as number);
    if (bytes > MAX_KEPT_BYTES) return true;
  }
  return false;
}

function* planWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
): Generator<PlannedWindow, void, undefined> {
  for (const places of locateInSlices(packs, objectNumbers)) {
    const { packNumbers, offsets, ends } = places;
    for (let first = 0; first < offsets.length; ) {
      const packNumber = packNumbers[first] as number;
      const offsetBytes = offsets[first] as number;
      let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
      let end = first + 1;
      for (; end < offsets.length; end++) {
        const isNear =
          packNumbers[end] === packNumber && (offsets[end] as number) - endBytes <= MAX_GAP_BYTES;
        if (!isNear || (ends[end] as number) - offsetBytes > MAX_WINDOW_BYTES) break;
        endBytes = ends[end] as number;
      }
      yield { places, first, end, packNumber, offsetBytes, lengthBytes: endBytes - offsetBytes };
      first = end;
    }
  }
}

/** The rest of an entry that is larger than a window. */
export async function* readRest(
  packs: PackReader,
  { packNumber, offsetBytes, bytes }: EntryWindow,
  endBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const read: ReadRange = (...range) => packs.readPackRangeOnce(...range);
  const ranges = pieces(packNumber, offsetBytes + bytes.length, endBytes);
  for await (const piece of readAhead(ranges, read, READS_AHEAD / 2)) yield piece.bytes;
}

function* pieces(
  packNumber: number,
  startBytes: number,
  endBytes: number,
): Generator<PackRange, void, undefined> {
  for (let offsetBytes = startBytes; offsetBytes < endBytes; offsetBytes += MAX_WINDOW_BYTES)
    yield { packNumber, offsetBytes, lengthBytes: Math.min(MAX_WINDOW_BYTES, endBytes - offsetBytes) };
}
