/** A repository of rare things, served to real git as git itself would serve it. */
import { describe, expect, test } from "vitest";
import { OFS_ALL } from "../support/git/mirror-builder.ts";
import { makeOddRepository } from "../support/git/odd-repository.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { heldObjects } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror({
  make: makeOddRepository,
  packs: {
    odd: [
      { revisions: ["wide~1", "huge~1", "deep~1", "left~3"] },
      {
        revisions: ["^wide~1", "^huge~1", "^deep~1", "^left~3"],
        packObjectsOptions: ["--thin", ...OFS_ALL],
      },
    ],
  },
});
const odd = mirror.sample;

/** Without `--strict`, which minds the odd modes. */
async function expectWhole(repository: string): Promise<void> {
  const { exitCode, stderr } = await tryGit(["fsck", "--full", "--no-dangling"], { cwd: repository });
  expect(stderr).not.toMatch(/^(error|missing|broken)/m);
  expect(exitCode).toBe(0);
}

async function commitsOf(repository: string): Promise<string> {
  return git(["rev-list", "--all"], { cwd: repository });
}

const BRANCHES = ["wide", "huge", "deep", "roots", "criss-cross", "modes", "empty"];

test.each([0, 2])("a clone with protocol %d is whole", async (protocol) => {
  const clone = mirror.newPath();
  const config = ["-c", `protocol.version=${protocol}`];
  await git([...config, "clone", "--quiet", "--mirror", mirror.urlOf("odd"), clone]);
  expect(await git(["show-ref"], { cwd: clone })).toBe(await git(["show-ref"], { cwd: odd }));
  expect(await heldObjects(clone)).toEqual(await heldObjects(odd));
  await expectWhole(clone);
});

test.each([
  ["--depth=1"],
  ["--depth=3"],
  ["--filter=blob:none"],
  ["--filter=tree:3"],
  ["--filter=blob:limit=1m"],
  ["--filter=tree:0", "--depth=2"],
])("a clone with %s %s holds what git sends", async (...options: string[]) => {
  const [clone, reference] = [mirror.newPath(), mirror.newPath()];
  await git(["clone", "--quiet", "--mirror", ...options, mirror.urlOf("odd"), clone]);
  await git(["clone", "--quiet", "--mirror", ...options, mirror.gitUrl, reference]);
  expect(await commitsOf(clone)).toBe(await commitsOf(reference));
  const held = new Set(await heldObjects(clone));
  const heldByReference = await heldObjects(reference);
  expect(heldByReference.filter((id) => !held.has(id))).toEqual([]);
  expect(held.size).toBeLessThanOrEqual(heldByReference.length + 1000);
  await expectWhole(clone);
});

describe.each(BRANCHES)("branch %s", (branch) => {
  test("comes alone, then the rest", async () => {
    const clone = await mirror.newClient();
    await git(["fetch", "--quiet", "--no-tags", mirror.urlOf("odd"), `${branch}:${branch}`], { cwd: clone });
    const objects = await git(["rev-list", "--objects", "--no-object-names", branch], { cwd: odd });
    expect(await heldObjects(clone)).toEqual(objects.split("\n").toSorted());
    await git(["fetch", "--quiet", mirror.urlOf("odd"), "+refs/*:refs/*"], { cwd: clone });
    expect(await heldObjects(clone)).toEqual(await heldObjects(odd));
    await expectWhole(clone);
  });

  test("comes shallow, deeper, and whole", async () => {
    const clone = await mirror.newClient();
    for (const option of ["--depth=1", "--deepen=1", "--unshallow"]) {
      const isShallow = (await git(["rev-parse", "--is-shallow-repository"], { cwd: clone })) === "true";
      if (option !== "--depth=1" && !isShallow) continue;
      await git(["fetch", "--quiet", "--no-tags", option, mirror.urlOf("odd"), `${branch}:${branch}`], {
        cwd: clone,
      });
      await expectWhole(clone);
    }
    const objects = await git(["rev-list", "--objects", "--no-object-names", branch], { cwd: odd });
    expect(await heldObjects(clone)).toEqual(objects.split("\n").toSorted());
  });
});

test.each([0, 1, 2])("submodules come with a depth with protocol %d", async (protocol) => {
  const [parent, clone] = [mirror.newPath(), mirror.newPath()];
  await git(["init", "--quiet", parent]);
  const commitId = await git(["rev-parse", "criss-cross"], { cwd: odd });
  const gitmodules = `[submodule "odd"]\n\tpath = odd\n\turl = ${mirror.urlOf("odd")}\n\tbranch = criss-cross\n`;
  const blobId = await git(["hash-object", "-w", "--stdin"], { cwd: parent, input: gitmodules });
  const entries = `100644 blob ${blobId}\t.gitmodules\n160000 commit ${commitId}\todd\n`;
  const treeId = await git(["mktree"], { cwd: parent, input: entries });
  const parentId = await git(["commit-tree", "-m", "Parent", treeId], { cwd: parent });
  await git(["update-ref", "refs/heads/main", parentId], { cwd: parent });
  const config = ["-c", `protocol.version=${protocol}`];
  const options = ["--quiet", "--recurse-submodules", "--shallow-submodules"];
  await git([...config, "clone", ...options, parent, clone]);
  expect(await git(["rev-parse", "HEAD"], { cwd: `${clone}/odd` })).toBe(commitId);
  expect(await git(["rev-list", "--count", "HEAD"], { cwd: `${clone}/odd` })).toBe("1");
  await expectWhole(`${clone}/odd`);
});
