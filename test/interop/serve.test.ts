/** Real git clones and fetches from the mirror; what arrives must be what git itself would have sent. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { memfs } from "memfs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { MemoryBlobStore } from "../../lib/store/memory-blob-store.ts";
import { MirrorBuilder } from "../support/git/mirror-builder.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const OFS_ALL = ["--delta-base-offset", "--all"];

let folder: TemporaryFolder;
let server: NodeServer;
let sample: string;
const store = new MemoryBlobStore();
let nextFolder = 1;
const failures: unknown[] = [];

const newPath = () => join(folder.path, `${nextFolder++}`);
const urlOf = (slug: string) => `${server.url}/acme/${slug}.git`;

beforeAll(async () => {
  folder = await temporaryFolder();
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
  const log = { ...SILENT_LOGGER, error: (event: string, fields = {}) => failures.push({ event, ...fields }) };
  const resolve = (workspace: string, slug: string) => catalog.resolve(workspace, slug);
  server = await startNodeServer(gitHttp({ resolve, log, agent: "nearside/test" }), { log });
  sample = newPath();
  await makeSampleRepository(sample);
  await git(["gc", "--quiet"], { cwd: sample });
  const one = await MirrorBuilder.open(store, sample, newPath());
  await one.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await one.publish("acme", "one-pack");
  const several = await MirrorBuilder.open(store, sample, newPath());
  await several.addPack({ revisions: ["main~15"] });
  await several.addPack({
    revisions: ["main~5", "^main~15"],
    packObjectsOptions: ["--thin", "--delta-base-offset"],
  });
  await several.addPack({ revisions: ["^main~5"], packObjectsOptions: ["--thin", ...OFS_ALL] });
  await several.publish("acme", "several-packs");
  const repeating = await MirrorBuilder.open(store, sample, newPath());
  await repeating.addPack({ revisions: ["main~8"] });
  await repeating.addPack({ revisions: ["main", "^main~12"], packObjectsOptions: ["--thin"] });
  await repeating.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await repeating.publish("acme", "repeating-packs");
});

afterEach(() => {
  expect(failures.splice(0)).toEqual([]);
});

afterAll(async () => {
  await server.close();
  await folder.remove();
});

const commitIdOf = (revision: string) => git(["rev-parse", revision], { cwd: sample });

/** All refs with their values, HEAD and where it points included. */
async function refsOf(repository: string): Promise<string> {
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"], { cwd: repository });
  return `${head}\n${await git(["show-ref", "--head", "--dereference"], { cwd: repository })}`;
}

async function objectsOf(repository: string, ...revisions: string[]): Promise<string[]> {
  const objects = await git(["rev-list", "--objects", "--no-object-names", ...revisions], {
    cwd: repository,
  });
  return objects.split("\n").toSorted();
}

/** Every object in the repository's packs and loose files, reachable or not. */
async function heldObjects(repository: string): Promise<string[]> {
  const args = ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"];
  return (await git(args, { cwd: repository })).split("\n").toSorted();
}

async function expectSound(repository: string): Promise<void> {
  const { exitCode, stdout, stderr } = await tryGit(["fsck", "--full", "--strict", "--no-dangling"], {
    cwd: repository,
  });
  // The sample holds a .gitmodules link and a commit without a tree entry on purpose; they are no errors.
  expect({
    exitCode,
    stdout: new TextDecoder().decode(stdout),
    stderr: stderr.replace(/^.*notice.*$/gm, ""),
  }).toEqual({
    exitCode: 0,
    stdout: "",
    stderr: expect.not.stringContaining("error"),
  });
}

