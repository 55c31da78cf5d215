/** The commits of branches that are not among the recent objects: a client that has one of them is answered from all objects. */
import type { ObjectId } from "../object-id.ts";
import { lowerBound } from "../pack/sorted-numbers.ts";
import type { WorkSlices } from "../work-slices.ts";

/** A set of ids in which some more seem to be. */
export interface LeftOutCommits {
  /** How many of an id's first bits count: up to 32. With 0 every id is in the set. */
  readonly bits: number;
  /** Those bits of each, as numbers, ascending. */
  readonly prefixes: Uint32Array;
}

const ID_BITS = 32;
/** Up to here 4 bytes each. */
const MAX_EXACT = 50_000;
/** Up to here about 5 bits each, and one of 16 other ids seems to be one of them. */
const MAX_ROUGH = 500_000;
const ROUGH_SHARE = 16;

/** In a step of `WorkSlices`, and in one go. */
const IDS_A_STEP = 2;
const IDS_AT_ONCE = 1000;

/** @param idOf - Of each number below `count`. */
export async function leftOutCommits(
  count: number,
  idOf: (number: number) => ObjectId,
  slices: WorkSlices,
): Promise<LeftOutCommits> {
  const bits = bitsFor(count);
  if (bits === 0) return { bits, prefixes: new Uint32Array(1) };
  const prefixes = new Uint32Array(count);
  for (let number = 0; number < count; number++) {
    if (number % IDS_AT_ONCE === 0) await slices.spend(IDS_AT_ONCE / IDS_A_STEP);
    prefixes[number] = prefixOf(idOf(number), bits);
  }
  await slices.spend(count / IDS_A_STEP);
  prefixes.sort();
  return { bits, prefixes: prefixes.filter((prefix, i) => i === 0 || prefix !== prefixes[i - 1]) };
}

/** Whether the id may be one of them. */
export function mayBeLeftOut({ bits, prefixes }: LeftOutCommits, id: ObjectId): boolean {
  const prefix = prefixOf(id, bits);
  return prefixes[lowerBound(prefixes, prefix)] === prefix;
}

function bitsFor(count: number): number {
  if (count <= MAX_EXACT) return ID_BITS;
  return count <= MAX_ROUGH ? Math.ceil(Math.log2(count * ROUGH_SHARE)) : 0;
}

function prefixOf(id: ObjectId, bits: number): number {
  return Math.floor(Number.parseInt(id.slice(0, 8), 16) / 2 ** (ID_BITS - bits));
}
