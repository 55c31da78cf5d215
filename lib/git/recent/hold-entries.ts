/**
 * Puts the entries of the newest objects beside the recent ones: a small fetch then reads no pack.
 */
import { OBJECT_ID_BYTES } from "../object-id.ts";
import type { PackedObjects } from "../ports.ts";
import type { RecentObjects } from "./recent-objects.ts";

const DEFAULT_MAX_HELD_BYTES = 256 * 1024;
/** Of one entry: a larger one is worth a request. */
const MAX_ENTRY_BYTES = 64 * 1024;
/** In steps of `WorkSlices`. */
const ENTRY_STEPS = 10;

/**
 * @param newest - Numbers among the recent objects.
 * @param objects - All of the repository.
 * @returns The same with entries.
 */
export async function holdEntries(
  recent: RecentObjects,
  newest: Uint32Array,
  objects: PackedObjects,
  maxHeldBytes = DEFAULT_MAX_HELD_BYTES,
): Promise<RecentObjects> {
  const { packs, slices } = objects;
  const { ids, offsets, ends } = recent;
  const held: number[] = [];
  let heldBytes = 0;
  for (const number of newest) {
    const entryBytes = 1 + (ends[number] as number) - (offsets[number] as number);
    if (entryBytes > MAX_ENTRY_BYTES) continue;
    if (heldBytes + entryBytes > maxHeldBytes) break;
    held.push(number);
    heldBytes += entryBytes;
  }
  const packNumbers = packNumbersOf(recent);
  packs.readAhead(held.map((number) => objects.find(ids, number * OBJECT_ID_BYTES)));
  const entries: Uint8Array[] = [];
  for (const number of held) {
    if (slices.isDue(ENTRY_STEPS)) await slices.pause();
    const offsetBytes = offsets[number] as number;
    const lengthBytes = (ends[number] as number) + 1 - offsetBytes;
    entries.push(await packs.readPackRange(packNumbers[number] as number, offsetBytes, lengthBytes));
  }
  return { ...recent, held: Uint32Array.from(held), entries: Buffer.concat(entries) };
}

/** By number: the pack that the object is taken from. */
export function packNumbersOf({ packCounts, crcs }: RecentObjects): Uint32Array {
  const packNumbers = new Uint32Array(crcs.length);
  let first = 0;
  for (const [packNumber, count] of packCounts.entries()) {
    packNumbers.fill(packNumber, first, first + count);
    first += count;
  }
  return packNumbers;
}
