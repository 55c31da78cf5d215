import { expect, test } from "vitest";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import type { UploadPackSource } from "../../../../lib/git/ports.ts";
import type { FetchRequest } from "../../../../lib/git/upload-pack/fetch-request.ts";
import type { PackPlan } from "../../../../lib/git/upload-pack/plan.ts";
import { maxPlanBytes, namedCountOf, planHeldBytes } from "../../../../lib/git/upload-pack/plan-memory.ts";

const MIB = 1024 * 1024;
const sourceOf = (objectCount: number) => ({ objectCount }) as UploadPackSource;
const ids = (count: number) =>
  Array<ReturnType<typeof parseObjectId>>(count).fill(parseObjectId("a".repeat(40)));

test("a plan takes what its repository and its request need: an ordinary clone is small", () => {
  expect(maxPlanBytes(sourceOf(1_000), 1)).toBeLessThan(2 * MIB);
  expect(maxPlanBytes(sourceOf(400_000), 1)).toBeLessThan(8 * MIB);
  expect(maxPlanBytes(sourceOf(30_000_000), 1)).toBeLessThan(17 * MIB);
});

test("all that a request names counts: 20,000 shallow lines take some MB", () => {
  const request = { wants: ids(1), haves: ids(2), shallows: ids(20_000) } as unknown as FetchRequest;
  expect(namedCountOf(request)).toBe(20_003);
  const plain = maxPlanBytes(sourceOf(120_000), 1);
  expect(maxPlanBytes(sourceOf(120_000), namedCountOf(request)) - plain).toBeGreaterThan(6 * MIB);
});

test.each([100, 10_000, 120_000, 1_000_000])(
  "an answer of all %i objects takes no more than was planned",
  (count) => {
    const objectNumbers = new Uint32Array(count);
    const plan = { kind: "copy-entries", objects: sourceOf(count), objectNumbers } as unknown as PackPlan;
    expect(planHeldBytes(plan)).toBeLessThanOrEqual(maxPlanBytes(sourceOf(count), 0));
  },
);
