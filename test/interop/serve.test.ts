/** Real git clones and fetches from the mirror; what arrives must be what git itself would have sent. */
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { memfs } from "memfs";
import { describe, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects, objectsOf, refsOf } from "../support/primary.ts";
import { ONE_PACK, REPEATING_PACKS, SEVERAL_PACKS, servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror({
  packs: { "one-pack": ONE_PACK, "several-packs": SEVERAL_PACKS, "repeating-packs": REPEATING_PACKS },
});

describe.each(["one-pack", "several-packs", "repeating-packs"])("a mirror with %s", (slug) => {
  test.each([0, 1, 2])("clones whole with protocol %d", async (protocol) => {
    const clone = mirror.newPath();
    await git([
      "-c",
      `protocol.version=${protocol}`,
      "clone",
      "--quiet",
      "--mirror",
      mirror.urlOf(slug),
      clone,
    ]);
    expect(await refsOf(clone)).toBe(await refsOf(mirror.sample));
    expect(await heldObjects(clone)).toEqual(await heldObjects(mirror.sample));
    await expectSilentFsck(clone);
  });

  test.each([0, 2])("clones a single branch with protocol %d, and sends nothing else", async (protocol) => {
    const clone = mirror.newPath();
    const options = ["--quiet", "--bare", "--single-branch", "--branch=pages", "--no-tags"];
    await git(["-c", `protocol.version=${protocol}`, "clone", ...options, mirror.urlOf(slug), clone]);
    expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, "pages"));
    await expectSilentFsck(clone);
  });

  test.each([0, 2])("sends what came since an older clone with protocol %d", async (protocol) => {
    const clone = await mirror.newClient();
    await git(
      ["fetch", "--quiet", mirror.sample, `${await mirror.idOf("main~9")}:refs/heads/main`, "--no-tags"],
      {
        cwd: clone,
      },
    );
    await git(["remote", "add", "--mirror=fetch", "origin", mirror.urlOf(slug)], { cwd: clone });
    await git(["-c", `protocol.version=${protocol}`, "fetch", "--quiet", "--prune", "origin"], {
      cwd: clone,
    });
    expect((await git(["show-ref"], { cwd: clone })).split("\n")).toEqual(
      (await git(["show-ref"], { cwd: mirror.sample })).split("\n"),
    );
    expect(await heldObjects(clone)).toEqual(await heldObjects(mirror.sample));
    await expectSilentFsck(clone);
  });

  test("sends any reachable commit by its id", async () => {
    const clone = mirror.newPath();
    const commitId = await mirror.idOf("main~7");
    await git(["init", "--quiet", "--bare", clone]);
    for (const protocol of [0, 2]) {
      await git(["-c", `protocol.version=${protocol}`, "fetch", "--quiet", mirror.urlOf(slug), commitId], {
        cwd: clone,
      });
    }
    expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, commitId));
    await expectSilentFsck(clone);
  });

  test("brings the tags of what it sends", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--bare", "--single-branch", "--branch=main", mirror.urlOf(slug), clone]);
    expect((await git(["tag", "--list"], { cwd: clone })).split("\n")).toEqual([
      "light",
      "nested-tag",
      "on-old-commit",
      "v1.0",
    ]);
    await expectSilentFsck(clone);
  });

  test.each([0, 2])("refuses an id that is not in the repository with protocol %d", async (protocol) => {
    const clone = await mirror.newClient();
    const args = ["-c", `protocol.version=${protocol}`, "fetch", mirror.urlOf(slug), "5".repeat(40)];
    const { exitCode, stderr } = await tryGit(args, { cwd: clone });
    expect(stderr).toContain(`upload-pack: not our ref ${"5".repeat(40)}`);
    expect(exitCode).toBe(128);
    expect(mirror.takePrimaryListings()).toBe(1);
  });

  test("clones into memory with isomorphic-git", async () => {
    const { fs } = memfs();
    await isomorphicGit.clone({ fs, http, dir: "/clone", url: mirror.urlOf(slug), ref: "main" });
    const commitId = await isomorphicGit.resolveRef({ fs, dir: "/clone", ref: "HEAD" });
    expect(commitId).toBe(await mirror.idOf("main"));
    const log = await isomorphicGit.log({ fs, dir: "/clone" });
    expect(log.length).toBe(Number(await git(["rev-list", "--count", "main"], { cwd: mirror.sample })));
  });
});

