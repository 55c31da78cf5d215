/** A repository of rare things, served to real git as git itself would serve it. */
import { basename, dirname } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type GitHttpServer, startGitHttpServer } from "../support/git/git-http-server.ts";
import { heldObjects, type MirrorServer, OFS_ALL, startMirrorServer } from "../support/git/mirror-server.ts";
import { makeOddRepository } from "../support/git/odd-repository.ts";
import { git, tryGit } from "../support/git/run-git.ts";

let server: MirrorServer;
let gitServer: GitHttpServer;
let odd: string;

beforeAll(async () => {
  server = await startMirrorServer();
  odd = server.newPath();
  await makeOddRepository(odd);
  gitServer = await startGitHttpServer(dirname(odd));
  const mirror = await server.mirrorOf(odd);
  await mirror.addPack({ revisions: ["wide~1", "huge~1", "deep~1", "left~3"] });
  await mirror.addPack({
    revisions: ["^wide~1", "^huge~1", "^deep~1", "^left~3"],
    packObjectsOptions: ["--thin", ...OFS_ALL],
  });
  await mirror.publish("acme", "odd");
});

afterEach(() => {
  expect(server.takeFailures()).toEqual([]);
});

afterAll(async () => {
  await gitServer.close();
  await server.close();
});

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
  const clone = server.newPath();
  const config = ["-c", `protocol.version=${protocol}`];
  await git([...config, "clone", "--quiet", "--mirror", server.urlOf("odd"), clone]);
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
  const [clone, reference] = [server.newPath(), server.newPath()];
  await git(["clone", "--quiet", "--mirror", ...options, server.urlOf("odd"), clone]);
  await git(["clone", "--quiet", "--mirror", ...options, gitServer.urlOf(basename(odd)), reference]);
  expect(await commitsOf(clone)).toBe(await commitsOf(reference));
  const held = new Set(await heldObjects(clone));
  const heldByReference = await heldObjects(reference);
  expect(heldByReference.filter((id) => !held.has(id))).toEqual([]);
  expect(held.size).toBeLessThanOrEqual(heldByReference.length + 1000);
  await expectWhole(clone);
});

describe.each(BRANCHES)("branch %s", (branch) => {
  test("comes alone, then the rest", async () => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", "--no-tags", server.urlOf("odd"), `${branch}:${branch}`], { cwd: clone });
    const objects = await git(["rev-list", "--objects", "--no-object-names", branch], { cwd: odd });
    expect(await heldObjects(clone)).toEqual(objects.split("\n").toSorted());
    await git(["fetch", "--quiet", server.urlOf("odd"), "+refs/*:refs/*"], { cwd: clone });
    expect(await heldObjects(clone)).toEqual(await heldObjects(odd));
    await expectWhole(clone);
  });

  test("comes shallow, deeper, and whole", async () => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    for (const option of ["--depth=1", "--deepen=1", "--unshallow"]) {
      const isShallow = (await git(["rev-parse", "--is-shallow-repository"], { cwd: clone })) === "true";
      if (option !== "--depth=1" && !isShallow) continue;
      await git(["fetch", "--quiet", "--no-tags", option, server.urlOf("odd"), `${branch}:${branch}`], {
        cwd: clone,
      });
      await expectWhole(clone);
    }
    const objects = await git(["rev-list", "--objects", "--no-object-names", branch], { cwd: odd });
    expect(await heldObjects(clone)).toEqual(objects.split("\n").toSorted());
  });
});

test.each([0, 1, 2])("submodules come with a depth with protocol %d", async (protocol) => {
  const [parent, clone] = [server.newPath(), server.newPath()];
  await git(["init", "--quiet", parent]);
  const commitId = await git(["rev-parse", "criss-cross"], { cwd: odd });
  const gitmodules = `[submodule "odd"]\n\tpath = odd\n\turl = ${server.urlOf("odd")}\n\tbranch = criss-cross\n`;
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
