import fc from "fast-check";
import { expect, test } from "vitest";
import type { ObjectId } from "../../../lib/git/object-id.ts";
import { isNonFastForward } from "../../../lib/sync/ref-changes.ts";
import { MemoryObjects } from "../../support/memory-objects.ts";
import { objectIdOf } from "../../support/pack-builder.ts";

/** A line of three commits, a side branch off the first, and tags. */
function sample() {
  const objects = new MemoryObjects();
  const one = objects.addCommit({ f: "1" }, [], 100);
  const two = objects.addCommit({ f: "2" }, [one], 200);
  const three = objects.addCommit({ f: "3" }, [two], 300);
  const side = objects.addCommit({ f: "side" }, [one], 250);
  const tagOfTwo = objects.addTag(two, "commit", "v2");
  const tagOfTag = objects.addTag(tagOfTwo, "tag", "v2-again");
  return { objects, one, two, three, side, tagOfTwo, tagOfTag, blob: objects.addBlob("1") };
}

const { objects, one, two, three, side, tagOfTwo, tagOfTag, blob } = sample();

test.each<[string, ObjectId[], ObjectId[], boolean]>([
  ["nothing changes", [two, tagOfTwo], [two, tagOfTwo], false],
  ["tips are only added", [two], [two, side], false],
  ["a branch moves on", [two], [three], false],
  ["a branch is deleted that another contains", [one, three], [three], false],
  ["a branch is rewound", [three], [two], true],
  ["a branch is rewound that a tag contains", [two, side], [tagOfTwo, side], false],
  ["a branch is rewound that a tag of a tag contains", [two], [tagOfTag], false],
  ["a branch is replaced", [three], [side], true],
  ["an unmerged branch is deleted", [three, side], [three], true],
  ["every branch is deleted", [three], [], true],
  ["an annotated tag is deleted", [three, tagOfTwo], [three], true],
  ["a tag of a blob is deleted", [three, blob], [three], true],
  ["a tag of a blob stays", [two, blob], [three, blob], false],
  ["an old tip is not here", [objectIdOf("commit", "unknown")], [three], true],
])("when %s", async (_, before, after, loses) => {
  expect(await isNonFastForward(objects, new Set(before), new Set(after))).toBe(loses);
});

/** Each commit's parents, chosen among those before it, and how far its clock is behind. */
const histories = fc.array(fc.tuple(fc.array(fc.nat(30), { maxLength: 3 }), fc.nat(50)), {
  minLength: 1,
  maxLength: 20,
});
const picks = fc.array(fc.nat(30), { maxLength: 4 });

type History = readonly (readonly [parents: readonly number[], lagSeconds: number])[];

/** @returns What `isNonFastForward` says, and whether an old tip is outside all that the new ones reach. */
async function compare(
  history: History,
  before: number[],
  after: number[],
  secondsAt: (index: number, lag: number) => number,
) {
  const reader = new MemoryObjects();
  const ids: ObjectId[] = [];
  const idAt = (n: number): ObjectId => ids[n % ids.length] ?? objectIdOf("commit", "none");
  for (const [index, [parents, lag]] of history.entries()) {
    const parentIds = index === 0 ? [] : [...new Set(parents.map(idAt))];
    ids.push(reader.addCommit({ f: String(index) }, parentIds, secondsAt(index, lag)));
  }
  const [oldTips, newTips] = [new Set(before.map(idAt)), new Set(after.map(idAt))];
  const reached = reader.closure(newTips);
  const isLost = [...oldTips].some((id) => !reached.has(id));
  return { said: await isNonFastForward(reader, oldTips, newTips), isLost };
}

test("tips are lost if they are outside what the new tips reach", async () => {
  await fc.assert(
    fc.asyncProperty(histories, picks, picks, async (history, before, after) => {
      const { said, isLost } = await compare(history, before, after, (index) => 1000 + index);
      expect(said).toBe(isLost);
    }),
    { numRuns: 200 },
  );
});

test("with wrong clocks, no loss is overlooked", async () => {
  await fc.assert(
    fc.asyncProperty(histories, picks, picks, async (history, before, after) => {
      const { said, isLost } = await compare(history, before, after, (_, lag) => 1000 - lag);
      if (isLost) expect(said).toBe(true);
    }),
    { numRuns: 200 },
  );
});
