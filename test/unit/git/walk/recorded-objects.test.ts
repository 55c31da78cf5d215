/** What the histories say of trees, against a walk that reads each of them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommitHistory } from "../../../../lib/git/history/commit-history.ts";
import { TREE_KIND } from "../../../../lib/git/history/pack-history.ts";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import type { ObjectType } from "../../../../lib/git/pack/pack-format.ts";
import type { ObjectReader } from "../../../../lib/git/ports.ts";
import { CommitTable } from "../../../../lib/git/walk/commit-table.ts";
import { markMissingObjects } from "../../../../lib/git/walk/missing-objects.ts";
import { ALL_TYPES, type ObjectFilter } from "../../../../lib/git/walk/object-filter.ts";
import { ObjectMarks } from "../../../../lib/git/walk/object-marks.ts";
import { ObjectDatabase } from "../../../../lib/repo/object-database.ts";
import { openRepository } from "../../../../lib/repo/repository.ts";
import { makeOddRepository } from "../../../support/git/odd-repository.ts";
import { git } from "../../../support/git/run-git.ts";
import { makeSampleRepository } from "../../../support/git/sample-repository.ts";
import { expectContentsToldTruly } from "../../../support/history-checks.ts";
import { type Primary, startPrimary } from "../../../support/primary.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../../support/sync-rig.ts";

interface Opened {
  readonly primary: Primary;
  /** With a history. */
  readonly recorded: ObjectDatabase;
  readonly history: CommitHistory;
  /** The same objects without. */
  readonly walked: ObjectDatabase;
  /** Oldest first. */
  readonly commits: readonly number[];
}

async function open(make: (repository: string) => Promise<void>): Promise<Opened> {
  const primary = await startPrimary({ make });
  const rig = syncRig(primary, new MemoryBlobStore());
  await rig.sync();
  await primary.commit("main", "one/more.txt", "of a second pack\n");
  await primary.git("branch", "--force", "again", "main~1");
  await primary.commit("again", "one/more.txt", "of a third\n");
  await rig.sync();
  const recorded = await (await openRepository(rig.storage, RIG_UUID)).openObjects();
  const { history } = recorded;
  if (history === undefined) throw new Error("there is no history");
  const walked = new ObjectDatabase(recorded.packs);
  const commits = Array.from({ length: history.rowCount }, (_, row) => history.objectNumber(row));
  return { primary, recorded, history, walked, commits };
}

let sample: Opened;
let odd: Opened;

beforeAll(async () => {
  sample = await open((repository) => makeSampleRepository(repository, { commitCount: 60 }));
  odd = await open(async (repository) => {
    await makeOddRepository(repository);
    await git(["branch", "main", "wide"], { cwd: repository });
  });
}, 300_000);

afterAll(async () => {
  await sample.primary.close();
  await odd.primary.close();
});

interface Request {
  readonly wants: readonly number[];
  readonly cuts?: readonly number[];
  readonly haves?: readonly number[];
  /** Cut commits of the client's whose parents it gets. */
  readonly deepened?: readonly number[];
  readonly filter?: ObjectFilter;
}

/** All by object number. */
async function marksFor(reader: ObjectReader, request: Request): Promise<ObjectMarks> {
  const { wants, cuts = [], haves = [], deepened = [], filter } = request;
  const table = new CommitTable(reader);
  const rowOf = async (commit: number): Promise<number> => {
    const row = table.rowOf(commit);
    await table.load(row);
    return row;
  };
  for (const commit of cuts) table.cut(await rowOf(commit));
  const deepenedRows = await Promise.all(deepened.map(rowOf));
  const marks = new ObjectMarks(reader.objectCount);
  const ids = wants.map((want) => reader.objectId(want));
  for await (const _count of markMissingObjects(reader, marks, {
    ...{ wants: ids, commonCommits: haves, filter, shallow: { table, deepenedRows } },
  }));
  return marks;
}

const filterOf = (filter: Partial<ObjectFilter>): ObjectFilter => ({
  ...{ types: ALL_TYPES, maxDepth: Number.POSITIVE_INFINITY, maxBlobBytes: Number.POSITIVE_INFINITY },
  ...{ sparse: [], ...filter },
});
const types = (...names: ObjectType[]): ReadonlySet<ObjectType> => new Set(names);

