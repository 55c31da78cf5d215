/** What is read ahead of writing a pack, against what writing it reads: both plan the same deltas. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { writePack } from "../../../../lib/git/pack/write-pack.ts";
import type { PackedObjects, PackReader } from "../../../../lib/git/ports.ts";
import { planPack } from "../../../../lib/git/upload-pack/plan.ts";
import type { ObjectDatabase } from "../../../../lib/repo/object-database.ts";
import { openRepository, type Repository } from "../../../../lib/repo/repository.ts";
import { git } from "../../../support/git/run-git.ts";
import { makeSampleRepository } from "../../../support/git/sample-repository.ts";
import { type Primary, startPrimary } from "../../../support/primary.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../../support/sync-rig.ts";

let primary: Primary;
let repository: Repository;
let objects: ObjectDatabase;

beforeAll(async () => {
  primary = await startPrimary({ make: (path) => makeSampleRepository(path, { commitCount: 150 }) });
  // Large enough to be worth a delta where git has it whole: of several versions, the newest.
  const lines = Array.from({ length: 100 }, (_, i) => `${i} ${"text ".repeat(i % 7)}${i * i * 7919}`);
  for (let version = 0; version < 12; version++) {
    lines[version * 8] = `changed in version ${version}`;
    await primary.commit("main", "long.txt", lines.join("\n"));
  }
  await git(["repack", "-adfq", "--depth=30"], { cwd: primary.repository });
  const rig = syncRig(primary, new MemoryBlobStore());
  await rig.sync();
  repository = await openRepository(rig.storage, RIG_UUID);
  objects = await repository.openObjects();
}, 120_000);

afterAll(() => primary.close());

/** Notes what is read ahead and which objects are read. */
function watched(): {
  readonly source: PackedObjects;
  readonly ahead: Set<number>;
  readonly read: Set<number>;
} {
  const ahead = new Set<number>();
  const read = new Set<number>();
  const watch = <Target extends object>(target: Target, replaced: Partial<Target>): Target =>
    new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(name in replaced ? replaced : target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const readAhead = (numbers: Iterable<number>): void => {
    for (const number of numbers) ahead.add(number);
  };
  const source = watch<PackedObjects>(objects, {
    packs: watch<PackReader>(objects.packs, { readAhead }),
    read: async (number) => {
      read.add(number);
      return objects.read(number);
    },
  });
  return { source, ahead, read };
}

test.each([
  ["thin", true, 1],
  ["thin", true, 7],
  ["thin", true, 40],
  ["not thin", false, 3],
  ["not thin", false, 60],
])(
  "what a %s pack reads to make deltas was read ahead, with all that it is made of (%j, %d commits)",
  async (_, thinPack, commitCount) => {
    const refList = await repository.readRefs();
    const tip = refList.refs.find(({ name }) => name === "refs/heads/main");
    const have = await primary.git("rev-parse", `main~${commitCount}`);
    const { source, ahead, read } = watched();
    if (tip === undefined) throw new Error("there is no branch main");
    const planning = planPack({ ...repositorySource(), openObjects: async () => source }, refList, {
      wants: [tip.id],
      commonCommits: [objects.findId(have as typeof tip.id)],
      ...{ thinPack, ofsDelta: true, includeTag: false, shallow: undefined, filter: undefined },
    });
    let step = await planning.next();
    while (!step.done) step = await planning.next();
    const plan = step.value;
    if (plan.kind !== "copy-entries") throw new Error("entries are not chosen");
    read.clear();
    for await (const _chunk of writePack({ ...plan, ofsDelta: true }));
    const bases = objects.history?.deltaForest.parents;
    const needed = new Set<number>();
    for (const number of read)
      for (let next = number; next >= 0 && !needed.has(next); next = bases?.[next] ?? -1) needed.add(next);
    expect(needed.size).toBeGreaterThan(0);
    expect([...needed].filter((number) => !ahead.has(number))).toEqual([]);
  },
);

function repositorySource() {
  return {
    forReader: () => repository,
    objectCount: repository.objectCount,
    readRefs: () => repository.readRefs(),
    mayHoldUnreachable: false,
    packBodies: repository.packBodies,
    streamBudget: repository.streamBudget,
    openPacks: () => Promise.reject(new Error("not needed here")),
    handsOutUrls: false,
    offerBundles: async () => [],
  };
}
