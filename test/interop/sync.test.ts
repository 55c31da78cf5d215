/** The mirror as a process: a first sync, and one poll after each change of the primary. */
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { memfs } from "memfs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { git } from "../support/git/run-git.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import {
  expectSilentFsck,
  listRefs,
  type Primary,
  reachableObjects,
  startPrimary,
} from "../support/primary.ts";

let primary: Primary;
let mirror: MirrorProcess & MirrorAnnouncement;
let cloneUrl: string;

beforeAll(async () => {
  primary = await startPrimary();
  mirror = await startMirror(primary.mirrorArguments);
  cloneUrl = mirror.repositories[0]?.cloneUrl ?? "";
});

afterAll(async () => {
  await mirror.stop();
  await primary.close();
});

test("the announcement names the repository and the primary", () => {
  const { gitUrl, apiUrl } = primary.fake;
  expect(mirror.repositories).toEqual([
    { fullName: "acme/sample", cloneUrl: `${mirror.url}/acme/sample.git` },
  ]);
  expect(mirror.primary).toEqual({ gitUrl, apiUrl });
});

describe("a first clone", () => {
  test.each([0, 1, 2])("with protocol %d has the primary's refs and objects", async (protocol) => {
    const clone = primary.newPath();
    await git(["-c", `protocol.version=${protocol}`, "clone", "--quiet", "--mirror", cloneUrl, clone]);
    await expectSilentFsck(clone);
    expect(await listRefs(clone)).toBe(await listRefs(primary.repository));
    expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
    expect(await git(["-c", `protocol.version=${protocol}`, "ls-remote", "--symref", cloneUrl])).toBe(
      await listRefs(primary.repository),
    );
  });

  test("with isomorphic-git into memory has every file of main", async () => {
    const { fs } = memfs();
    await isomorphicGit.clone({ fs, http, dir: "/clone", url: cloneUrl });
    const commitId = await isomorphicGit.resolveRef({ fs, dir: "/clone", ref: "HEAD" });
    expect(commitId).toBe(await primary.git("rev-parse", "main"));
    expect(await isomorphicGit.currentBranch({ fs, dir: "/clone" })).toBe("main");
    const files = await isomorphicGit.listFiles({ fs, dir: "/clone", ref: "HEAD" });
    expect(files).toContain("bin/run.sh");
  });
});

describe("one poll later", () => {
  let clone: string;
  /** Generations that were said to be published; compaction, which is not said here, makes others between them. */
  let publishedCount = 1;

  beforeAll(async () => {
    clone = primary.newPath();
    await git(["clone", "--quiet", cloneUrl, clone]);
  });

  /** Changes the primary in one step, as a push does, and fetches from the mirror what came of it. */
  async function fetchAfter(...changes: readonly string[]): Promise<void> {
    await git(["update-ref", "--stdin"], {
      cwd: primary.repository,
      input: ["start", ...changes, "prepare", "commit", ""].join("\n"),
    });
    await fetchNext();
  }

  async function fetchNext(): Promise<void> {
    publishedCount += 1;
    await mirror.untilSaid(new RegExp(`(^\\S+ acme/sample: generation \\d+,[^]*){${publishedCount}}`, "m"));
    expect(await listRefs(cloneUrl)).toBe(await listRefs(primary.repository));
    const refspecs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
    await git(["fetch", "--quiet", "--prune", "origin", ...refspecs], { cwd: clone });
    await git(["remote", "set-head", "origin", "--auto"], { cwd: clone });
    await expectSilentFsck(clone);
    expect(await fetchedRefs()).toEqual(await primaryRefs());
  }

  async function fetchedRefs(): Promise<string[]> {
    const lines = await git(
      ["for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/origin", "refs/tags"],
      { cwd: clone },
    );
    return lines
      .split("\n")
      .filter((line) => !line.endsWith("/HEAD"))
      .map((line) => line.replace("refs/remotes/origin/", "refs/heads/"))
      .toSorted();
  }

  async function primaryRefs(): Promise<string[]> {
    const lines = await primary.git("for-each-ref", "--format=%(objectname) %(refname)");
    return lines.split("\n").toSorted();
  }

  const idOf = (revision: string) => primary.git("rev-parse", revision);

  test("new commits are there", async () => {
    await primary.commit("main", "new.txt", "one\n");
    await fetchNext();
    await primary.commit("topic", "topic.txt", "two\n");
    await fetchNext();
  });

  test("a deleted branch is gone", async () => {
    await fetchAfter(`delete refs/heads/develop ${await idOf("develop")}`);
  });

  test("a force-push is followed, and what it took away is no longer sent", async () => {
    const lost = await primary.commit("main", "lost.txt", "lost\n");
    await fetchNext();
    await fetchAfter(`update refs/heads/main ${await idOf("main~3")}`);
    const fresh = primary.newPath();
    await git(["clone", "--quiet", "--mirror", cloneUrl, fresh]);
    expect(await reachableObjects(fresh)).toEqual(await reachableObjects(primary.repository));
    await expect(git(["cat-file", "-e", lost], { cwd: fresh })).rejects.toThrow();
  });

  test("an annotated tag is there, also a moved one", async () => {
    await primary.git("tag", "--annotate", "--message=two", "v2.0", "main");
    await fetchNext();
    await primary.git("tag", "--annotate", "--force", "--message=moved", "v2.0", "main~1");
    await fetchNext();
    await primary.git("tag", "--force", "light", "main");
    await fetchNext();
  });

  test("HEAD follows another default branch", async () => {
    await primary.git("symbolic-ref", "HEAD", "refs/heads/pages");
    await fetchNext();
    expect(await git(["symbolic-ref", "refs/remotes/origin/HEAD"], { cwd: clone })).toBe(
      "refs/remotes/origin/pages",
    );
  });

  test("HEAD follows when it is detached, at a commit that no branch has", async () => {
    const tree = await idOf("main^{tree}");
    const alone = await primary.git("commit-tree", tree, "-p", "main", "-m", "alone");
    await primary.git("update-ref", "--no-deref", "HEAD", alone);
    await fetchNextBare(`${alone}\tHEAD`);
    await primary.git("symbolic-ref", "HEAD", "refs/heads/main");
    await fetchNext();
  });

  async function fetchNextBare(headLine: string): Promise<void> {
    publishedCount += 1;
    await mirror.untilSaid(new RegExp(`(^\\S+ acme/sample: generation \\d+,[^]*){${publishedCount}}`, "m"));
    const refs = await listRefs(cloneUrl);
    expect(refs).toBe(await listRefs(primary.repository));
    expect(refs.split("\n")[0]).toBe(headLine);
    const fresh = primary.newPath();
    await git(["clone", "--quiet", "--bare", cloneUrl, fresh]);
    await expectSilentFsck(fresh);
    expect(await git(["rev-parse", "HEAD"], { cwd: fresh })).toBe(headLine.slice(0, 40));
  }
});
