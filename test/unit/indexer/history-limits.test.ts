/** Histories that a few bytes make enormous. */
import { describe, expect, test } from "vitest";
import { DEFAULT_HISTORY_LIMITS } from "../../../lib/git/history/history-budget.ts";
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
