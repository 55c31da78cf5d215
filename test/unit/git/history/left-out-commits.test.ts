/** Which ids count as left out, however many there are. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { leftOutCommits, mayBeLeftOut } from "../../../../lib/git/history/left-out-commits.ts";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";

const idOf = (number: number) => parseObjectId(createHash("sha1").update(String(number)).digest("hex"));
const slices = new WorkSlices();

test.each([
  { count: 0, foreign: 0, most: 0 },
  { count: 1000, foreign: 0, most: 1000 },
  { count: 60_000, foreign: 100, most: 60_000 },
])("of $count all are, and few others", async ({ count, foreign, most }) => {
  const leftOut = await leftOutCommits(count, idOf, slices);
  expect(leftOut.prefixes.length).toBeLessThanOrEqual(most);
  for (let number = 0; number < count; number += 7) expect(mayBeLeftOut(leftOut, idOf(number))).toBe(true);
  let seeming = 0;
  for (let number = 1_000_000; number < 1_001_000; number++)
    if (mayBeLeftOut(leftOut, idOf(number))) seeming++;
  expect(seeming).toBeLessThanOrEqual(foreign);
});

test("of too many everything may be one, in no room", async () => {
  const leftOut = await leftOutCommits(500_001, () => idOf(1), slices);
  expect(leftOut.prefixes.length).toBe(1);
  expect(mayBeLeftOut(leftOut, idOf(2))).toBe(true);
});
