/** Compaction on what real syncs leave: git checks every pack, and clients notice nothing. */
import { beforeEach, describe, expect, test } from "vitest";
import { parseObjectId } from "../../lib/git/object-id.ts";
import { type CompactedOutcome, compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { type CompactionPolicy, DEFAULT_COMPACTION_POLICY } from "../../lib/repo/compaction/policy.ts";
import { manifestDocument } from "../../lib/repo/manifest.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { expectWhole } from "../support/compaction-checks.ts";
import { BUT_THE_FIRST, EAGER, NO_MERGE } from "../support/compaction-policies.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, reachableObjects } from "../support/primary.ts";
import { useSyncRig } from "../support/shared-set-ups.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { expectCloneLikePrimary, RIG_UUID } from "../support/sync-rig.ts";

const { primary, rig } = useSyncRig();
let store: BlobStore;

beforeEach(() => {
  store = rig.storage.store;
});

/** One sync for each commit: thin packs upon the first one. */
async function push(count: number, branch = "main"): Promise<void> {
  for (let i = 0; i < count; i++) {
    const lines = Array.from({ length: 400 }, (_, line) => `line ${line} ${line % (i + 2)}\n`);
    await primary.commit(branch, `dir/file-${i % 3}.txt`, `${branch}\n${lines.join("")}`);
    await rig.sync();
  }
}

async function compact(policy: CompactionPolicy, now?: () => Date): Promise<CompactedOutcome> {
  const outcome = await compactRepository(RIG_UUID, { store, policy, now });
  if (outcome.kind !== "compacted") throw new Error(`nothing was compacted: ${outcome.kind}`);
  return outcome;
}

async function isHeld(id: string): Promise<boolean> {
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID);
  const { objectCount, objectId } = await repository.openObjects().then((objects) => ({
    objectCount: objects.objectCount,
    objectId: (number: number) => objects.objectId(number),
  }));
  return Array.from({ length: objectCount }, (_, number) => objectId(number)).some((held) => held === id);
}

describe("merging", () => {
  test("all packs become one, which git accepts and clients clone", async () => {
    await rig.sync();
    await push(6);
    expect((await rig.manifest()).packs.length).toBe(7);
    const outcome = await compact(EAGER);
    expect(outcome).toMatchObject({ packsBefore: 7, packsAfter: 1, generation: 8 });
    // The bases that were appended to thin packs.
    expect(outcome.droppedEntries).toBeGreaterThan(0);
    expect(outcome.writtenBytes).toBeLessThan(outcome.rewrittenBytes);
    await expectWhole(rig, primary);
    await push(2);
    await expectCloneLikePrimary(rig, primary);
  });

  test("thin packs become one thin pack upon the first", async () => {
    await rig.sync();
    await push(6);
    const before = (await rig.manifest()).packs;
    await compact(BUT_THE_FIRST);
    const after = (await rig.manifest()).packs;
    expect(after.length).toBe(2);
    expect(after[0]).toEqual(before[0]);
    expect(after[1]?.objectCount).toBeGreaterThan(after[1]?.sentObjectCount ?? 0);
    await expectWhole(rig, primary);
  });

  test("packs that repeat objects of others: each object is kept once", async () => {
    await rig.sync();
    await push(2);
    const upstream = rig.upstream();
    // A primary that sends everything again.
    const forgetful: typeof upstream = {
      ...upstream,
      fetchPack: (request) => upstream.fetchPack({ ...request, haves: [] }),
    };
    await primary.commit("main", "again.txt", "again\n");
    await rig.sync(forgetful);
    await push(2, "topic");
    const { packs } = await rig.manifest();
    expect(packs.some(({ repeatedObjectCount }) => repeatedObjectCount > 10)).toBe(true);
    await compact(BUT_THE_FIRST);
    await expectWhole(rig, primary);
    await compact(EAGER);
    const [only] = (await rig.manifest()).packs;
    expect(only?.objectCount).toBe((await reachableObjects(primary.repository)).length);
    await expectWhole(rig, primary);
  });

  test("clients of every generation fetch what they lack from the compacted packs", async () => {
    await rig.sync();
    const url = await rig.serve();
    const clones: string[] = [];
    for (let generation = 0; generation < 5; generation++) {
      const clone = primary.newPath();
      await git(["clone", "--quiet", "--mirror", url, clone]);
      clones.push(clone);
      await push(1);
    }
    await compact(BUT_THE_FIRST);
    for (const clone of clones) {
      await git(["-c", "transfer.fsckObjects=true", "fetch", "--quiet"], { cwd: clone });
      await expectSilentFsck(clone);
      expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
    }
  });

  test("after many pushes a fetch opens few packs", async () => {
    await rig.sync();
    const counting = new CountingBlobStore(store);
    const requestsToOpen = async (): Promise<number> => {
      const repository = await openRepository(
        { store: counting, blocks: new BlockCache(counting) },
        RIG_UUID,
      );
      counting.reset();
      await repository.openObjects();
      expect(counting.counts().rounds).toBe(1);
      return counting.counts().requests;
    };
    for (let i = 0; i < 12; i++) await push(1, `topic-${i % 4}`);
    expect(await requestsToOpen()).toBe(2 * 13);
    await compact(DEFAULT_COMPACTION_POLICY);
    expect(await requestsToOpen()).toBe(2 * (1 + DEFAULT_COMPACTION_POLICY.keepRecent));
    // As it goes when it is done after each push.
    for (let i = 0; i < 9; i++) {
      await push(1);
      await compactRepository(RIG_UUID, { store });
      expect(await requestsToOpen()).toBeLessThanOrEqual(2 * 9);
    }
    await expectWhole(rig, primary);
  });
});

