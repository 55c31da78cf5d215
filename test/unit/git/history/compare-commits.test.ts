/** The history that a sync writes, against what git says of the same repository. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { upstreamGit } from "../../../../lib/bitbucket/upstream-git.ts";
import type { CommitHistory } from "../../../../lib/git/history/commit-history.ts";
import {
  decodePackHistory,
  encodePackHistory,
  TREE_ENTRY_GONE,
  TREE_KIND,
} from "../../../../lib/git/history/pack-history.ts";
import { TreeContents } from "../../../../lib/git/history/tree-contents.ts";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import { ObjectForest } from "../../../../lib/git/pack/object-forest.ts";
import { OBJECT_TYPE } from "../../../../lib/git/pack/pack-format.ts";
import { SILENT_LOGGER } from "../../../../lib/log.ts";
import { repositoryKeys } from "../../../../lib/repo/layout.ts";
import type { ObjectDatabase } from "../../../../lib/repo/object-database.ts";
import { openRepository, type RepositoryStorage } from "../../../../lib/repo/repository.ts";
import { BlockCache } from "../../../../lib/store/block-cache.ts";
import { syncRepository } from "../../../../lib/sync/sync-repository.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../../../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../../../support/git/run-git.ts";
import { makeSampleRepository } from "../../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../../support/git/temporary-folder.ts";
import { expectContentsToldTruly } from "../../../support/history-checks.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000001";
const storage = newStorage();
let folder: TemporaryFolder;
let primary: FakeBitbucket;
let repository: string;
let objects: ObjectDatabase;
let history: CommitHistory;

function newStorage(): RepositoryStorage {
  const store = new MemoryBlobStore();
  return { store, blocks: new BlockCache(store) };
}

async function sync(): Promise<void> {
  const repositoryUrl = `${primary.gitUrl}/acme/sample.git`;
  const upstream = upstreamGit({ repositoryUrl, authorization: undefined, agent: "test/1", fetch });
  await syncRepository(UUID, { storage, upstream, log: SILENT_LOGGER });
}

beforeAll(async () => {
  folder = await temporaryFolder();
  const whole = `${folder.path}/whole.git`;
  await makeSampleRepository(whole, { commitCount: 60 });
  repository = `${folder.path}/acme/sample.git`;
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  primary = await startFakeBitbucket({ repositoriesFolder: folder.path });
  // Several packs: the history of the later ones leads into the earlier ones.
  for (const revision of ["main~40", "main~20", "main~1", "main"]) {
    await git(["fetch", "--quiet", whole, `+${revision}:refs/heads/main`], { cwd: repository }).catch(
      async () => {
        const id = await git(["rev-parse", revision], { cwd: whole });
        await git(["push", "--quiet", repository, `+${id}:refs/heads/main`], { cwd: whole });
      },
    );
    await sync();
  }
  await git(["push", "--quiet", "--mirror", repository], { cwd: whole });
  await sync();
  objects = await (await openRepository(storage, UUID)).openObjects();
  if (objects.history === undefined) throw new Error("no history was written");
  history = objects.history;
});

afterAll(async () => {
  await primary.close();
  await folder.remove();
});

async function lines(args: readonly string[]): Promise<string[]> {
  return (await git(args, { cwd: repository })).split("\n").filter((line) => line !== "");
}

function rowOf(commitId: string): number {
  return history.rowOf(objects.findId(parseObjectId(commitId)));
}

/** The ids at the paths of a commit's tree. */
async function pathIds(revision: string): Promise<Map<string, string>> {
  const entries = new Map<string, string>([
    ["", await git(["rev-parse", `${revision}^{tree}`], { cwd: repository })],
  ]);
  for (const line of (await git(["ls-tree", "-r", "-t", "-z", revision], { cwd: repository })).split("\0")) {
    const match = /^\d+ (\w+) ([0-9a-f]{40})\t(.*)$/s.exec(line);
    if (match?.[1] !== "commit" && match?.[2] !== undefined) entries.set(match[3] ?? "", match[2]);
  }
  return entries;
}

async function parentsOf(commitId: string): Promise<string[]> {
  return (await lines(["rev-list", "--parents", "-1", commitId]))[0]?.split(" ").slice(1) ?? [];
}

