/**
 * How much of a large import is fetched at a time. A slice that was cut is lost, so the next ones are half as large: that
 * bounds what is lost by the first slice and a part of what was kept.
 */
import type { ImportNotes } from "../repo/import-notes.ts";

export interface SliceLimits {
  /** Of the whole: that is lost at most once, but for what the halves after it add. */
  readonly firstShare: number;
  readonly minBytes: number;
  /** Of a size that a primary sends, and this side indexes, in a minute or so. */
  readonly maxBytes: number;
  /** Whole slices after which they get twice as large. What may be lost then is a part of what these brought. */
  readonly growAfter: number;
}

export const DEFAULT_SLICE_LIMITS: SliceLimits = {
  firstShare: 1 / 16,
  minBytes: 2 ** 20,
  maxBytes: 2 ** 28,
  growAfter: 8,
};

/** Where the size of the repository is unknown. */
const UNKNOWN_FIRST_BYTES = 2 ** 25;

type SliceSize = Pick<ImportNotes, "sliceBytes" | "wholeSlices" | "bytesPerStep">;

/** @param expectedBytes - Of all. */
export function firstSliceSize(
  expectedBytes: number | undefined,
  stepCount: number,
  { firstShare, minBytes, maxBytes }: SliceLimits,
): SliceSize {
  const bytes = expectedBytes === undefined ? UNKNOWN_FIRST_BYTES : expectedBytes * firstShare;
  const sliceBytes = Math.round(Math.min(maxBytes, Math.max(minBytes, bytes)));
  // Unknown: a sixteenth of the steps.
  const bytesPerStep = Math.max(1, (expectedBytes ?? sliceBytes / firstShare) / stepCount);
  return { sliceBytes, wholeSlices: 0, bytesPerStep };
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

/** A step's size is a guess from the last ones, so a slice never has more than four times as many as that one had. */
const MAX_STEP_GROWTH = 4;

/** @param lastCount - Of the slice before, if there was one. */
export function stepCountOf({ sliceBytes, bytesPerStep }: SliceSize, lastCount: number | undefined): number {
  const count = Math.max(1, Math.floor(sliceBytes / bytesPerStep));
  return lastCount === undefined ? count : Math.min(count, lastCount * MAX_STEP_GROWTH);
}
