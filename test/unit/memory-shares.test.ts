import { expect, test } from "vitest";
import { memoryShares, processMemoryBytes } from "../../lib/memory-shares.ts";

const MIB = 1024 * 1024;
const sum = (totalMib: number) => {
  const { keptBodies, ...shares } = memoryShares(totalMib * MIB);
  return Object.values(shares).reduce((total, bytes) => total + bytes, 3 * keptBodies) / MIB;
};

test.each([512, 768, 1024, 2048, 16_384])(
  "of %i MiB, all parts together leave room for the process",
  (totalMib) => {
    expect(sum(totalMib)).toBeLessThanOrEqual(totalMib - 256);
  },
);

test("with enough memory the parts are what they are without a limit", () => {
  expect(memoryShares(2048 * MIB)).toEqual(memoryShares(64_000 * MIB));
  expect(memoryShares(2048 * MIB).plans).toBe(320 * MIB);
});

test("this process has some", () => {
  expect(processMemoryBytes()).toBeGreaterThan(100 * MIB);
});
