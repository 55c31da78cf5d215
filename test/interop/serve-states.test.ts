/** Repositories in unusual states, served to real git. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  expectSound,
  heldObjects,
  type MirrorServer,
  OFS_ALL,
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
});

afterEach(() => {
  expect(server.takeFailures()).toEqual([]);
});

afterAll(async () => {
  await server.close();
});

describe("after a force-push", () => {
  let rewound: string;
  let lostCommitId: string;
  let lostBlobId: string;
  /** On top of the other one. */
  let newerLostCommitId: string;

  beforeAll(async () => {
    rewound = server.newPath();
    await git(["clone", "--quiet", "--mirror", sample, rewound]);
    lostBlobId = await git(["hash-object", "-w", "--stdin"], { cwd: rewound, input: "secret\n" });
    const treeId = await git(["mktree"], { cwd: rewound, input: `100644 blob ${lostBlobId}\tsecret\n` });
    lostCommitId = await git(["commit-tree", "-p", "main", "-m", "Lost", treeId], { cwd: rewound });
    const newerArgs = ["commit-tree", "-p", lostCommitId, "-m", "Lost as well", "main^{tree}"];
    newerLostCommitId = await git(newerArgs, { cwd: rewound });
    await git(["update-ref", "refs/heads/lost", newerLostCommitId], { cwd: rewound });
    const mirror = await server.mirrorOf(rewound);
    await mirror.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await git(["update-ref", "-d", "refs/heads/lost"], { cwd: rewound });
    await mirror.publish("acme", "rewound", { mayHoldUnreachable: true });
  });

  test("a clone does not get what no ref reaches", async () => {
    const clone = server.newPath();
    await git(["clone", "--quiet", "--mirror", server.urlOf("rewound"), clone]);
    expect(await heldObjects(clone)).toEqual(await heldObjects(sample));
    await expectSound(clone);
  });

  test("a lost commit or blob cannot be fetched by its id, a reachable one can", async () => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    for (const id of [lostCommitId, lostBlobId]) {
      const { exitCode, stderr } = await tryGit(["fetch", server.urlOf("rewound"), id], { cwd: clone });
      expect(stderr).toContain(`not our ref ${id}`);
      expect(exitCode).toBe(128);
    }
    const blobId = await git(["rev-parse", "main:README.md"], { cwd: sample });
    const commitId = await git(["rev-parse", "main~3"], { cwd: sample });
    await git(["fetch", "--quiet", server.urlOf("rewound"), commitId], { cwd: clone });
    expect(await git(["cat-file", "-t", blobId], { cwd: clone })).toBe("blob");
  });

  test("what lies below a lost commit cannot be had by deepening", async () => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
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
      await git(["fetch", "--quiet", "--no-tags", option, server.urlOf("rewound"), "main:main"], {
        cwd: clone,
      });
      expect(await heldObjects(clone)).not.toContain(lostCommitId);
    }
    expect(await git(["rev-list", "--count", "lost"], { cwd: clone })).toBe("1");
    await expectSound(clone);
  });

  test("a client that has the lost commit gets the new ones", async () => {
    const clone = server.newPath();
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", rewound, `${lostCommitId}:refs/heads/main`, "--no-tags"], { cwd: clone });
    await git(["fetch", "--quiet", server.urlOf("rewound"), "+refs/*:refs/*"], { cwd: clone });
    expect(await git(["rev-parse", "octopus"], { cwd: clone })).toBe(
      await git(["rev-parse", "octopus"], { cwd: sample }),
    );
    await expectSound(clone);
  });
});

describe("repositories without much in them", () => {
  test.each([0, 1, 2])("an empty one clones with protocol %d", async (protocol) => {
    const source = server.newPath();
    await git(["init", "--quiet", "--bare", "--initial-branch=trunk", source]);
    const mirror = await server.mirrorOf(source);
    await mirror.publish("acme", "empty");
    const clone = server.newPath();
    const { exitCode, stderr } = await tryGit([
      ...["-c", `protocol.version=${protocol}`],
      ...["clone", server.urlOf("empty"), clone],
    ]);
    expect(stderr).toContain("You appear to have cloned an empty repository");
    expect(exitCode).toBe(0);
    // Only protocol 2 can tell the name of a branch that does not exist.
    const branch = await git(["symbolic-ref", "HEAD"], { cwd: clone });
    expect(branch).toBe(protocol === 2 ? "refs/heads/trunk" : "refs/heads/main");
  });

  test("a detached HEAD arrives as such", async () => {
    const source = server.newPath();
    await git(["clone", "--quiet", "--mirror", sample, source]);
    const commitId = await git(["rev-parse", "main~2"], { cwd: source });
    await git(["update-ref", "--no-deref", "HEAD", commitId], { cwd: source });
    const mirror = await server.mirrorOf(source);
    await mirror.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await mirror.publish("acme", "detached");
    const clone = server.newPath();
    await git(["clone", "--quiet", server.urlOf("detached"), clone]);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(commitId);
    expect((await tryGit(["symbolic-ref", "HEAD"], { cwd: clone })).exitCode).not.toBe(0);
  });
});