/** From git's trees: the ids at paths where they differ from all parents'. */
async function introducedByGit(commitId: string): Promise<Set<string>> {
  const own = await pathIds(commitId);
  const parentPaths = await Promise.all((await parentsOf(commitId)).map(pathIds));
  return new Set(
    [...own].filter(([path, id]) => parentPaths.every((paths) => paths.get(path) !== id)).map(([, id]) => id),
  );
}

/** By id: what was in a parent at a path where a commit has the object. */
async function replacedByGit(): Promise<Map<string, Set<string>>> {
  const replaced = new Map<string, Set<string>>();
  for (const commitId of await lines(["rev-list", "--all"])) {
    const own = await pathIds(commitId);
    for (const parent of await Promise.all((await parentsOf(commitId)).map(pathIds))) {
      for (const [path, id] of own) {
        const before = parent.get(path);
        if (before === undefined || before === id) continue;
        replaced.set(id, (replaced.get(id) ?? new Set()).add(before));
      }
    }
  }
  return replaced;
}

describe("the history of several packs", () => {
  test("is in more than two packs", async () => {
    expect((await openRepository(storage, UUID)).manifest.packs.length).toBeGreaterThan(2);
  });

  test("has every commit, with its parents, before its children", async () => {
    for (const line of await lines(["rev-list", "--all", "--parents"])) {
      const [commitId = "", ...parentIds] = line.split(" ");
      const row = rowOf(commitId);
      expect(row).toBeGreaterThanOrEqual(0);
      expect([...history.parentRows(row)]).toEqual(parentIds.map(rowOf));
      for (const parentId of parentIds) expect(rowOf(parentId)).toBeLessThan(row);
    }
  });

  test("says of each object what was at its path before it, where git says that something was", async () => {
    const replaced = await replacedByGit();
    expect(replaced.size).toBeGreaterThan(100);
    let foundCount = 0;
    for (let objectNumber = 0; objectNumber < objects.objectCount; objectNumber++) {
      const predecessor = history.versionForest.parents[objectNumber] ?? -1;
      if (predecessor < 0) continue;
      foundCount++;
      expect(replaced.get(objects.objectId(objectNumber))).toContain(objects.objectId(predecessor));
    }
    // One whose commit is in a pack with its parent, but without the parent's file, is not known.
    expect(foundCount).toBeGreaterThan(replaced.size * 0.8);
  });

  test("says of each commit what it introduces, as git does", async () => {
    for (const commitId of await lines(["rev-list", "--all"])) {
      const introduced = [...history.introduced(rowOf(commitId))].map(
        (number) => objects.objectId(number) as string,
      );
      expect(new Set(introduced)).toEqual(await introducedByGit(commitId));
      expect(new Set(introduced).size).toBe(introduced.length);
    }
  });

  test("knows every object's type and size", async () => {
    for (const line of await lines(["cat-file", "--batch-all-objects", "--batch-check"])) {
      const [id = "", type = "", size = ""] = line.split(" ");
      const number = objects.findId(parseObjectId(id));
      if (number < 0) continue; // not reachable
      expect([history.types[number], history.sizes[number]]).toEqual([
        { commit: 1, tree: 2, blob: 3, tag: 4 }[type],
        Number(size),
      ]);
    }
  });

  test("finds what is missing between any two commits", async () => {
    const commitIds = await lines(["rev-list", "--all"]);
    for (let i = 0; i + 3 < commitIds.length; i += 5) {
      const [want = "", have = ""] = [commitIds[i], commitIds[i + 3]];
      const painted = history.paint([rowOf(want)], [rowOf(have)]);
      const missing = [...painted.missingRows()].map(
        (row) => objects.objectId(history.objectNumber(row)) as string,
      );
      expect(new Set(missing)).toEqual(new Set(await lines(["rev-list", want, `^${have}`])));
      const had = new Set(await lines(["rev-list", "--objects", "--no-object-names", have]));
      for (const number of objects.packs.allObjects()) {
        if (painted.isHad(number)) expect(had).toContain(objects.objectId(number));
      }
    }
  });
});

