/** Compaction and the janitor on what real syncs leave: git checks every pack, and clients notice nothing. */
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodePackHistory, type PackHistory } from "../../lib/git/history/pack-history.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../../lib/git/object-id.ts";
import { PackIndex } from "../../lib/git/pack/index-v2.ts";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { indexPack } from "../../lib/indexer/index-pack.ts";
import { type CompactedOutcome, compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { type CompactionPolicy, DEFAULT_COMPACTION_POLICY } from "../../lib/repo/compaction/policy.ts";
import { tidyRepository } from "../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { MemoryBlobStore } from "../../lib/store/memory-blob-store.ts";
import { completeHistory } from "../../lib/sync/complete-history.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, type Primary, reachableObjects, startPrimary } from "../support/primary.ts";
import {
  copyPrefix,
  expectCloneLikePrimary,
  expectNothingLeftOver,
  RIG_UUID,
  type SyncRig,
  syncRig,
} from "../support/sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);
const HOUR_MS = 3_600_000;
/** Merges whatever there is. */
const EAGER: CompactionPolicy = {
  ...DEFAULT_COMPACTION_POLICY,
  keepRecent: 0,
  minMerged: 2,
  ratio: Number.POSITIVE_INFINITY,
};
/** Leaves the first pack alone: bases of thin packs stay where they are. */
const BUT_THE_FIRST: CompactionPolicy = { ...EAGER, ratio: 2, smallPackBytes: 1 };

let primary: Primary;
let store: MemoryBlobStore;
let rig: SyncRig;

beforeEach(async () => {
  primary = await startPrimary();
  store = new MemoryBlobStore();
  rig = syncRig(primary, store);
});

afterEach(async () => {
  await rig.close();
  await primary.close();
});

/** One sync for each commit: thin packs upon the first one. */
async function push(count: number, branch = "main"): Promise<void> {
  for (let i = 0; i < count; i++) {
    const lines = Array.from({ length: 400 }, (_, line) => `line ${line} ${line % (i + 2)}\n`);
    await primary.commit(branch, `dir/file-${i % 3}.txt`, lines.join(""));
    await rig.sync();
  }
}

async function compact(policy: CompactionPolicy): Promise<CompactedOutcome> {
  const outcome = await compactRepository(RIG_UUID, { store, policy });
  if (outcome.kind !== "compacted") throw new Error(`nothing was compacted: ${outcome.kind}`);
  return outcome;
}

/** Two runs of the janitor, far enough apart: what nobody names is gone after them. */
async function tidy(): Promise<void> {
  for (const hours of [48, 96]) {
    const now = () => new Date(Date.now() + hours * HOUR_MS);
    await tidyRepository(RIG_UUID, { store, now });
  }
  await store.delete(KEYS.janitorNotes);
}

/** What git makes of the packs alone: each is whole, and its index is the one that git would write. */
async function expectGitsOwnIndexes(): Promise<void> {
  const copy = primary.newPath();
  await copyPrefix(store, KEYS.prefix, copy);
  await expectSilentFsck(copy);
  const folder = join(copy, "objects/pack");
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".pack")) continue;
    const pack = join(folder, name);
    await git(["verify-pack", pack]);
    const indexed = primary.newPath();
    await mkdir(indexed);
    const again = join(indexed, "pack.pack");
    await writeFile(again, await readFile(pack));
    await git(["index-pack", "--strict", "-o", join(indexed, "pack.idx"), again], { cwd: copy });
    const [ours, gits] = await Promise.all([
      readFile(pack.replace(/pack$/, "idx")),
      readFile(join(indexed, "pack.idx")),
    ]);
    expect(ours.equals(gits), name).toBe(true);
  }
}

/** By commit: everything that the history says of it, with ids for numbers. And by object: type and size. */
function describeHistory(history: PackHistory, index: PackIndex): Map<string, unknown> {
  const idOf = (reference: number): ObjectId =>
    reference < index.objectCount
      ? index.objectId(reference)
      : objectIdAt(history.externalIds, (reference - index.objectCount) * OBJECT_ID_BYTES);
  const ids = (references: Uint32Array): ObjectId[] => [...references].map(idOf);
  const described = new Map<string, unknown>();
  for (let number = 0; number < index.objectCount; number++)
    described.set(`size of ${index.objectId(number)}`, [history.types[number], history.sizes[number]]);
  history.commitObjects.forEach((object, row) => {
    const parentStart = row === 0 ? 0 : history.parentEnds[row - 1];
    const start = row === 0 ? 0 : history.introducedEnds[row - 1];
    described.set(idOf(object), {
      tree: idOf(history.commitTrees[row] as number),
      seconds: history.seconds[row],
      parents: ids(history.parents.subarray(parentStart, history.parentEnds[row])),
      introduced: ids(history.introduced.subarray(start, history.introducedEnds[row])).toSorted(),
    });
  });
  return described;
}

/** Each history in the store says what one worked out anew from the pack would say, parents before children. */
async function expectHistoriesAsIfIndexed(): Promise<void> {
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID);
  const objects = await repository.openObjects();
  expect(repository.damagedHistories).toEqual([]);
  for (const { id, objectCount } of repository.manifest.packs) {
    const path = primary.newPath();
    const bytes = (await store.read(KEYS.pack(id))).bytes;
    await writeFile(path, bytes);
    const file = await open(path, "r+");
    try {
      const progress = new PackFileProgress();
      progress.complete(bytes.length);
      const { built, index } = await indexPack({ file, progress });
      const again = built && (await completeHistory(built, index, objects));
      const stored = decodePackHistory((await store.read(KEYS.packHistory(id))).bytes, objectCount);
      if (again === undefined || stored === undefined) throw new Error("there is no history");
      const packIndex = new PackIndex(index);
      const expected = describeHistory(again, packIndex);
      // `indexPack` takes an appended base for one of the pack's own objects; older packs tell what it introduces.
      const described = describeHistory(stored, packIndex);
      for (const [what, value] of described) expect(value, what).toEqual(expected.get(what));
      expect(described.size).toBeGreaterThan(packIndex.objectCount);
      expectParentsFirst(stored);
    } finally {
      await file.close();
      await rm(path);
    }
  }
}

function expectParentsFirst({ commitObjects, parents, parentEnds }: PackHistory): void {
  const rowOf = new Map([...commitObjects].map((object, row) => [object, row]));
  let start = 0;
  parentEnds.forEach((end, row) => {
    for (const parent of parents.subarray(start, end)) expect(rowOf.get(parent) ?? -1).toBeLessThan(row);
    start = end;
  });
}

async function expectWhole(): Promise<void> {
  await expectCloneLikePrimary(rig, primary);
  await tidy();
  await expectNothingLeftOver(rig);
  await expectGitsOwnIndexes();
  await expectHistoriesAsIfIndexed();
  await expectCloneLikePrimary(rig, primary);
}

describe("what real syncs leave", () => {
  test("all packs become one, which git accepts and clients clone", async () => {
    await rig.sync();
    await push(6);
    const { packs } = await rig.manifest();
    expect(packs.length).toBe(7);
    const outcome = await compact(EAGER);
    expect(outcome).toMatchObject({ packsBefore: 7, packsAfter: 1, generation: 8 });
    expect(outcome.droppedEntries).toBeGreaterThan(0);
    await expectWhole();
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
    await expectWhole();
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
});
