/** Reads a large part of packs in order: as few long streams as the gaps allow, of which nothing is kept at hand. */
import type { EntryPlaces, PackReader } from "../ports.ts";
import type { WorkSlices } from "../work-slices.ts";
import { type EntryWindow, locateInSlices, MAX_WINDOW_BYTES } from "./entry-window.ts";
import {
  type OpenRange,
  RangePlan,
  type RangeReader,
  RangeStreams,
  type ReadRange,
} from "./range-coalescing.ts";

/** In a step of `WorkSlices`. */
const LOCATED_A_STEP = 10;

/**
 * As `readEntryWindows`.
 * @param segments - From `planRanges`, of the same objects.
 */
export async function* readStreamedWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
  segments: readonly ReadRange[],
): AsyncGenerator<EntryWindow, void> {
  const open: OpenRange = ({ packNumber, offsetBytes, endBytes }) =>
    packs.streamPackRange(packNumber, offsetBytes, endBytes - offsetBytes);
  await using streams = new RangeStreams(segments, open, packs.streamBudget);
  let segment = 0;
  for (const places of locateInSlices(packs, objectNumbers)) {
    for (let first = 0; first < places.offsets.length; ) {
      if (!holds(segments[segment], places, first)) segment += 1;
      const window = await windowFrom(await streams.reader(segment), places, first);
      first = window.end;
      yield window;
    }
  }
}

/** @returns Also the sum of the entries' lengths. */
export async function planRanges(
  packs: PackReader,
  objectNumbers: Uint32Array,
  slices: WorkSlices,
): Promise<{ readonly segments: readonly ReadRange[]; readonly entryBytes: number }> {
  const plan = new RangePlan();
  let entryBytes = 0;
  for (const { packNumbers, offsets, ends } of locateInSlices(packs, objectNumbers)) {
    const pause = slices.spend(offsets.length / LOCATED_A_STEP);
    if (pause !== undefined) await pause;
    for (let i = 0; i < offsets.length; i++) {
      const offsetBytes = offsets[i] as number;
      const endBytes = ends[i] as number;
      entryBytes += endBytes - offsetBytes;
      plan.add(packNumbers[i] as number, offsetBytes, Math.min(endBytes, offsetBytes + MAX_WINDOW_BYTES));
    }
  }
  return { segments: plan.segments, entryBytes };
}

function holds(
  segment: ReadRange | undefined,
  { packNumbers, offsets }: EntryPlaces,
  place: number,
): boolean {
  if (segment === undefined) return false;
  return segment.packNumber === packNumbers[place] && (offsets[place] as number) < segment.endBytes;
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
