/** Repositories in unusual states, served to real git. */
import { beforeAll, describe, expect, test } from "vitest";
import { OFS_ALL } from "../support/git/mirror-builder.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror();

describe("after a force-push", () => {
  let rewound: string;
  let lostCommitId: string;
  let lostBlobId: string;
  /** On top of the other one. */
  let newerLostCommitId: string;

  beforeAll(async () => {
    rewound = mirror.newSource("rewound");
    await git(["clone", "--quiet", "--mirror", mirror.sample, rewound]);
    lostBlobId = await git(["hash-object", "-w", "--stdin"], { cwd: rewound, input: "secret\n" });
    const treeId = await git(["mktree"], { cwd: rewound, input: `100644 blob ${lostBlobId}\tsecret\n` });
    lostCommitId = await git(["commit-tree", "-p", "main", "-m", "Lost", treeId], { cwd: rewound });
    const newerArgs = ["commit-tree", "-p", lostCommitId, "-m", "Lost as well", "main^{tree}"];
    newerLostCommitId = await git(newerArgs, { cwd: rewound });
    await git(["update-ref", "refs/heads/lost", newerLostCommitId], { cwd: rewound });
    const builder = await mirror.mirrorOf(rewound);
    await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await git(["update-ref", "-d", "refs/heads/lost"], { cwd: rewound });
    await builder.publish("acme", "rewound", { mayHoldUnreachable: true });
  });

  test("a clone does not get what no ref reaches", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--mirror", mirror.urlOf("rewound"), clone]);
    expect(await heldObjects(clone)).toEqual(await heldObjects(mirror.sample));
    await expectSilentFsck(clone);
  });

  test("a lost commit or blob cannot be fetched by its id, a reachable one can", async () => {
    const clone = await mirror.newClient();
    for (const id of [lostCommitId, lostBlobId]) {
      const { exitCode, stderr } = await tryGit(["fetch", mirror.urlOf("rewound"), id], { cwd: clone });
      expect(stderr).toContain(`not our ref ${id}`);
      expect(exitCode).toBe(128);
      expect(mirror.takePrimaryListings()).toBe(1);
    }
    const blobId = await mirror.idOf("main:README.md");
    const commitId = await mirror.idOf("main~3");
    await git(["fetch", "--quiet", mirror.urlOf("rewound"), commitId], { cwd: clone });
    expect(await git(["cat-file", "-t", blobId], { cwd: clone })).toBe("blob");
  });

  test("deepening does not reach below a lost commit", async () => {
    const clone = await mirror.newClient();
    const lost = `${newerLostCommitId}:refs/heads/lost`;
    await git(["fetch", "--quiet", "--depth=1", "--no-tags", `file://${rewound}`, lost], {
      cwd: clone,
      env: {
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "uploadpack.allowAnySHA1InWant",
        GIT_CONFIG_VALUE_0: "true",
      },
    });
    for (const option of ["--unshallow", "--deepen=1"]) {
      await git(["fetch", "--quiet", "--no-tags", option, mirror.urlOf("rewound"), "main:main"], {
        cwd: clone,
      });
      expect(await heldObjects(clone)).not.toContain(lostCommitId);
    }
    expect(await git(["rev-list", "--count", "lost"], { cwd: clone })).toBe("1");
    await expectSilentFsck(clone);
  });

  test("a client that has the lost commit gets the new ones", async () => {
    const clone = await mirror.newClient();
    await git(["fetch", "--quiet", rewound, `${lostCommitId}:refs/heads/main`, "--no-tags"], { cwd: clone });
    await git(["fetch", "--quiet", mirror.urlOf("rewound"), "+refs/*:refs/*"], { cwd: clone });
    expect(await git(["rev-parse", "octopus"], { cwd: clone })).toBe(await mirror.idOf("octopus"));
    await expectSilentFsck(clone);
  });
});

describe("repositories without much in them", () => {
  test.each([0, 1, 2])("an empty one clones with protocol %d", async (protocol) => {
    const source = mirror.newSource("empty");
    await git(["init", "--quiet", "--bare", "--initial-branch=trunk", source]);
    const builder = await mirror.mirrorOf(source);
    await builder.publish("acme", "empty");
    const clone = mirror.newPath();
    const { exitCode, stderr } = await tryGit([
      ...["-c", `protocol.version=${protocol}`],
      ...["clone", mirror.urlOf("empty"), clone],
    ]);
    expect(stderr).toContain("You appear to have cloned an empty repository");
    expect(exitCode).toBe(0);
    // Only protocol 2 can name a branch that does not exist.
    const branch = await git(["symbolic-ref", "HEAD"], { cwd: clone });
    expect(branch).toBe(protocol === 2 ? "refs/heads/trunk" : "refs/heads/main");
  });

  test("a detached HEAD arrives as such", async () => {
    const source = mirror.newSource("detached");
    await git(["clone", "--quiet", "--mirror", mirror.sample, source]);
    const commitId = await git(["rev-parse", "main~2"], { cwd: source });
    await git(["update-ref", "--no-deref", "HEAD", commitId], { cwd: source });
    const builder = await mirror.mirrorOf(source);
    await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await builder.publish("acme", "detached");
    const clone = mirror.newPath();
    await git(["clone", "--quiet", mirror.urlOf("detached"), clone]);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(commitId);
    expect((await tryGit(["symbolic-ref", "HEAD"], { cwd: clone })).exitCode).not.toBe(0);
  });
});
