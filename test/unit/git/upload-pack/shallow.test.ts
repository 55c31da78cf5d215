/** Shallow answers held against what they mean, for histories and clients of all shapes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObjectId } from "../../../../lib/git/object-id.ts";
import type { RefList } from "../../../../lib/git/ports.ts";
import type { Deepening } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { INFINITE_DEPTH } from "../../../../lib/git/upload-pack/history-lines.ts";
import { planShallow } from "../../../../lib/git/upload-pack/shallow.ts";
import { markMissingObjects } from "../../../../lib/git/walk/missing-objects.ts";
import { ObjectMarks } from "../../../../lib/git/walk/object-marks.ts";
import { MemoryObjects } from "../../../support/memory-objects.ts";

interface World {
  readonly objects: MemoryObjects;
  readonly commits: readonly ObjectId[];
  readonly parents: ReadonlyMap<ObjectId, readonly ObjectId[]>;
}

const history = fc.array(
  fc.record({
    file: fc.constantFrom<string>("a", "b"),
    content: fc.constantFrom<string>("1", "2", "3", "4"),
    parents: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
    seconds: fc.oneof(fc.constant(undefined), fc.integer({ min: 0, max: 40 })),
  }),
  { minLength: 1, maxLength: 16 },
);

function build(shape: typeof history extends fc.Arbitrary<infer T> ? T : never): World {
  const objects = new MemoryObjects();
  const commits: ObjectId[] = [];
  const parents = new Map<ObjectId, readonly ObjectId[]>();
  for (const [i, commit] of shape.entries()) {
    const parentIds = [...new Set(commit.parents.flatMap((back) => commits[i - back] ?? []))];
    const folder = { shared: { [commit.file]: commit.content }, [`own-${i % 3}`]: commit.content };
    const id = objects.addCommit(folder, parentIds, commit.seconds ?? i * 2);
    commits.push(id);
    parents.set(id, parentIds);
  }
  return { objects, commits, parents };
}

/** Commits reachable when those in `cut` have no parents. */
function commitsBelow(world: World, starts: Iterable<ObjectId>, cut: ReadonlySet<ObjectId>): Set<ObjectId> {
  const reached = new Set<ObjectId>();
  const pending = [...starts];
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    if (reached.has(id)) continue;
    reached.add(id);
    if (!cut.has(id)) pending.push(...(world.parents.get(id) ?? []));
  }
  return reached;
}

function treeOf({ objects }: World, commitId: ObjectId): Set<ObjectId> {
  return objects.closure(objects.childrenOf(commitId).slice(0, 1));
}

function objectsOf(world: World, commits: Iterable<ObjectId>): Set<ObjectId> {
  const held = new Set<ObjectId>();
  for (const commitId of commits) {
    held.add(commitId);
    for (const id of treeOf(world, commitId)) held.add(id);
  }
  return held;
}

const deepening: fc.Arbitrary<Deepening | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({
    kind: fc.constant("depth" as const),
    depth: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(INFINITE_DEPTH)),
    isRelative: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("revisions" as const),
    sinceSeconds: fc.integer({ min: 0, max: 30 }),
    excluded: fc.constantFrom([], ["old"]),
  }),
);
const picks = fc.array(fc.nat(15), { minLength: 1, maxLength: 3 });
const pick = (ids: readonly ObjectId[], numbers: readonly number[]) =>
  numbers.flatMap((number) => ids[number % ids.length] ?? []);

interface Client {
  readonly haves: readonly ObjectId[];
  readonly shallows: readonly ObjectId[];
}

async function answer(
  world: World,
  wants: readonly ObjectId[],
  { haves, shallows }: Client,
  deepen: Deepening | undefined,
) {
  const { objects, commits } = world;
  const old = commits[Math.floor(commits.length / 3)];
  const refs = old === undefined ? [] : [{ name: "refs/heads/old", id: old }];
  const refList: RefList = { head: { ref: "refs/heads/old" }, refs };
  const source = { mayHoldUnreachable: false, openObjects: async () => objects };
  const plan = await planShallow(source, refList, { shallows, deepen, filter: undefined }, wants);
  const marks = new ObjectMarks(objects.objectCount);
  const commonCommits = haves.map((id) => objects.findId(id));
  for await (const _ of markMissingObjects(objects, marks, { wants, commonCommits, shallow: plan.history }));
  return { plan, marks, sent: [...marks.sentObjects].map((number) => objects.objectId(number)) };
}

const isRefusal = (error: unknown) => String(error).includes("no commits selected");

