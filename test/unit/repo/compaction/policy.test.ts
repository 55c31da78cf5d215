import { describe, expect, test } from "vitest";
import {
  chooseMerge,
  DEFAULT_COMPACTION_POLICY,
  dropDueAtMs,
  runsOf,
} from "../../../../lib/repo/compaction/policy.ts";

const MIB = 2 ** 20;
const sizes = (...mebibytes: number[]) => mebibytes.map((size) => ({ packBytes: size * MIB }));
const POLICY = { ...DEFAULT_COMPACTION_POLICY, keepRecent: 2, minMerged: 3, smallPackBytes: MIB };

describe("which packs are merged", () => {
  test.each([
    ["none of a few", [100, 1, 1, 1, 1], undefined],
    ["the small ones behind a large one", [100, 1, 1, 1, 9, 9], { start: 1, end: 4 }],
    [
      "a large one too, once the others have grown to half of it",
      [100, 20, 20, 20, 9, 9],
      { start: 0, end: 4 },
    ],
    ["not one of exactly twice the others", [120, 20, 20, 20, 9, 9], { start: 1, end: 4 }],
    ["a small one before large ones, with all of these", [1, 100, 30, 10, 3, 9, 9], { start: 0, end: 5 }],
    ["none of a geometric row", [1000, 300, 100, 30, 10, 3, 9, 9], undefined],
    ["tiny packs by their number", [100, 0.001, 0.001, 0.001, 9, 9], { start: 1, end: 4 }],
  ])("%s", (_name, packs, run) => {
    expect(chooseMerge(sizes(...packs), POLICY)).toEqual(run);
  });

  test("none where there is none", () => {
    expect(chooseMerge([], POLICY)).toBeUndefined();
    expect(chooseMerge(sizes(1), { ...POLICY, keepRecent: 0, minMerged: 0 })).toBeUndefined();
  });

  test("with 5,000 pushes there are ever few packs, and a byte is copied a few times", () => {
    let packs = [{ packBytes: 400 * MIB }];
    let pushedBytes = 0;
    let copiedBytes = 0;
    let mostPacks = 0;
    for (let push = 0; push < 5000; push++) {
      // Sizes from 1 KiB to 4 MiB, in no order.
      const packBytes = 1024 * 2 ** ((push * 7919) % 13);
      packs.push({ packBytes });
      pushedBytes += packBytes;
      const run = chooseMerge(packs, DEFAULT_COMPACTION_POLICY);
      if (run === undefined) continue;
      const merged = packs.slice(run.start, run.end).reduce((sum, pack) => sum + pack.packBytes, 0);
      copiedBytes += merged;
      packs = [...packs.slice(0, run.start), { packBytes: merged }, ...packs.slice(run.end)];
      mostPacks = Math.max(mostPacks, packs.length);
    }
    expect(mostPacks).toBeLessThanOrEqual(14);
    expect(copiedBytes / pushedBytes).toBeLessThan(12);
  });
});

test("runs are as long as they can be", () => {
  expect(runsOf([])).toEqual([]);
  expect(runsOf([true, true, false, true])).toEqual([
    { start: 0, end: 2 },
    { start: 3, end: 4 },
  ]);
});

test("what is dropped for the first time is due at once; then the bytes count", () => {
  const policy = { ...POLICY, droppedBytesPerDay: 1000 };
  expect(dropDueAtMs(undefined, 1e12, policy)).toBe(0);
  const droppedAt = "2026-01-01T00:00:00Z";
  expect(dropDueAtMs(droppedAt, 0, policy)).toBe(Date.parse(droppedAt));
  expect(dropDueAtMs(droppedAt, 500, policy)).toBe(Date.parse("2026-01-01T12:00:00Z"));
  expect(new Date(dropDueAtMs(droppedAt, 1e300, policy)).getTime()).toBeGreaterThan(0);
});
