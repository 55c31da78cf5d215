/**
 * The size of a large import's slices. A slice that is cut is lost, and the next ones are half as large: so the loss is bounded by
 * the first slice and a fraction of what was stored.
 */
import type { ImportNotes } from "../repo/import-notes.ts";

export type SliceLimits = Readonly<typeof DEFAULT_SLICE_LIMITS>;

export const DEFAULT_SLICE_LIMITS = {
  /** Share of the whole for the first slice, which is lost at most once. The second one is twice as large. */
  firstShare: 1 / 8,
  minBytes: 2 ** 20,
  /** Fetched and indexed in a minute or two. Smaller ones cost more: each stores again, whole, what its deltas build on. */
  maxBytes: 2 ** 29,
  /** Number of whole slices after which the size doubles: a lost one is then a fraction of what these stored. */
  growAfter: 8,
};

/** Where the size of the repository is unknown. */
const UNKNOWN_FIRST_BYTES = 2 ** 25;

type SliceSize = Pick<ImportNotes, "sliceBytes" | "wholeSlices" | "bytesPerStep">;

/** @param expectedBytes - Of the whole repository. */
export function firstSliceSize(
  expectedBytes: number | undefined,
  stepCount: number,
  { firstShare, minBytes, maxBytes, growAfter }: SliceLimits,
): SliceSize {
  const bytes = expectedBytes === undefined ? UNKNOWN_FIRST_BYTES : expectedBytes * firstShare;
  const sliceBytes = Math.round(Math.min(maxBytes, Math.max(minBytes, bytes)));
  // Size unknown: `firstShare` of the steps.
  const bytesPerStep = Math.max(1, (expectedBytes ?? sliceBytes / firstShare) / stepCount);
  return { sliceBytes, wholeSlices: growAfter - 1, bytesPerStep };
}

export function afterCut({ sliceBytes, bytesPerStep }: SliceSize, { minBytes }: SliceLimits): SliceSize {
  return { sliceBytes: Math.max(minBytes, Math.ceil(sliceBytes / 2)), wholeSlices: 0, bytesPerStep };
}

export function afterSlice(
  { sliceBytes, wholeSlices }: SliceSize,
  stepCount: number,
  receivedBytes: number,
  { maxBytes, growAfter }: SliceLimits,
): SliceSize {
  const bytesPerStep = Math.max(1, receivedBytes / stepCount);
  const grows = wholeSlices + 1 >= growAfter;
  return {
    sliceBytes: grows ? Math.min(maxBytes, sliceBytes * 2) : sliceBytes,
    wholeSlices: grows ? 0 : wholeSlices + 1,
    bytesPerStep,
  };
}

/** A step's size is estimated from earlier ones, so a slice has at most four times as many steps as the last one. */
const MAX_STEP_GROWTH = 4;

/** @param lastCount - Steps of the slice before, if there was one. */
export function stepCountOf({ sliceBytes, bytesPerStep }: SliceSize, lastCount: number | undefined): number {
  const count = Math.max(1, Math.floor(sliceBytes / bytesPerStep));
  return lastCount === undefined ? count : Math.min(count, lastCount * MAX_STEP_GROWTH);
}