describe("a shallow answer", () => {
  test("completes the client up to where its history ends then", async () => {
    await fc.assert(
      fc.asyncProperty(history, picks, picks, picks, deepening, async (shape, w, h, s, deepen) => {
        const world = build(shape);
        const wants = pick(world.commits, w);
        const client = { haves: pick(world.commits, h), shallows: pick(world.commits, s) };
        const outcome = await answer(world, wants, client, deepen).catch((error: unknown) => {
          if (isRefusal(error)) return undefined;
          throw error;
        });
        if (outcome === undefined) return;
        const { plan, marks, sent } = outcome;
        const held = objectsOf(world, commitsBelow(world, client.haves, new Set(client.shallows)));
        for (const id of plan.unshallowIds) {
          expect(client.shallows).toContain(id);
          for (const object of objectsOf(world, [id])) held.add(object);
        }
        const cutAfter = new Set([...client.shallows, ...plan.shallowIds]);
        for (const id of plan.unshallowIds) cutAfter.delete(id);
        const complete = new Set([...held, ...sent]);
        const needed = objectsOf(world, commitsBelow(world, [...wants, ...plan.unshallowIds], cutAfter));
        expect([...needed].filter((id) => !complete.has(id))).toEqual([]);
        expect(new Set(sent).size).toBe(sent.length);
        for (let number = 0; number < world.objects.objectCount; number++) {
          if (marks.clientHas(number)) expect(held).toContain(world.objects.objectId(number));
        }
      }),
      { numRuns: 600 },
    );
  });

  test("of a depth ends at that depth", async () => {
    await fc.assert(
      fc.asyncProperty(history, picks, fc.integer({ min: 1, max: 6 }), async (shape, w, depth) => {
        const world = build(shape);
        const wants = pick(world.commits, w);
        const client = { haves: [], shallows: [] };
        const deepen = { kind: "depth", depth, isRelative: false } as const;
        const { plan, sent } = await answer(world, wants, client, deepen);
        let level = new Set(wants);
        const inside = new Set(wants);
        for (let i = 1; i < depth; i++) {
          level = new Set([...level].flatMap((id) => world.parents.get(id) ?? []));
          level = new Set([...level].filter((id) => !inside.has(id)));
          for (const id of level) inside.add(id);
        }
        expect(new Set(plan.shallowIds)).toEqual(level);
        expect(new Set(sent)).toEqual(objectsOf(world, inside));
      }),
      { numRuns: 200 },
    );
  });

  test("that a client has already is not sent again", async () => {
    const world = build(
      Array.from({ length: 10 }, (_, i) => ({
        file: "a",
        content: `${i}`,
        parents: i === 0 ? [] : [1],
        seconds: i,
      })),
    );
    const [before, after] = [world.commits[8], world.commits[9]] as [ObjectId, ObjectId];
    const client = { haves: [before], shallows: [before] };
    const deepen = { kind: "depth", depth: 1, isRelative: false } as const;
    const { plan, sent } = await answer(world, [after], client, deepen);
    expect(plan.shallowIds).toEqual([after]);
    const known = objectsOf(world, [before]);
    expect(new Set(sent)).toEqual(new Set([...objectsOf(world, [after])].filter((id) => !known.has(id))));
  });
});

describe("what is refused", () => {
  const world = build([{ file: "a", content: "1", parents: [], seconds: 1 }]);
  const wants = world.commits;
  const client = { haves: [], shallows: [] };

  test.each([
    [["nothing"], "deepen-not is not a ref: nothing"],
    [["old"], "no commits selected for shallow requests"],
  ])("excluding %j", async (excluded, message) => {
    const deepen = { kind: "revisions", sinceSeconds: 0, excluded } as const;
    await expect(answer(world, wants, client, deepen)).rejects.toThrow(message);
  });

  test("a shallow object that is no commit", async () => {
    const blobId = world.objects.addBlob("alone");
    const reading = answer(world, wants, { haves: [], shallows: [blobId] }, undefined);
    await expect(reading).rejects.toThrow(`invalid shallow object ${blobId}`);
  });
});

describe("deepening by N counts from the nearest of the client's cuts below the wants", () => {
  /** one - two - three - merge, and between three and merge: four - five. */
  const shape = (parents: number[], i: number) => ({ file: "a", content: "1", parents, seconds: i });
  const world = build([[], [1], [1], [1], [1], [3, 1]].map(shape));
  const [one, two, three, four, five, merge] = world.commits as [
    ObjectId,
    ObjectId,
    ObjectId,
    ObjectId,
    ObjectId,
    ObjectId,
  ];
  const deepenBy = (depth: number) => ({ kind: "depth", depth, isRelative: true }) as const;
  const planOf = async (wants: ObjectId[], shallows: ObjectId[], depth: number) =>
    (await answer(world, wants, { haves: wants, shallows }, deepenBy(depth))).plan;

  test("a branch that is merged below another cut loses no history (git 3ef68ff40e)", async () => {
    const plan = await planOf([merge], [two, four], 1);
    expect(plan.shallowIds).toEqual([one]);
    expect(new Set(plan.unshallowIds)).toEqual(new Set([two, four]));
  });

  test("the depth is the nearest cut's, also where another is deeper", async () => {
    // `five` has depth 2, so the history is to end at depth 3: at `two`, which is 3 by way of `three`, and at `four`.
    const plan = await planOf([merge], [five, one], 1);
    expect(new Set(plan.shallowIds)).toEqual(new Set([two, four]));
    expect(plan.unshallowIds).toEqual([five]);
  });

  test("nothing changes where no cut is below the wants", async () => {
    const plan = await planOf([three], [five], 1);
    expect(plan).toMatchObject({ shallowIds: [], unshallowIds: [] });
  });

  test("and where the client has no cut", async () => {
    expect(await planOf([merge], [], 1)).toMatchObject({ shallowIds: [], unshallowIds: [] });
  });
});
