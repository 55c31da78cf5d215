/** Reads chosen entries of packs in the order they lie in. */
import type { PackReader } from "../ports.ts";
import { readCachedWindows } from "./cached-windows.ts";
import type { EntryWindow } from "./entry-window.ts";
import { planSegments, readStreamedWindows } from "./streamed-windows.ts";

/** More than this would push out of memory what other answers share. */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;

/** @param objectNumbers - In the order of packs and offsets. */
export function readEntryWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
): AsyncGenerator<EntryWindow, void, undefined> {
  const { segments, entryBytes } = planSegments(packs, objectNumbers);
  return entryBytes > MAX_KEPT_BYTES
    ? readStreamedWindows(packs, objectNumbers, segments)
    : readCachedWindows(packs, objectNumbers);
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
