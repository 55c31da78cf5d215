import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObjectId } from "../../../../lib/git/object-id.ts";
import { markMissingObjects } from "../../../../lib/git/walk/missing-objects.ts";
import { ObjectMarks } from "../../../../lib/git/walk/object-marks.ts";
import { findUnreachable } from "../../../../lib/git/walk/reachable.ts";
import { type Folder, MemoryObjects } from "../../../support/memory-objects.ts";

async function marksFor(objects: MemoryObjects, wants: ObjectId[], haves: ObjectId[]): Promise<ObjectMarks> {
  const marks = new ObjectMarks(objects.objectCount);
  const commonCommits = haves.map((id) => objects.findId(id));
  for await (const _count of markMissingObjects(objects, marks, { wants, commonCommits }));
  return marks;
}

async function sentFor(objects: MemoryObjects, wants: ObjectId[], haves: ObjectId[]): Promise<ObjectId[]> {
  const marks = await marksFor(objects, wants, haves);
  return [...marks.sentObjects].map((objectNumber) => objects.objectId(objectNumber));
}

/** Few names and contents, so that the same blobs and trees come up at many places. */
const content = fc.constantFrom("1", "2", "3");
const smallFolder: fc.Arbitrary<Folder> = fc.dictionary(fc.constantFrom("x", "y"), content, { maxKeys: 2 });
const folder: fc.Arbitrary<Folder> = fc.dictionary(
  fc.constantFrom("p", "q", "r"),
  fc.oneof(content, smallFolder, fc.record({ deep: smallFolder })),
  { maxKeys: 3 },
);
const history = fc.array(
  fc.record({
    folder,
    /** How far back each parent is. */
    parents: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 3 }),
    seconds: fc.oneof(fc.constant(undefined), fc.integer({ min: 0, max: 40 })),
  }),
  { minLength: 1, maxLength: 20 },
);
const picks = fc.array(fc.nat(19), { maxLength: 4 });

function build(commits: typeof history extends fc.Arbitrary<infer T> ? T : never) {
  const objects = new MemoryObjects();
  const ids: ObjectId[] = [];
  for (const [i, commit] of commits.entries()) {
    const parents = [
      ...new Set(commit.parents.map((back) => ids[i - back]).filter((id) => id !== undefined)),
    ];
    ids.push(objects.addCommit(commit.folder, parents, commit.seconds ?? i * 2));
  }
  return { objects, ids };
}

const pick = (ids: ObjectId[], numbers: number[]) =>
  numbers.flatMap((number) => ids[number % ids.length] ?? []);

describe("what is sent", () => {
  test("completes what the client has, for any history, wants, haves and lying clocks", async () => {
    await fc.assert(
      fc.asyncProperty(history, picks, picks, async (commits, wantNumbers, haveNumbers) => {
        const { objects, ids } = build(commits);
        const wants = pick(ids, wantNumbers);
        const haves = pick(ids, haveNumbers);
        const sent = await sentFor(objects, wants, haves);
        const wanted = objects.closure(wants);
        const held = objects.closure(haves);
        expect(sent.filter((id) => !wanted.has(id))).toEqual([]);
        expect(new Set(sent).size).toBe(sent.length);
        const complete = new Set([...sent, ...held]);
        expect([...wanted].filter((id) => !complete.has(id))).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  test("what is marked as the client's is the client's", async () => {
    await fc.assert(
      fc.asyncProperty(history, picks, picks, async (commits, wantNumbers, haveNumbers) => {
        const { objects, ids } = build(commits);
        const haves = pick(ids, haveNumbers);
        const marks = await marksFor(objects, pick(ids, wantNumbers), haves);
        const held = objects.closure(haves);
        for (let objectNumber = 0; objectNumber < objects.objectCount; objectNumber++) {
          if (marks.clientHas(objectNumber)) expect(held).toContain(objects.objectId(objectNumber));
        }
      }),
    );
  });

  test("two folders that swap places do not hide what both hold", async () => {
    const objects = new MemoryObjects();
    const left = { same: "s", other: "1" };
    const right = { same: "s", other: "2" };
    const first = objects.addCommit({ p: right, q: left }, [], 1);
    const second = objects.addCommit({ p: left, q: right }, [first], 2);
    const sent = await sentFor(objects, [second], []);
    expect(new Set(sent)).toEqual(objects.closure([second]));
  });

  test("a have with a clock at zero still saves its history", async () => {
    const objects = new MemoryObjects();
    const ids: ObjectId[] = [];
    for (let i = 0; i < 50; i++) ids.push(objects.addCommit({ file: `${i}` }, ids.slice(-1), 1000 + i));
    const have = objects.addCommit({ file: "mine" }, ids.slice(48, 49), 0);
    const sent = await sentFor(objects, ids.slice(49), [have]);
    expect(sent.length).toBe(3);
  });

  test("tags, trees and blobs go as they are wanted", async () => {
    const objects = new MemoryObjects();
    const blobId = objects.addBlob("alone");
    const treeId = objects.addTree({ a: "1", b: { c: "2" } });
    const tagId = objects.addTag(objects.addTag(treeId, "tree", "inner"), "tag", "outer");
    expect(new Set(await sentFor(objects, [blobId, tagId], []))).toEqual(objects.closure([blobId, tagId]));
  });
});

describe("reachability", () => {
  test("is decided for commits, trees and blobs as the closure of the refs says", async () => {
    await fc.assert(
      fc.asyncProperty(history, picks, fc.nat(1000), async (commits, tipNumbers, number) => {
        const { objects, ids } = build(commits);
        const tips = pick(ids, tipNumbers);
        const refs = tips.map((id, i) => ({ name: `refs/heads/${i}`, id }));
        const id = objects.objectId(number % objects.objectCount);
        const unreachable = await findUnreachable(objects, { head: { ref: "refs/heads/0" }, refs }, [id]);
        expect([...unreachable]).toEqual(objects.closure(tips).has(id) ? [] : [id]);
      }),
      { numRuns: 200 },
    );
  });
});