describe.each(["one-pack", "several-packs", "repeating-packs"])("a mirror with %s", (slug) => {
  test.each([0, 1, 2])("clones whole with protocol %d", async (protocol) => {
    const clone = newPath();
    await git(["-c", `protocol.version=${protocol}`, "clone", "--quiet", "--mirror", urlOf(slug), clone]);
    expect(await refsOf(clone)).toBe(await refsOf(sample));
    expect(await heldObjects(clone)).toEqual(await heldObjects(sample));
    await expectSound(clone);
  });

  test.each([0, 2])("clones a single branch with protocol %d, and sends nothing else", async (protocol) => {
    const clone = newPath();
    const options = ["--quiet", "--bare", "--single-branch", "--branch=pages", "--no-tags"];
    await git(["-c", `protocol.version=${protocol}`, "clone", ...options, urlOf(slug), clone]);
    expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "pages"));
    await expectSound(clone);
  });

  test.each([0, 2])("sends what came since an older clone with protocol %d", async (protocol) => {
    const clone = newPath();
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", sample, `${await commitIdOf("main~9")}:refs/heads/main`, "--no-tags"], { cwd: clone });
    await git(["remote", "add", "--mirror=fetch", "origin", urlOf(slug)], { cwd: clone });
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
    const clone = newPath();
    const commitId = await git(["rev-parse", "main~7"], { cwd: sample });
    await git(["init", "--quiet", "--bare", clone]);
    for (const protocol of [0, 2]) {
      await git(["-c", `protocol.version=${protocol}`, "fetch", "--quiet", urlOf(slug), commitId], {
        cwd: clone,
      });
    }
    expect(await heldObjects(clone)).toEqual(await objectsOf(sample, commitId));
    await expectSound(clone);
  });

  test("brings the tags of what it sends", async () => {
    const clone = newPath();
    await git(["clone", "--quiet", "--bare", "--single-branch", "--branch=main", urlOf(slug), clone]);
    expect((await git(["tag", "--list"], { cwd: clone })).split("\n")).toEqual([
      "light",
      "nested-tag",
      "on-old-commit",
      "v1.0",
    ]);
    await expectSound(clone);
  });

  test.each([0, 2])("refuses an id that is not in the repository with protocol %d", async (protocol) => {
    const clone = newPath();
    await git(["init", "--quiet", "--bare", clone]);
    const args = ["-c", `protocol.version=${protocol}`, "fetch", urlOf(slug), "5".repeat(40)];
    const { exitCode, stderr } = await tryGit(args, { cwd: clone });
    expect(stderr).toContain(`upload-pack: not our ref ${"5".repeat(40)}`);
    expect(exitCode).toBe(128);
  });

  test("clones into memory with isomorphic-git", async () => {
    const { fs } = memfs();
    await isomorphicGit.clone({ fs, http, dir: "/clone", url: urlOf(slug), ref: "main" });
    const commitId = await isomorphicGit.resolveRef({ fs, dir: "/clone", ref: "HEAD" });
    expect(commitId).toBe(await git(["rev-parse", "main"], { cwd: sample }));
    const log = await isomorphicGit.log({ fs, dir: "/clone" });
    expect(log.length).toBe(Number(await git(["rev-list", "--count", "main"], { cwd: sample })));
  });
});

test("a fetch with deltas against what the client has stays small", async () => {
  const clone = newPath();
  await git(["init", "--quiet", "--bare", clone]);
  await git(["fetch", "--quiet", sample, `${await commitIdOf("main~1")}:refs/heads/main`, "--no-tags"], { cwd: clone });
  const before = await heldObjects(clone);
  await git(["fetch", "--quiet", "--no-tags", urlOf("several-packs"), "main:refs/heads/main"], {
    cwd: clone,
  });
  const after = await heldObjects(clone);
  const wanted = await objectsOf(sample, "main", "^main~1");
  expect(after.filter((id) => !before.includes(id))).toEqual(wanted);
});