describe("what trees hold", () => {
  /** What git says that the tree holds, submodules left out. */
  async function entriesByGit(treeId: string): Promise<string[]> {
    const entries = (await git(["ls-tree", "-z", treeId], { cwd: repository })).split("\0");
    return entries.flatMap((line) => /^\d+ (?:blob|tree) ([0-9a-f]{40})\t/s.exec(line)?.[1] ?? []).toSorted();
  }

  function idsOf(numbers: readonly number[] | undefined): string[] | undefined {
    return numbers?.map((number) => objects.objectId(number) as string).toSorted();
  }

  test("is what git says, for each tree of every commit", async () => {
    const kinds = { [TREE_KIND.whole]: 0, [TREE_KIND.changed]: 0 };
    for (const line of await lines([
      "rev-list",
      "--all",
      "--objects",
      "--filter=blob:none",
      "--no-object-names",
    ])) {
      const number = objects.findId(parseObjectId(line));
      if (history.types[number] !== OBJECT_TYPE.tree) continue;
      const kind = history.trees.kinds[number] as keyof typeof kinds;
      kinds[kind]++;
      const expected = await entriesByGit(line);
      expect(idsOf(history.trees.entriesOf(number)), line).toEqual(expected);
      expect(idsOf(history.trees.entriesBeyond(number, () => false))).toEqual([...new Set(expected)]);
    }
    expect(kinds[TREE_KIND.changed]).toBeGreaterThan(kinds[TREE_KIND.whole]);
  });

  test("is what the trees say themselves, and tags what they point to", async () => {
    await expectContentsToldTruly(objects);
    expect([...history.tagTargets].filter((target) => target >= 0).length).toBeGreaterThan(0);
  });

  test("is added up from the last known tree", async () => {
    let foundCount = 0;
    for (let number = 0; number < objects.objectCount; number++) {
      if (history.trees.kinds[number] !== TREE_KIND.changed) continue;
      const before = history.versionForest.parents[number] ?? -1;
      const [own, older] = [history.trees.entriesOf(number), history.trees.entriesOf(before)];
      const beyond = history.trees.entriesBeyond(number, (other) => other === before) ?? [];
      for (const entry of own ?? []) if (!older?.includes(entry)) expect(beyond).toContain(entry);
      for (const entry of beyond) expect(own).toContain(entry);
      foundCount += Number(beyond.length < (own?.length ?? 0));
    }
    expect(foundCount).toBeGreaterThan(20);
  });

  test("is not known of a tree that no commit introduces, nor where histories go round in a circle", () => {
    const forest = new ObjectForest(3);
    forest.parents.set([1, 0, -1]);
    const contents = new TreeContents(3, 3, forest);
    const columns = {
      treeKinds: Uint8Array.of(TREE_KIND.changed, TREE_KIND.changed, TREE_KIND.changed),
      treeChangeEnds: Uint32Array.of(1, 2, 3),
      treeChanges: Uint32Array.of(2, TREE_ENTRY_GONE + 2, 0),
    };
    contents.append(new Uint8Array(3).fill(OBJECT_TYPE.tree), columns, Uint32Array.of(0, 1, 2), () => true);
    for (const number of [0, 1, 2]) {
      expect(contents.entriesOf(number)).toBeUndefined();
    }
    expect(contents.entriesBeyond(0, (other) => other === 1)).toEqual([2]);
  });
});

describe("a history's bytes", () => {
  async function bytesOfFirst(): Promise<{ readonly bytes: Uint8Array; readonly objectCount: number }> {
    const { manifest } = await openRepository(storage, UUID);
    const [pack] = manifest.packs;
    if (pack === undefined) throw new Error("there is no pack");
    const { bytes } = await storage.store.read(repositoryKeys(UUID).packHistory(pack.id));
    return { bytes, objectCount: pack.objectCount };
  }

  test("are the same after decoding and encoding", async () => {
    const { bytes, objectCount } = await bytesOfFirst();
    const decoded = await decodePackHistory(bytes, objectCount);
    if (decoded === undefined) throw new Error("another version");
    expect(encodePackHistory(decoded)).toEqual(Uint8Array.from(bytes));
  });

  test("are refused when any byte is another, or some are missing; another version is not read", async () => {
    const { bytes, objectCount } = await bytesOfFirst();
    for (let at = 0; at < bytes.length; at += 7) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const decoding = decodePackHistory(damaged, objectCount);
      if (at >= 4 && at < 8) expect(await decoding).toBeUndefined();
      else await expect(decoding).rejects.toThrow(/history/);
    }
    await expect(decodePackHistory(bytes.slice(0, -1), objectCount)).rejects.toThrow(/history/);
    await expect(decodePackHistory(bytes, objectCount + 1)).rejects.toThrow(/does not fit/);
  });
});
