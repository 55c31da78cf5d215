/** A stretch of a pack with the entries in it that are to be copied. */
import type { ObjectNumber, PackNumber } from "../object-numbers.ts";
import type { EntryPlaces, PackReader } from "../ports.ts";

export const MAX_WINDOW_BYTES = 1024 * 1024;
/** Entries that are located at once: a slow client must not keep the places of all entries in memory. */
const LOCATED_AT_ONCE = 4096;

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

export function* locateInSlices(packs: PackReader, objectNumbers: Uint32Array): Generator<EntryPlaces, void> {
  for (let start = 0; start < objectNumbers.length; start += LOCATED_AT_ONCE)
    yield packs.locate(objectNumbers.subarray(start, start + LOCATED_AT_ONCE));
}

/** What a window has of one entry. */
export interface WindowEntry {
  readonly objectNumber: ObjectNumber;
  readonly offsetBytes: number;
  readonly endBytes: number;
  readonly bytes: Uint8Array;
  readonly isWhole: boolean;
}

export function entryAt(
  { places, offsetBytes: windowBytes, bytes: held }: EntryWindow,
  place: number,
): WindowEntry {
  const objectNumber = places.objectNumbers[place] as number;
  const offsetBytes = places.offsets[place] as number;
  const endBytes = places.ends[place] as number;
  const bytes = held.subarray(offsetBytes - windowBytes, endBytes - windowBytes);
  return { objectNumber, offsetBytes, endBytes, bytes, isWhole: bytes.length === endBytes - offsetBytes };
}