describe("after a force-push", () => {
  let rewound: string;
  let lostCommitId: string;
  let lostBlobId: string;

  beforeAll(async () => {
    rewound = newPath();
    await git(["clone", "--quiet", "--mirror", sample, rewound]);
    lostBlobId = await git(["hash-object", "-w", "--stdin"], { cwd: rewound, input: "secret\n" });
    const treeId = await git(["mktree"], { cwd: rewound, input: `100644 blob ${lostBlobId}\tsecret\n` });
    lostCommitId = await git(["commit-tree", "-p", "main", "-m", "Lost", treeId], { cwd: rewound });
    await git(["update-ref", "refs/heads/lost", lostCommitId], { cwd: rewound });
    const mirror = await MirrorBuilder.open(store, rewound, newPath());
    await mirror.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await git(["update-ref", "-d", "refs/heads/lost"], { cwd: rewound });
    await mirror.publish("acme", "rewound", { mayHoldUnreachable: true });
  });

  test("a clone does not get what no ref reaches", async () => {
    const clone = newPath();
    await git(["clone", "--quiet", "--mirror", urlOf("rewound"), clone]);
    expect(await heldObjects(clone)).toEqual(await heldObjects(sample));
    await expectSound(clone);
  });

  test("a lost commit or blob cannot be fetched by its id, a reachable one can", async () => {
    const clone = newPath();
    await git(["init", "--quiet", "--bare", clone]);
    for (const id of [lostCommitId, lostBlobId]) {
      const { exitCode, stderr } = await tryGit(["fetch", urlOf("rewound"), id], { cwd: clone });
      expect(stderr).toContain(`not our ref ${id}`);
      expect(exitCode).toBe(128);
    }
    const blobId = await git(["rev-parse", "main:README.md"], { cwd: sample });
    const commitId = await git(["rev-parse", "main~3"], { cwd: sample });
    await git(["fetch", "--quiet", urlOf("rewound"), commitId], { cwd: clone });
    expect(await git(["cat-file", "-t", blobId], { cwd: clone })).toBe("blob");
  });

  test("a client that has the lost commit gets the new ones", async () => {
    const clone = newPath();
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", rewound, `${lostCommitId}:refs/heads/main`, "--no-tags"], { cwd: clone });
    await git(["fetch", "--quiet", urlOf("rewound"), "+refs/*:refs/*"], { cwd: clone });
    expect(await git(["rev-parse", "octopus"], { cwd: clone })).toBe(
      await git(["rev-parse", "octopus"], { cwd: sample }),
    );
    await expectSound(clone);
  });
});

describe("repositories without much in them", () => {
  test.each([0, 1, 2])("an empty one clones with protocol %d", async (protocol) => {
    const source = newPath();
    await git(["init", "--quiet", "--bare", "--initial-branch=trunk", source]);
    const mirror = await MirrorBuilder.open(store, source, newPath());
    await mirror.publish("acme", "empty");
    const clone = newPath();
    const { exitCode, stderr } = await tryGit([
      ...["-c", `protocol.version=${protocol}`],
      ...["clone", urlOf("empty"), clone],
    ]);
    expect(stderr).toContain("You appear to have cloned an empty repository");
    expect(exitCode).toBe(0);
    // Only protocol 2 can tell the name of a branch that does not exist.
    const branch = await git(["symbolic-ref", "HEAD"], { cwd: clone });
    expect(branch).toBe(protocol === 2 ? "refs/heads/trunk" : "refs/heads/main");
  });

  test("a detached HEAD arrives as such", async () => {
    const source = newPath();
    await git(["clone", "--quiet", "--mirror", sample, source]);
    const commitId = await git(["rev-parse", "main~2"], { cwd: source });
    await git(["update-ref", "--no-deref", "HEAD", commitId], { cwd: source });
    const mirror = await MirrorBuilder.open(store, source, newPath());
    await mirror.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await mirror.publish("acme", "detached");
    const clone = newPath();
    await git(["clone", "--quiet", urlOf("detached"), clone]);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(commitId);
    expect((await tryGit(["symbolic-ref", "HEAD"], { cwd: clone })).exitCode).not.toBe(0);
  });
});

test("a negotiation of many rounds ends with the same objects", async () => {
  const clone = newPath();
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
  await git(["update-ref", "refs/heads/main", "main~0"], { cwd: clone });
  for (const protocol of [0, 2]) {
    const target = newPath();
    await mkdir(target);
    await git(["clone", "--quiet", "--mirror", clone, target]);
    await writeFile(
      join(target, "packed-refs"),
      await git(["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/"], { cwd: clone }).then(
        (text) => `${text}\n`,
      ),
    );
    const args = [
      "-c",
      `protocol.version=${protocol}`,
      "fetch",
      "--quiet",
      urlOf("several-packs"),
      "+refs/*:refs/mirror/*",
    ];
    await git(args, { cwd: target });
    expect(await git(["rev-parse", "refs/mirror/heads/octopus"], { cwd: target })).toBe(
      await git(["rev-parse", "octopus"], { cwd: sample }),
    );
    await expectSound(target);
  }
});
