/** Which ids count as left out, however many there are. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { leftOutCommits, mayBeLeftOut } from "../../../../lib/git/history/left-out-commits.ts";
import { parseObjectId } from "../../../../lib/git/object-id.ts";

const idOf = (number: number) => parseObjectId(createHash("sha1").update(String(number)).digest("hex"));
const idsUpTo = (count: number) => Array.from({ length: count }, (_, number) => idOf(number));

test.each([
  { count: 0, foreign: 0, most: 0 },
  { count: 1000, foreign: 0, most: 1000 },
  { count: 60_000, foreign: 100, most: 60_000 },
])("of $count all are, and few others", async ({ count, foreign, most }) => {
  const leftOut = leftOutCommits(idsUpTo(count));
  expect(leftOut.prefixes.length).toBeLessThanOrEqual(most);
  for (let number = 0; number < count; number += 7) expect(mayBeLeftOut(leftOut, idOf(number))).toBe(true);
  let seeming = 0;
  for (let number = 1_000_000; number < 1_001_000; number++)
    if (mayBeLeftOut(leftOut, idOf(number))) seeming++;
  expect(seeming).toBeLessThanOrEqual(foreign);
});

test("of too many everything may be one, in no room", () => {
  const ids = new Array(500_001).fill(idOf(1));
  const leftOut = leftOutCommits(ids);
  expect(leftOut.prefixes.length).toBe(1);
  expect(mayBeLeftOut(leftOut, idOf(2))).toBe(true);
});
