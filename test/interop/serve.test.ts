/** Real git clones and fetches from the mirror; what arrives must be what git itself would have sent. */
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { memfs } from "memfs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  expectSound,
  heldObjects,
  type MirrorServer,
  OFS_ALL,
  objectsOf,
  refsOf,
  startMirrorServer,
} from "../support/git/mirror-server.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";

let server: MirrorServer;
let sample: string;

beforeAll(async () => {
  server = await startMirrorServer();
  sample = server.newPath();
  await makeSampleRepository(sample);
  await git(["gc", "--quiet"], { cwd: sample });
  const one = await server.mirrorOf(sample);
  await one.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await one.publish("acme", "one-pack");
  const several = await server.mirrorOf(sample);
  await several.addPack({ revisions: ["main~15"] });
  await several.addPack({
    revisions: ["main~5", "^main~15"],
    packObjectsOptions: ["--thin", "--delta-base-offset"],
  });
  await several.addPack({ revisions: ["^main~5"], packObjectsOptions: ["--thin", ...OFS_ALL] });
  await several.publish("acme", "several-packs");
  const repeating = await server.mirrorOf(sample);
  await repeating.addPack({ revisions: ["main~8"] });
  await repeating.addPack({ revisions: ["main", "^main~12"], packObjectsOptions: ["--thin"] });
  await repeating.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await repeating.publish("acme", "repeating-packs");
});

afterEach(() => {
  expect(server.takeFailures()).toEqual([]);
});

afterAll(async () => {
  await server.close();
});

const commitIdOf = (revision: string) => git(["rev-parse", revision], { cwd: sample });

describe.each(["one-pack", "several-packs", "repeating-packs"])("a mirror with %s", (slug) => {
  test.each([0, 1, 2])("clones whole with protocol %d", async (protocol) => {
    const clone = server.newPath();
    await git([
      "-c",
      `protocol.version=${protocol}`,
      "clone",
      "--quiet",
      "--mirror",
      server.urlOf(slug),
      clone,
    ]);
    expect(await refsOf(clone)).toBe(await refsOf(sample));
    expect(await heldObjects(clone)).toEqual(await heldObjects(sample));
    await expectSound(clone);
  });

  test.each([0, 2])("clones a single branch with protocol %d, and sends nothing else", async (protocol) => {
    const clone = server.newPath();
    const options = ["--quiet", "--bare", "--single-branch", "--branch=pages", "--no-tags"];
    await git(["-c", `protocol.version=${protocol}`, "clone", ...options, server.urlOf(slug), clone]);
    expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "pages"));
    await expectSound(clone);
  });

  test.each([0, 2])("sends what came since an older clone with protocol %d", async (protocol) => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", sample, `${await commitIdOf("main~9")}:refs/heads/main`, "--no-tags"], {
      cwd: clone,
    });
    await git(["remote", "add", "--mirror=fetch", "origin", server.urlOf(slug)], { cwd: clone });
    await git(["-c", `protocol.version=${protocol}`, "fetch", "--quiet", "--prune", "origin"], {
      cwd: clone,
    });
    expect((await git(["show-ref"], { cwd: clone })).split("\n")).toEqual(
      (await git(["show-ref"], { cwd: sample })).split("\n"),
    );
    expect(await heldObjects(clone)).toEqual(await heldObjects(sample));
    await expectSound(clone);
  });

  test("sends any reachable commit by its id", async () => {
    const clone = server.newPath();
    const commitId = await git(["rev-parse", "main~7"], { cwd: sample });
    await git(["init", "--quiet", "--bare", clone]);
    for (const protocol of [0, 2]) {
      await git(["-c", `protocol.version=${protocol}`, "fetch", "--quiet", server.urlOf(slug), commitId], {
        cwd: clone,
      });
    }
    expect(await heldObjects(clone)).toEqual(await objectsOf(sample, commitId));
    await expectSound(clone);
  });

  test("brings the tags of what it sends", async () => {
    const clone = server.newPath();
    await git(["clone", "--quiet", "--bare", "--single-branch", "--branch=main", server.urlOf(slug), clone]);
    expect((await git(["tag", "--list"], { cwd: clone })).split("\n")).toEqual([
      "light",
      "nested-tag",
      "on-old-commit",
      "v1.0",
    ]);
    await expectSound(clone);
  });

  test.each([0, 2])("refuses an id that is not in the repository with protocol %d", async (protocol) => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    const args = ["-c", `protocol.version=${protocol}`, "fetch", server.urlOf(slug), "5".repeat(40)];
    const { exitCode, stderr } = await tryGit(args, { cwd: clone });
    expect(stderr).toContain(`upload-pack: not our ref ${"5".repeat(40)}`);
    expect(exitCode).toBe(128);
  });

  test("clones into memory with isomorphic-git", async () => {
    const { fs } = memfs();
    await isomorphicGit.clone({ fs, http, dir: "/clone", url: server.urlOf(slug), ref: "main" });
    const commitId = await isomorphicGit.resolveRef({ fs, dir: "/clone", ref: "HEAD" });
    expect(commitId).toBe(await git(["rev-parse", "main"], { cwd: sample }));
    const log = await isomorphicGit.log({ fs, dir: "/clone" });
    expect(log.length).toBe(Number(await git(["rev-list", "--count", "main"], { cwd: sample })));
  });
});

test("a fetch with deltas against what the client has stays small", async () => {
  const clone = server.newPath();
  await git(["init", "--quiet", "--bare", clone]);
  await git(["fetch", "--quiet", sample, `${await commitIdOf("main~1")}:refs/heads/main`, "--no-tags"], {
    cwd: clone,
  });
  const before = await heldObjects(clone);
  await git(["fetch", "--quiet", "--no-tags", server.urlOf("several-packs"), "main:refs/heads/main"], {
    cwd: clone,
  });
  const after = await heldObjects(clone);
  const wanted = await objectsOf(sample, "main", "^main~1");
  expect(after.filter((id) => !before.includes(id))).toEqual(wanted);
});

test("a negotiation of many rounds ends with the same objects", async () => {
  const clone = server.newPath();
  await git(["clone", "--quiet", sample, clone]);
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
    const target = server.newPath();
    await git(["clone", "--quiet", "--mirror", clone, target]);
    const args = [
      "-c",
      `protocol.version=${protocol}`,
      "fetch",
      "--quiet",
      server.urlOf("several-packs"),
      "+refs/*:refs/mirror/*",
    ];
    await git(args, { cwd: target });
    expect(await git(["rev-parse", "refs/mirror/heads/octopus"], { cwd: target })).toBe(
      await git(["rev-parse", "octopus"], { cwd: sample }),
    );
    await expectSound(target);
  }
});
