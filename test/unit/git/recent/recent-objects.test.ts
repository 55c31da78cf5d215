/** What is written of recent objects is read again, whatever the numbers; and nothing that was written for other refs or packs. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { NONE } from "../../../../lib/git/history/pack-history.ts";
import { OBJECT_TYPE } from "../../../../lib/git/pack/pack-format.ts";
import {
  decodeRecentObjects,
  encodeRecentObjects,
  type RecentObjects,
} from "../../../../lib/git/recent/recent-objects.ts";

const SUBJECT = createHash("sha256").update("refs and packs").digest();

/** Commits in a row, each with a tree; in one pack, wherever it ends. */
function recentOf(
  gaps: readonly number[],
  seconds: readonly number[],
  prefixes: readonly number[],
): RecentObjects {
  const commitCount = seconds.length;
  const count = 2 * commitCount;
  const offsets = new Float64Array(count);
  const ends = new Float64Array(count);
  let at = 12;
  for (let number = 0; number < count; number++) {
    offsets[number] = at + (gaps[number % gaps.length] ?? 0);
    ends[number] = (offsets[number] as number) + 1 + number;
    at = ends[number] as number;
  }
  const every = (of: (index: number) => number, length = count) =>
    Uint32Array.from({ length }, (_, i) => of(i));
  return {
    ids: new Uint8Array(
      createHash("shake256", { outputLength: 20 * count })
        .update("ids")
        .digest(),
    ),
    ...{ crcs: every((i) => 0xffffffff - i), packCounts: Uint32Array.of(0, count), offsets, ends },
    history: {
      types: Uint8Array.from({ length: count }, (_, i) =>
        i % 2 === 0 ? OBJECT_TYPE.commit : OBJECT_TYPE.tree,
      ),
      sizes: every((i) => (i === 0 ? 0xffffffff : i)),
      deltaBases: every((i) => (i % 3 === 2 ? i - 2 : NONE)),
      predecessors: every((i) => (i % 2 === 1 && i + 2 < count ? i + 2 : NONE)),
      commitObjects: every((i) => 2 * i, commitCount),
      commitTrees: every((i) => 2 * i + 1, commitCount),
      seconds: Float64Array.from(seconds),
      parentEnds: every((i) => i, commitCount),
      parents: every((i) => 2 * i, commitCount - 1),
      introducedEnds: every((i) => i + 1, commitCount),
      introduced: every((i) => 2 * i + 1, commitCount),
      tagTargets: new Uint32Array(0),
      ...{ treeKinds: new Uint8Array(commitCount), treeChangeEnds: new Uint32Array(commitCount) },
      ...{ treeChanges: new Uint32Array(0), externalIds: new Uint8Array(0) },
    },
    leftOut: { bits: 32, prefixes: Uint32Array.from(prefixes).sort() },
    ...{ placed: Uint32Array.of(0, 1), placedStarts: Uint32Array.of(1000, gaps.length) },
    ...{ held: Uint32Array.of(1), entries: Uint8Array.of(1, 2, 3) },
  };
}

test("they are read as they were written", async () => {
  const gaps = fc.array(fc.oneof(fc.nat(100), fc.nat(2 ** 40)), { minLength: 1, maxLength: 5 });
  const seconds = fc.array(fc.oneof(fc.integer(), fc.double({ noNaN: true })), {
    minLength: 1,
    maxLength: 20,
  });
  const prefixes = fc.array(fc.nat(0xffffffff), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(gaps, seconds, prefixes, async (...parts) => {
      const recent = recentOf(...parts);
      const bytes = await encodeRecentObjects(recent, SUBJECT);
      const decoded = await decodeRecentObjects(bytes, SUBJECT);
      expect(decoded).toEqual({
        ...recent,
        // Views into what was read.
        ids: Buffer.from(recent.ids),
        entries: Buffer.from(recent.entries),
      });
    }),
    { numRuns: 200 },
  );
});

test("those of other refs or packs are none", async () => {
  const bytes = await encodeRecentObjects(recentOf([0], [1, 2], []), SUBJECT);
  expect(await decodeRecentObjects(bytes, createHash("sha256").digest())).toBeUndefined();
});
