/** Reads chosen entries of packs in the order they lie in: many with one read, and the next reads while one is used. */
import type { EntryPlaces, PackReader } from "../ports.ts";

/** Read over rather than skip: a request costs as much as reading this. */
const MAX_GAP_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 1024 * 1024;
/** More than this would push out of memory what other answers share. */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;
/** Reads under way: enough to keep a store busy that takes 20 ms to answer, few enough for a slow client to hold. */
const READS_AHEAD = 6;

/** Bytes of a pack with whole entries; of an entry larger than a window, its first bytes. */
export interface EntryWindow {
  /** Places in the list of entries. */
  readonly first: number;
  readonly end: number;
  readonly packNumber: number;
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

type PlannedWindow = Omit<EntryWindow, "bytes"> & { readonly lengthBytes: number };

export async function* readEntryWindows(
  packs: PackReader,
  places: EntryPlaces,
): AsyncGenerator<EntryWindow, void, undefined> {
  const planned = planWindows(places);
  const isLarge = entryBytes(places) > MAX_KEPT_BYTES;
  const reading: { readonly window: PlannedWindow; readonly bytes: Promise<Uint8Array> }[] = [];
  const readMore = (): void => {
    while (reading.length < READS_AHEAD) {
      const { done, value: window } = planned.next();
      if (done === true) return;
      const { packNumber, offsetBytes, lengthBytes } = window;
      const bytes = isLarge
        ? packs.readPackRangeOnce(packNumber, offsetBytes, lengthBytes)
        : packs.readPackRange(packNumber, offsetBytes, lengthBytes);
      bytes.catch(() => undefined); // told when its turn comes, which it may never
      reading.push({ window, bytes });
    }
  };
  readMore();
  for (let next = reading.shift(); next !== undefined; next = reading.shift()) {
    const bytes = await next.bytes;
    readMore();
    yield { ...next.window, bytes };
  }
}

function entryBytes({ offsets, ends }: EntryPlaces): number {
  let bytes = 0;
  for (let i = 0; i < offsets.length; i++) bytes += (ends[i] as number) - (offsets[i] as number);
  return bytes;
}

function* planWindows({
  packNumbers,
  offsets,
  ends,
}: EntryPlaces): Generator<PlannedWindow, void, undefined> {
  for (let first = 0; first < offsets.length; ) {
    const packNumber = packNumbers[first] as number;
    const offsetBytes = offsets[first] as number;
    let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
    let end = first + 1;
    for (; end < offsets.length; end++) {
      const isNear = packNumbers[end] === packNumber && (offsets[end] as number) - endBytes <= MAX_GAP_BYTES;
      if (!isNear || (ends[end] as number) - offsetBytes > MAX_WINDOW_BYTES) break;
      endBytes = ends[end] as number;
    }
    yield { first, end, packNumber, offsetBytes, lengthBytes: endBytes - offsetBytes };
    first = end;
  }
}

/** The rest of an entry that is larger than a window. */
export async function* readRest(
  packs: PackReader,
  { packNumber, offsetBytes, bytes }: EntryWindow,
  endBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = offsetBytes + bytes.length; at < endBytes; ) {
    const lengthBytes = Math.min(MAX_WINDOW_BYTES, endBytes - at);
    yield await packs.readPackRange(packNumber, at, lengthBytes);
    at += lengthBytes;
  }
}
