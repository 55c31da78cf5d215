import { expect, test } from "vitest";
import { NONE } from "../../../../lib/git/history/pack-history.ts";
import { OBJECT_TYPE } from "../../../../lib/git/pack/pack-format.ts";
import { newestOrder } from "../../../../lib/git/recent/newest-order.ts";
import type { RecentObjects } from "../../../../lib/git/recent/recent-objects.ts";
import { type TurnOwner, type Turns, WorkSlices } from "../../../../lib/git/work-slices.ts";

const TAGS = 60_000;

test("many tags of one commit take time in proportion, in many turns", { timeout: 15_000 }, async () => {
  const count = 4 + TAGS;
  const none = new Uint32Array(count).fill(NONE);
  const history: RecentObjects["history"] = {
    types: new Uint8Array(count)
      .fill(OBJECT_TYPE.tag)
      .fill(OBJECT_TYPE.commit, 0, 2)
      .fill(OBJECT_TYPE.tree, 2, 4),
    sizes: new Uint32Array(count),
    ...{ deltaBases: none, predecessors: none },
    ...{ commitObjects: Uint32Array.of(0, 1), commitTrees: Uint32Array.of(2, 3) },
    seconds: Float64Array.of(1, 2),
    ...{ parentEnds: Uint32Array.of(0, 1), parents: Uint32Array.of(0) },
    ...{ introducedEnds: Uint32Array.of(0, 1), introduced: Uint32Array.of(3) },
    tagTargets: new Uint32Array(TAGS).fill(1),
    ...{ treeKinds: new Uint8Array(2), treeChangeEnds: new Uint32Array(2) },
    ...{ treeChanges: new Uint32Array(0), externalIds: new Uint8Array(0) },
  };
  let pauses = 0;
  let steps = 0;
  const turns: Turns = {
    ownerOf: () => ({}) as TurnOwner,
    spend: (spent) => {
      steps += spent;
      return steps >= 5000;
    },
    next: async () => {
      pauses += 1;
      steps = 0;
    },
  };
  const order = await newestOrder({ history } as RecentObjects, 1, new WorkSlices({ turns }));
  expect(order.withBases).toHaveLength(TAGS + 2);
  expect(Array.from(order.withBases.subarray(0, 3))).toEqual([1, 4, 5]);
  expect(pauses).toBeGreaterThan(5);
});
