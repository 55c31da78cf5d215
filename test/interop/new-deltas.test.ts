/** Deltas that the mirror makes itself: what they may cost clients, and later readers of the store. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { EAGER } from "../support/compaction-policies.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck } from "../support/primary.ts";
import { useSyncRig } from "../support/shared-set-ups.ts";
import { expectCloneLikePrimary, RIG_UUID } from "../support/sync-rig.ts";

const { primary, rig } = useSyncRig();
let store: BlobStore;

beforeEach(() => {
  store = rig.storage.store;
});

/** Versions of one file, a line apart, as commits of `main`. */
async function commitVersions(count: number): Promise<void> {
  const start = await primary.git("rev-parse", "main");
  const lines = Array.from({ length: 60 }, (_, line) => `line ${line} of the file`);
  const commits = Array.from({ length: count }, (_, i) => {
    const content = `${lines.with(i % 60, `changed in version ${i}`).join("\n")}\n`;
    const from = i === 0 ? `from ${start}\n` : "";
    const head = `commit refs/heads/main\ncommitter C <c@example.com> ${1_700_000_000 + i} +0000\ndata 1\n.\n`;
    return `${head}${from}M 100644 inline versions.txt\ndata ${content.length}\n${content}\n`;
  });
  await git(["fast-import", "--quiet", "--force", "--depth=0"], {
    cwd: primary.repository,
    input: commits.join(""),
  });
}

/** The longest chain of deltas in a repository's packs, as git counts it. */
async function longestChain(repository: string): Promise<number> {
  const folder = join(repository, "objects/pack");
  let longest = 0;
  for (const file of await readdir(folder)) {
    if (!file.endsWith(".idx")) continue;
    const lines = await git(["verify-pack", "--verbose", join(folder, file)], {});
    for (const match of lines.matchAll(/^chain length = (\d+):/gm))
      longest = Math.max(longest, Number(match[1]));
  }
  return longest;
}

test("a thin answer has no chains longer than git would make, however many versions there are", async () => {
  await primary.git("config", "pack.window", "0");
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", "--branch=main", "--single-branch", primary.repository, clone]);
  await commitVersions(150);
  await rig.sync();
  await git(["-c", "fetch.unpackLimit=1", "fetch", "--quiet", await rig.serve(), "main:main"], {
    cwd: clone,
  });
  await expectSilentFsck(clone);
  expect(await git(["rev-parse", "main"], { cwd: clone })).toBe(await primary.git("rev-parse", "main"));
  const longest = await longestChain(clone);
  expect(longest).toBeGreaterThan(10);
  expect(longest).toBeLessThanOrEqual(51);
});

test("chains do not grow with the number of pushes where packs are merged", async () => {
  await rig.sync();
  for (let push = 0; push < 130; push++) {
    await primary.commit("main", "dir/file.txt", `${"a line\n".repeat(200)}${push}\n`);
    await rig.sync();
    if (push % 10 === 9) await compactRepository(RIG_UUID, { store, policy: EAGER });
  }
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", await rig.serve(), clone]);
  const longest = await longestChain(clone);
  expect(longest).toBeGreaterThan(50);
  expect(longest).toBeLessThanOrEqual(115);
  await expectCloneLikePrimary(rig, primary);
});
