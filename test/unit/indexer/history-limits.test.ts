/** Histories that a few bytes make enormous. */
import { describe, expect, test } from "vitest";
import { DEFAULT_HISTORY_LIMITS } from "../../../lib/git/history/history-budget.ts";
import { TREE_KIND } from "../../../lib/git/history/pack-history.ts";
import { joinTreeRecords } from "../../../lib/git/history/tree-records.ts";
import type { ObjectId } from "../../../lib/git/object-id.ts";
import { indexBytes } from "../../support/indexed-bytes.ts";
import { commitText, objectIdOf, PackBuilder, treeBytes } from "../../support/pack-builder.ts";

const COMMIT_COUNT = 50;
const ENTRY_COUNT = 200;

/** Commits without parents, each of which introduces the same large tree. */
function rootCommits(): Uint8Array {
  const builder = new PackBuilder();
  const blob = new TextEncoder().encode("x");
  const blobId = objectIdOf("blob", blob);
  const tree = treeBytes(
    Array.from({ length: ENTRY_COUNT }, (_, i) => ({ mode: "100644", name: `file-${1000 + i}`, id: blobId })),
  );
  builder.whole("blob", blob);
  builder.whole("tree", tree);
  const treeId = objectIdOf("tree", tree);
  for (let i = 0; i < COMMIT_COUNT; i++) builder.whole("commit", commitText(treeId, [], `commit ${i}\n`));
  return builder.bytes();
}

describe("a pack whose history would take more than the limits allow", () => {
  test.each([
    ["bytes compared", { maxComparedBytes: 50 * 1024 }],
    ["bytes held together", { maxHeldBytes: 1024 }],
    ["objects introduced at once", { maxIntroducedAtOnce: COMMIT_COUNT }],
    ["objects introduced", { maxIntroduced: COMMIT_COUNT }],
  ])("is indexed without one: %s", async (_, limits) => {
    const indexed = await indexBytes(rootCommits(), {
      threadCount: 1,
      historyLimits: { ...DEFAULT_HISTORY_LIMITS, ...limits },
    });
    expect(indexed.objectCount).toBe(COMMIT_COUNT + 2);
    expect(indexed.built).toBeUndefined();
  });

  test("has one within them", async () => {
    const { built } = await indexBytes(rootCommits(), { threadCount: 1 });
    expect(built?.history.commitObjects.length).toBe(COMMIT_COUNT);
    expect(built?.history.introduced.length).toBe(2 * COMMIT_COUNT);
  });
});

describe("a pack whose trees would take more bytes than the limits allow", () => {
  /** Each commit has a tree of its own, all of whose files are others than before. */
  function changedFromEndToEnd(): Uint8Array {
    const builder = new PackBuilder();
    let parents: ObjectId[] = [];
    for (let commit = 0; commit < 10; commit++) {
      const files = Array.from({ length: 20 }, (_, i) => {
        const blob = new TextEncoder().encode(`${commit} ${i}`);
        builder.whole("blob", blob);
        return { mode: "100644", name: `file-${1000 + i}`, id: objectIdOf("blob", blob) };
      });
      builder.whole("tree", treeBytes(files));
      const text = commitText(objectIdOf("tree", treeBytes(files)), parents, `commit ${commit}\n`);
      builder.whole("commit", text);
      parents = [objectIdOf("commit", text)];
    }
    return builder.bytes();
  }

  /** By kind: how many trees. */
  async function kindsWithin(limits: Partial<typeof DEFAULT_HISTORY_LIMITS>): Promise<number[]> {
    const historyLimits = { ...DEFAULT_HISTORY_LIMITS, ...limits };
    const { built } = await indexBytes(changedFromEndToEnd(), { threadCount: 1, historyLimits });
    if (built === undefined) throw new Error("there is no history");
    const { types, predecessors } = built.history;
    const { treeKinds } = joinTreeRecords(
      built.treeRecords,
      types,
      predecessors.slice(),
      historyLimits.maxTreeChanges,
    );
    return Object.values(TREE_KIND).map((kind) => treeKinds.filter((other) => other === kind).length);
  }

  test("has a history that leaves some of them out", async () => {
    expect(await kindsWithin({})).toEqual([0, 1, 9]);
    // 20 entries of the first, and 40 changes to each of the next.
    expect(await kindsWithin({ maxTreeChangesAtOnce: 50 })).toEqual([8, 1, 1]);
    const [unknown = 0, whole = 0, changed = 0] = await kindsWithin({ maxTreeChanges: 100 });
    expect(unknown).toBeGreaterThan(5);
    expect(whole + changed).toBeGreaterThan(1);
  });
});
