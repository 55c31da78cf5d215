/** Reads chosen entries of packs in pack order. */
import type { PackedObjects, PackReader } from "../ports.ts";
import { readCachedWindows } from "./cached-windows.ts";
import type { EntryWindow } from "./entry-window.ts";
import { planRanges, readStreamedWindows } from "./streamed-windows.ts";

/** More than this would push out of memory what other answers share. */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;

export interface EntryReading {
  readonly windows: AsyncGenerator<EntryWindow, void, undefined>;
  /** Whether they come out of what is kept at hand of packs, so that it is of use to have them read ahead. */
  readonly isCached: boolean;
}

/** @param objectNumbers - In the order of packs and offsets. */
export async function planEntryReading(
  { packs, slices }: PackedObjects,
  objectNumbers: Uint32Array,
): Promise<EntryReading> {
  const { segments, entryBytes } = await planRanges(packs, objectNumbers, slices);
  return entryBytes > MAX_KEPT_BYTES
    ? { windows: readStreamedWindows(packs, objectNumbers, segments), isCached: false }
    : { windows: readCachedWindows(packs, objectNumbers), isCached: true };
}

/** @param objectNumbers - In the order of packs and offsets. */
export async function* readEntryWindows(
  objects: PackedObjects,
  objectNumbers: Uint32Array,
): AsyncGenerator<EntryWindow, void, undefined> {
  yield* (await planEntryReading(objects, objectNumbers)).windows;
}

/** The rest of an entry that is larger than a window. */
export function readRest(
  packs: PackReader,
  { packNumber, offsetBytes, bytes }: EntryWindow,
  endBytes: number,
): AsyncIterable<Uint8Array> {
  const startBytes = offsetBytes + bytes.length;
  return packs.streamPackRange(packNumber, startBytes, endBytes - startBytes);
}