const FILTERS: readonly (readonly [string, ObjectFilter | undefined])[] = [
  ["no filter", undefined],
  ["tree:1", filterOf({ maxDepth: 1 })],
  ["tree:2", filterOf({ maxDepth: 2 })],
  ["tree:3", filterOf({ maxDepth: 3 })],
  ["blob:limit=40", filterOf({ maxBlobBytes: 40 })],
  ["tree:3 and blob:limit=200", filterOf({ maxDepth: 3, maxBlobBytes: 200 })],
  ["trees alone", filterOf({ types: types("tree"), maxDepth: 4 })],
  ["blobs alone", filterOf({ types: types("blob") })],
];

function sentBy(marks: ObjectMarks): number[] {
  return [...marks.sentObjects].toSorted((a, b) => a - b);
}

/** Every so many of the commits, from some place on. */
function pick(commits: readonly number[], first: number, step: number): number[] {
  return commits.filter((_, i) => i >= first && (i - first) % step === 0);
}

describe.each([
  ["the sample repository", () => sample],
  ["the odd repository", () => odd],
])("of %s", (_, opened) => {
  test("the histories say what trees and tags do", async () => {
    await expectContentsToldTruly(opened().recorded);
  });

  test.each(FILTERS)("clones that are cut hold what a walk finds: %s", async (_name, filter) => {
    const { recorded, walked, commits } = opened();
    for (const step of [1, 7]) {
      for (const cuts of [[], pick(commits, 2, step), commits]) {
        const request = { wants: pick(commits, commits.length - 1, step), cuts, ...(filter && { filter }) };
        const sent = sentBy(await marksFor(recorded, request));
        expect(sent).toEqual(sentBy(await marksFor(walked, request)));
        expect(sent.length).toBeGreaterThan(0);
      }
    }
  });

  test.each(FILTERS)("so they do where histories do not know some trees: %s", async (_name, filter) => {
    const { recorded, walked, commits, history } = opened();
    const { kinds } = history.trees;
    const before = kinds.slice();
    try {
      for (const step of [2, 5]) {
        for (let number = 0; number < kinds.length; number += step) kinds[number] = TREE_KIND.unknown;
        const request = { wants: commits, cuts: pick(commits, 1, 4), ...(filter && { filter }) };
        expect(sentBy(await marksFor(recorded, request))).toEqual(sentBy(await marksFor(walked, request)));
        kinds.set(before);
      }
    } finally {
      kinds.set(before);
    }
  });

  test("a client that has something is sent no more than a walk finds, and lacks nothing", async () => {
    const { recorded, walked, commits, history } = opened();
    for (let place = 3; place < commits.length; place += 4) {
      const tip = commits[place] as number;
      const parents = [...history.parentRows(history.rowOf(tip))].map((row) => history.objectNumber(row));
      const held = commits.filter((_commit, i) => i < place && i % 3 === 0).slice(-5);
      for (const request of [
        { wants: [tip], haves: parents, cuts: held },
        { wants: [tip], haves: held, cuts: held },
        {
          wants: [tip],
          haves: held,
          deepened: held,
          cuts: pick(commits, 0, 5).filter((c) => !held.includes(c)),
        },
      ]) {
        const [recordedMarks, found] = [await marksFor(recorded, request), await marksFor(walked, request)];
        const [sent, sentByWalk] = [sentBy(recordedMarks), new Set(sentBy(found))];
        for (const number of sent) expect(sentByWalk).toContain(number);
        for (const number of sentByWalk) expect(recordedMarks.isSettled(number)).toBe(true);
      }
    }
  });

  test("trees that are wanted by name come with what they hold", async () => {
    const { recorded, walked, history } = opened();
    for (let row = 0; row < history.rowCount; row += 3) {
      for (const [, filter] of FILTERS) {
        const request = { wants: [history.treeNumber(row)], ...(filter && { filter }) };
        expect(sentBy(await marksFor(recorded, request))).toEqual(sentBy(await marksFor(walked, request)));
      }
    }
  });
});

test("no tree is read", async () => {
  const { recorded, commits, primary } = sample;
  const read: number[] = [];
  const reader = new Proxy(recorded, {
    get: (target, name) => {
      if (name === "read") return (objectNumber: number) => read.push(objectNumber);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await marksFor(reader, { wants: commits, cuts: pick(commits, 1, 4) });
  const tag = (await primary.git("for-each-ref", "--format=%(objecttype) %(objectname)", "refs/tags"))
    .split("\n")
    .find((line) => line.startsWith("tag "));
  const number = recorded.findId(parseObjectId(tag?.slice(4) ?? ""));
  await marksFor(reader, { wants: [number], filter: filterOf({ maxDepth: 3 }) });
  expect(read).toEqual([]);
});
