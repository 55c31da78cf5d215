/** Repositories in unusual states, mirrored by the real process: empty, without the branch that HEAD names, detached. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import {
  expectSilentFsck,
  listRefs,
  makeEmptyRepository,
  type Primary,
  startPrimary,
} from "../support/primary.ts";

let primary: Primary;
let mirror: MirrorProcess & MirrorAnnouncement;
let url: string;

afterEach(async () => {
  await mirror.stop();
  await primary.close();
});

async function mirrorOf(make: (repository: string) => Promise<void>, misbehaviour = {}): Promise<void> {
  primary = await startPrimary({ make });
  primary.fake.controls.misbehave(misbehaviour);
  mirror = await startMirror(primary.mirrorArguments);
  url = mirror.repositories[0]?.cloneUrl ?? "";
}

async function expectGeneration(generation: number): Promise<void> {
  await mirror.untilSaid(new RegExp(`generation ${generation},`));
  expect(await listRefs(url)).toBe(await listRefs(primary.repository));
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--mirror", url, clone]);
  await expectSilentFsck(clone);
}

test("an empty repository stays one, with its branch name, until the first push", async () => {
  await mirrorOf((repository) => makeEmptyRepository(repository, "trunk"));
  const clone = primary.newPath();
  const { exitCode, stderr } = await tryGit(["-c", "protocol.version=2", "clone", url, clone]);
  expect(exitCode).toBe(0);
  expect(stderr).toContain("warning: You appear to have cloned an empty repository.");
  expect(await git(["symbolic-ref", "HEAD"], { cwd: clone })).toBe("refs/heads/trunk");
  expect(
    new Set(primary.fake.controls.requests.map(({ surface, gitProtocol }) => `${surface} ${gitProtocol}`)),
  ).toEqual(new Set(["rest undefined", "git version=2"]));
  const commitId = await primary.commit("trunk", "first.txt", "first\n");
  await expectGeneration(2);
  await git(["pull", "--quiet"], { cwd: clone });
  expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(commitId);
});

test("an empty repository behind protocol 0", async () => {
  await mirrorOf(makeEmptyRepository, { forceProtocolV0: true });
  expect(await git(["ls-remote", url])).toBe("");
  await primary.commit("main", "first.txt", "first\n");
  await expectGeneration(2);
});

test("a repository that loses all its branches is empty again", async () => {
  await mirrorOf(async (repository) => {
    await makeEmptyRepository(repository);
  });
  await primary.commit("main", "first.txt", "first\n");
  await expectGeneration(2);
  await primary.git("update-ref", "-d", "refs/heads/main");
  await expectGeneration(3);
  expect(await git(["ls-remote", url])).toBe("");
});

test("HEAD names a branch that is not there, though others are", async () => {
  await mirrorOf(async (repository) => {
    await makeEmptyRepository(repository, "missing");
  });
  await primary.commit("other", "first.txt", "first\n");
  await expectGeneration(2);
  const lines = await git(["-c", "protocol.version=2", "ls-remote", "--symref", url]);
  expect(lines).not.toContain("HEAD");
  await primary.commit("missing", "second.txt", "second\n");
  await expectGeneration(3);
});

test("HEAD is detached from the start", async () => {
  await mirrorOf(async (repository) => {
    await makeEmptyRepository(repository);
    const tree = await git(["mktree"], { cwd: repository, input: "" });
    const commitId = await git(["commit-tree", tree, "-m", "alone"], { cwd: repository });
    await git(["update-ref", "--no-deref", "HEAD", commitId], { cwd: repository });
  });
  await expectGeneration(1);
  expect(await git(["ls-remote", url])).toMatch(/^[0-9a-f]{40}\tHEAD$/);
});

test("a HEAD at a tag and symbolic refs are as at the primary, also when only they change", async () => {
  await mirrorOf(async (repository) => {
    await makeEmptyRepository(repository);
    const tree = await git(["mktree"], { cwd: repository, input: "" });
    const commitId = await git(["commit-tree", tree, "-m", "alone"], { cwd: repository });
    for (const branch of ["main", "other"])
      await git(["update-ref", `refs/heads/${branch}`, commitId], { cwd: repository });
    await git(["tag", "-m", "One", "v1", "main"], { cwd: repository });
    const tagId = await git(["rev-parse", "refs/tags/v1"], { cwd: repository });
    await writeFile(join(repository, "HEAD"), `${tagId}\n`);
    await git(["symbolic-ref", "refs/heads/alias", "refs/heads/main"], { cwd: repository });
    await git(["symbolic-ref", "refs/heads/again", "refs/heads/alias"], { cwd: repository });
  });
  const listsOf = (address: string) =>
    Promise.all(
      [0, 2].map((version) => git(["-c", `protocol.version=${version}`, "ls-remote", "--symref", address])),
    );
  const expectPrimarysLists = async (generation: number) => {
    // No clone: git refuses one whose HEAD is at a tag.
    await mirror.untilSaid(new RegExp(`generation ${generation},`));
    const lists = await listsOf(`${primary.fake.gitUrl}/acme/sample.git`);
    expect(await listsOf(url)).toEqual(lists);
    return lists;
  };
  const [v0, v2] = await expectPrimarysLists(1);
  expect(v0).toMatch(/^[0-9a-f]{40}\tHEAD\n[0-9a-f]{40}\tHEAD\^\{\}\n/);
  expect(v2).toContain("ref: refs/heads/main\trefs/heads/again\n");
  await primary.git("symbolic-ref", "refs/heads/alias", "refs/heads/other");
  expect((await expectPrimarysLists(2))[1]).toContain("ref: refs/heads/other\trefs/heads/again\n");
  await primary.git("update-ref", "--no-deref", "HEAD", "refs/heads/main");
  await expectPrimarysLists(3);
});
