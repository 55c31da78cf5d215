/** How large the slices of an import are: whenever they are cut, what is lost is less than the repository. */
import { expect, test } from "vitest";
import {
  afterCut,
  afterSlice,
  DEFAULT_SLICE_LIMITS,
  firstSliceSize,
  stepCountOf,
} from "../../../lib/sync/slice-size.ts";
import { Random } from "../../support/differential/random.ts";

const STEPS = 4096;

/** @param cuts - Whether the slice at hand is cut, at its very end. @returns What was fetched, in parts of the whole. */
function fetchedShare(totalBytes: number, cuts: (kept: number) => boolean): number {
  const stepBytes = totalBytes / STEPS;
  let size = firstSliceSize(totalBytes, STEPS, DEFAULT_SLICE_LIMITS);
  let fetchedBytes = 0;
  let doneSteps = 0;
  let lastCount: number | undefined;
  while (doneSteps < STEPS) {
    const count = Math.min(stepCountOf(size, lastCount), STEPS - doneSteps);
    fetchedBytes += count * stepBytes;
    if (cuts(doneSteps)) {
      size = afterCut(size, DEFAULT_SLICE_LIMITS);
      continue;
    }
    size = afterSlice(size, count, count * stepBytes, DEFAULT_SLICE_LIMITS);
    doneSteps += count;
    lastCount = count;
  }
  return fetchedBytes / totalBytes;
}

test.each([2 ** 28, 2 ** 30, 2 ** 32])(
  "of %d bytes, 30 cuts at the worst times lose less than that",
  (bytes) => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      const probability = random.below(100) / 100;
      let left = 30;
      const share = fetchedShare(bytes, () => random.chance(probability) && left-- > 0);
      expect(share, `seed ${seed}`).toBeLessThan(2);
    }
    // Each time that slices have grown.
    let whole = 0;
    let left = 30;
    const share = fetchedShare(bytes, () => {
      whole += 1;
      if (whole % 9 !== 0 || left === 0) return false;
      left -= 1;
      return true;
    });
    expect(share).toBeLessThan(2);
  },
);

test("a step that is larger than was thought does not make the next slice huge", () => {
  const size = { sliceBytes: 2 ** 28, wholeSlices: 0, bytesPerStep: 1 };
  expect(stepCountOf(size, 3)).toBe(12);
  expect(stepCountOf({ ...size, bytesPerStep: 2 ** 40 }, 3)).toBe(1);
});

test("an unknown size: slices that a primary sends in some seconds", () => {
  expect(firstSliceSize(undefined, STEPS, DEFAULT_SLICE_LIMITS)).toMatchObject({ sliceBytes: 2 ** 25 });
});
