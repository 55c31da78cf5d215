/** Sorts what a request names: all at once, many strings would hold the event loop for 100 ms. */
import type { WorkSlices } from "./work-slices.ts";

/** Sorted at once; in each merge, how many are taken between pauses. */
const PIECE = 500;

/** @returns As `toSorted()` has them, in a new array. */
export async function sortInSlices<Text extends string>(
  texts: Iterable<Text>,
  slices: WorkSlices,
): Promise<Text[]> {
  const all = [...texts];
  let runs: Text[][] = [];
  for (let start = 0; start < all.length; start += PIECE) {
    await slices.spend(PIECE);
    runs.push(all.slice(start, start + PIECE).sort());
  }
  while (runs.length > 1) {
    const merged: Text[][] = [];
    for (let index = 0; index < runs.length; index += 2)
      merged.push(await merge(runs[index] ?? [], runs[index + 1] ?? [], slices));
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge<Text extends string>(
  left: readonly Text[],
  right: readonly Text[],
  slices: WorkSlices,
): Promise<Text[]> {
  const merged: Text[] = [];
  let fromLeft = 0;
  let fromRight = 0;
  while (fromLeft + fromRight < left.length + right.length) {
    if (merged.length % PIECE === 0) await slices.spend(PIECE);
    const nextLeft = left[fromLeft];
    const nextRight = right[fromRight];
    const takesLeft = nextRight === undefined || (nextLeft !== undefined && nextLeft <= nextRight);
    const next = takesLeft ? left[fromLeft++] : right[fromRight++];
    if (next !== undefined) merged.push(next);
  }
  return merged;
}