describe("a fetch asks the primary", () => {
  /** What later fetches ask for depends on it. */
  const CLONES = {
    whole: [],
    shallow: ["--depth=1"],
    "single-branch": ["--single-branch", "--no-tags"],
    "shallow of a tag": ["--depth=1", "--branch=v1.0"],
  };
  test.each(Object.entries(CLONES))("nothing in a %s clone", async (_, options) => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", ...options, mirror.urlOf("several-packs"), clone]);
    await git(["fetch", "--quiet"], { cwd: clone });
    await git(["fetch", "--quiet", "--depth=2"], { cwd: clone });
    expect(mirror.takePrimaryListings()).toBe(0);
  });

  test.each([
    ["nothing for a branch", 0, ["main", "develop"]],
    ["nothing for a branch by its full name", 0, ["refs/heads/main"]],
    ["nothing for a refspec", 0, ["+refs/heads/main:refs/remotes/origin/main"]],
    ["nothing for a tag", 0, ["refs/tags/v1.0:refs/tags/v1.0"]],
    ["nothing for a pattern", 0, ["+refs/heads/oct*:refs/remotes/origin/oct*"]],
    ["nothing for HEAD", 0, ["HEAD"]],
    ["once for a branch that is not here", 1, ["main", "later"]],
    ["once for a full name that is not here", 1, ["refs/heads/later"]],
  ])("%s", async (_, listings, refspecs) => {
    const client = await mirror.newClient();
    const { exitCode } = await tryGit(["fetch", mirror.urlOf("several-packs"), ...refspecs], { cwd: client });
    expect(exitCode).toBe(listings === 0 ? 0 : 128);
    expect(mirror.takePrimaryListings()).toBe(listings);
  });
});

test("a fetch with deltas against what the client has stays small", async () => {
  const clone = await mirror.newClient();
  await git(
    ["fetch", "--quiet", mirror.sample, `${await mirror.idOf("main~1")}:refs/heads/main`, "--no-tags"],
    {
      cwd: clone,
    },
  );
  const before = await heldObjects(clone);
  await git(["fetch", "--quiet", "--no-tags", mirror.urlOf("several-packs"), "main:refs/heads/main"], {
    cwd: clone,
  });
  const after = await heldObjects(clone);
  const wanted = await objectsOf(mirror.sample, "main", "^main~1");
  expect(after.filter((id) => !before.includes(id))).toEqual(wanted);
});

test("a negotiation of many rounds ends with the same objects", async () => {
  const clone = mirror.newPath();
  await git(["clone", "--quiet", mirror.sample, clone]);
  // Hundreds of commits that the mirror does not know, so that the common ones come late.
  await git(["reset", "--quiet", "--hard", "origin/main~20"], { cwd: clone });
  const stream = Array.from(
    { length: 400 },
    (_, i) =>
      `commit refs/heads/local-${i % 5}\ncommitter C <c@example.com> ${1_800_000_000 + i} +0000\ndata 2\n${String(i % 10)}\n` +
      (i < 5 ? "from refs/heads/main\n" : ""),
  ).join("\n");
  await git(["fast-import", "--quiet", "--force"], { cwd: clone, input: `${stream}\n` });
  for (const protocol of [0, 2]) {
    const target = mirror.newPath();
    await git(["clone", "--quiet", "--mirror", clone, target]);
    const args = [
      "-c",
      `protocol.version=${protocol}`,
      "fetch",
      "--quiet",
      mirror.urlOf("several-packs"),
      "+refs/*:refs/mirror/*",
    ];
    await git(args, { cwd: target });
    expect(await git(["rev-parse", "refs/mirror/heads/octopus"], { cwd: target })).toBe(
      await mirror.idOf("octopus"),
    );
    await expectSilentFsck(target);
  }
});
