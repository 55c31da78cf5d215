/** Loops over a request's lines count their work, so a request of many lines pauses for others. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObjectId } from "../../../../lib/git/object-id.ts";
import { FLUSH_PKT } from "../../../../lib/git/pktline.ts";
import { sortInSlices } from "../../../../lib/git/sort-in-slices.ts";
import { CommonHaves } from "../../../../lib/git/upload-pack/common-haves.ts";
import { LOOK_UP_STEPS } from "../../../../lib/git/upload-pack/find-refs.ts";
import { findMissingRef, listRefs } from "../../../../lib/git/upload-pack/ls-refs.ts";
import { encodeShallowLines, planShallow } from "../../../../lib/git/upload-pack/shallow.ts";
import { findPresent, findUnreachable } from "../../../../lib/git/walk/reachable.ts";
import { TurnOwner, WorkSlices } from "../../../../lib/git/work-slices.ts";
import { MemoryObjects } from "../../../support/memory-objects.ts";

const LINES = 2_000;
const TURN_STEPS = 100;

/** Counts turns, each with room for some steps. */
function countedTurns() {
  const state = { pauses: 0 };
  let steps = 0;
  const turns = {
    ownerOf: (name: string | undefined) => new TurnOwner(name),
    spend(more: number): boolean {
      steps += more;
      return steps >= TURN_STEPS;
    },
    async next(): Promise<void> {
      steps = 0;
      state.pauses += 1;
    },
  };
  return { state, slices: new WorkSlices({ turns }) };
}

function repository() {
  const { state, slices } = countedTurns();
  const objects = new MemoryObjects();
  const commitId = objects.addCommit({ file: "content" }, [], 1);
  objects.slices = slices;
  const refList = { head: { ref: "refs/heads/main" }, refs: [{ name: "refs/heads/main", id: commitId }] };
  const source = { mayHoldUnreachable: false, openObjects: async () => objects };
  return { state, objects, commitId, refList, source };
}

const UNKNOWN_IDS = Array.from(
  { length: LINES },
  (_, index) => index.toString(16).padStart(40, "f") as ObjectId,
);

describe("pauses for others", () => {
  test("the shallow lines of an answer, also where they are more than a call has arguments", async () => {
    const { state, slices } = countedTurns();
    const ids = Array.from({ length: 150 }, () => UNKNOWN_IDS).flat();
    const encoded = await encodeShallowLines({ shallowIds: ids, unshallowIds: UNKNOWN_IDS }, slices);
    const text = Buffer.concat(encoded).toString();
    expect(text.slice(0, 104)).toBe(`0034shallow ${ids[0]}0034shallow ${ids[1]}`);
    expect(text.slice(-54)).toBe(`0036unshallow ${UNKNOWN_IDS.at(-1)}`);
    expect(text).toHaveLength(52 * ids.length + 54 * LINES);
    expect(encoded).toHaveLength(ids.length + LINES);
    expect(state.pauses).toBeGreaterThanOrEqual(ids.length / 10 / TURN_STEPS / 2);
  });

  test("shallow lines with unknown ids", async () => {
    const { state, commitId, refList, source } = repository();
    const deepen = { kind: "depth", depth: 1, isRelative: false } as const;
    await planShallow(source, refList, { shallows: UNKNOWN_IDS, deepen, filter: undefined }, [commitId]);
    expect(state.pauses).toBeGreaterThanOrEqual(LINES / TURN_STEPS);
  });

  test("names that history is not to reach into", async () => {
    const { state, commitId, refList, source } = repository();
    const excluded = Array.from({ length: LINES }, () => "refs/heads/main");
    const deepen = { kind: "revisions", sinceSeconds: 0, excluded } as const;
    const refused = planShallow(source, refList, { shallows: [], deepen, filter: undefined }, [commitId]);
    await expect(refused).rejects.toThrow("no commits selected");
    // Peeling the same ids takes 5 steps each; the names take more.
    expect(state.pauses).toBeGreaterThanOrEqual((LINES * 15) / TURN_STEPS);
  });

  test("shallow lines with a have", async () => {
    const { state, objects, commitId } = repository();
    const haves = new CommonHaves(objects, [commitId], { shallows: UNKNOWN_IDS });
    await haves.add(commitId);
    expect(state.pauses).toBeGreaterThanOrEqual(LINES / TURN_STEPS);
  });

  test("ids of a request", async () => {
    const { state, objects, commitId, refList } = repository();
    expect(await findPresent(objects, [...UNKNOWN_IDS, commitId])).toEqual([commitId]);
    expect(state.pauses).toBeGreaterThanOrEqual(LINES / TURN_STEPS);
    state.pauses = 0;
    const repeated = Array.from({ length: LINES }, () => commitId);
    expect((await findUnreachable(objects, refList, repeated)).size).toBe(0);
    expect(state.pauses).toBeGreaterThanOrEqual((LINES * 2) / TURN_STEPS);
  });

  test("prefixes of refs", async () => {
    const { refList } = repository();
    const { state, slices } = countedTurns();
    const prefixes = Array.from({ length: LINES }, (_, index) => `refs/heads/${index}/`);
    const request = { prefixes, symrefs: true, peel: true, unborn: true };
    expect(await findMissingRef(refList, request, slices)).toBeUndefined();
    expect(state.pauses).toBeGreaterThanOrEqual(LINES / TURN_STEPS);
    state.pauses = 0;
    const chunks = [...(await listRefs(refList, request, slices))];
    expect(chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)).toBe(FLUSH_PKT.length);
    // They are sorted, and each is looked up.
    expect(state.pauses).toBeGreaterThanOrEqual((LINES * LOOK_UP_STEPS) / TURN_STEPS);
  });
});

test("sorting in slices is sorting, with pauses", async () => {
  const { state, slices } = countedTurns();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string(), { minLength: 0, maxLength: 2_500 }), async (texts) => {
      expect(await sortInSlices(texts, slices)).toEqual(texts.toSorted());
    }),
    { numRuns: 10 },
  );
  state.pauses = 0;
  const many = UNKNOWN_IDS.toReversed();
  expect(await sortInSlices(many, slices)).toEqual(many.toSorted());
  // Four pieces are sorted and merged twice, each with a pause for each 500.
  expect(state.pauses).toBe(12);
});