describe("dropping what no ref reaches", () => {
  test("after a force-push and a deletion only the packs that hold such objects are rewritten", async () => {
    await rig.sync();
    await push(2);
    await push(2, "topic");
    await primary.git("update-ref", "refs/heads/main", "main~1");
    await primary.git("branch", "-D", "topic");
    const gone = await primary.commit("main", "new.txt", "new\n");
    await rig.sync();
    await primary.git("update-ref", "refs/heads/main", "main~1");
    await rig.sync();
    const before = await rig.manifest();
    expect(before.mayHoldUnreachable).toBe(true);
    expect(await isHeld(gone)).toBe(true);
    const outcome = await compact(NO_MERGE);
    expect(outcome.droppedEntries).toBeGreaterThan(0);
    const after = await rig.manifest();
    expect(after.mayHoldUnreachable).toBe(false);
    expect(after.packs[0]).toEqual(before.packs[0]);
    expect(await isHeld(gone)).toBe(false);
    await expectWhole(rig, primary);
    await push(1);
    expect((await rig.manifest()).mayHoldUnreachable).toBe(false);
    await expectWhole(rig, primary);
  });

  test("what a tree was before on a lost branch is not named any more when that is dropped later", async () => {
    // Without deltas no pack holds anything of that as a base.
    await primary.git("config", "pack.window", "0");
    await rig.sync();
    await primary.git("branch", "older", "main");
    await primary.commit("older", "dir/a.txt", "before\n");
    await rig.sync();
    await primary.git("branch", "lost", "older");
    const lost = await primary.commit("lost", "dir/a.txt", "after\n");
    await rig.sync();
    // As a squash does: main has the same tree, without the history.
    const squashed = await primary.git("commit-tree", "-m", "Squashed", "-p", "main", `${lost}^{tree}`);
    await primary.git("update-ref", "refs/heads/main", squashed);
    await rig.sync();
    const objects = await (
      await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID)
    ).openObjects();
    const treeOf = async (revision: string): Promise<number> =>
      objects.findId(parseObjectId(await primary.git("rev-parse", `${revision}^{tree}`)));
    expect(objects.history?.versionForest.parents[await treeOf(squashed)]).toBe(await treeOf("older"));
    for (const branch of ["lost", "older"]) {
      await primary.git("branch", "-D", branch);
      await rig.sync();
      await compact(NO_MERGE, () => new Date(Date.now() + 48 * 3_600_000));
      await expectWhole(rig, primary);
    }
  });

  test("a repository whose refs are all gone keeps nothing, and takes new ones", async () => {
    await rig.sync();
    const refs = (await primary.git("for-each-ref", "--format=delete %(refname)")).split("\n");
    await git(["update-ref", "--stdin"], { cwd: primary.repository, input: `${refs.join("\n")}\n` });
    await rig.sync();
    await compact(NO_MERGE);
    expect(await rig.manifest()).toMatchObject({ packs: [], mayHoldUnreachable: false });
    await primary.commit("main", "reborn.txt", "reborn\n");
    await rig.sync();
    await expectWhole(rig, primary);
  });

  test("where histories are missing, trees are read instead", async () => {
    await rig.sync();
    await push(3);
    await primary.git("update-ref", "refs/heads/main", "main~2");
    await rig.sync();
    await manifestDocument(store, RIG_UUID).change((manifest) => {
      const packs = manifest?.packs.map((pack) => ({ ...pack, historyBytes: 0 })) ?? [];
      return manifest && { ...manifest, packs };
    });
    await compact(EAGER);
    const { packs, mayHoldUnreachable } = await rig.manifest();
    expect(packs).toHaveLength(1);
    expect(packs[0]?.historyBytes).toBe(0);
    expect(packs[0]?.objectCount).toBe((await reachableObjects(primary.repository)).length);
    expect(mayHoldUnreachable).toBe(false);
    await expectCloneLikePrimary(rig, primary);
  });

  test("is done again only after a time that grows with the bytes to be rewritten", async () => {
    const slow = { ...NO_MERGE, droppedBytesPerDay: 1000 };
    await rig.sync();
    const drop = async (now: Date) => {
      await push(1);
      await primary.git("update-ref", "refs/heads/main", "main~1");
      await rig.sync();
      return compactRepository(RIG_UUID, { store, policy: slow, now: () => now });
    };
    const start = new Date("2026-03-01T00:00:00Z");
    expect(await drop(start)).toMatchObject({ kind: "compacted" });
    const postponed = await drop(start);
    if (postponed.kind !== "nothing-to-do" || postponed.dropDueAt === undefined)
      throw new Error(`not postponed: ${postponed.kind}`);
    expect((await rig.manifest()).mayHoldUnreachable).toBe(true);
    const { packs } = await rig.manifest();
    const bytes = packs.at(-1)?.packBytes ?? 0;
    expect(postponed.dropDueAt.getTime() - start.getTime()).toBeCloseTo((bytes / 1000) * 86_400_000, -1);
    const now = () => postponed.dropDueAt ?? start;
    expect(await compactRepository(RIG_UUID, { store, policy: slow, now })).toMatchObject({
      kind: "compacted",
    });
    await expectWhole(rig, primary);
  });
});
