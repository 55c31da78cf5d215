/** Repositories that cannot be mirrored: the reason is everywhere where someone looks, the primary is left alone, others go on. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { runCli } from "../support/cli.ts";
import { git } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

let rig: LocalMirrorRig;
let folder: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await temporaryFolder());
  rig = await startLocalMirrorRig({ store: new FsBlobStore(join(folder, "store")) });
});
afterEach(async () => {
  await rig.close();
  await remove();
});

async function makeSha256(bare: string): Promise<void> {
  await rm(bare, { recursive: true });
  await git(["init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", bare]);
  const tree = await git(["hash-object", "-t", "tree", "-w", "/dev/null"], { cwd: bare });
  await git(
    ["update-ref", "refs/heads/main", await git(["commit-tree", tree, "-m", "first"], { cwd: bare })],
    { cwd: bare },
  );
}

async function makeShallow(bare: string): Promise<void> {
  const source = join(folder, "source.git");
  await git(["clone", "--quiet", "--bare", bare, source]);
  const id = await git(["commit-tree", "main^{tree}", "-p", "main", "-m", "second"], { cwd: source });
  await git(["update-ref", "refs/heads/main", id], { cwd: source });
  await rm(bare, { recursive: true });
  await git(["clone", "--quiet", "--bare", "--depth=1", `file://${source}`, bare]);
}

test.each([
  ["with SHA-256 ids", makeSha256, 2, /object format sha256/],
  ["with SHA-256 ids, over protocol 0", makeSha256, 0, /object format sha256/],
  ["that is shallow", makeShallow, 2, /shallow clone/],
  ["that is shallow, over protocol 0", makeShallow, 0, /shallow clone/],
] as const)("a repository %s", async (_, make, protocol, reason) => {
  await rig.create("acme", "odd", "CORE");
  await rig.create("acme", "app", "CORE");
  await make(rig.primary("acme/odd"));
  rig.fake.controls.misbehave({ forceProtocolV0: protocol === 0 });
  await rig.select({ workspace: "acme", credential: "environment", projects: ["CORE"] });
  await rig.settled();
  const lastError = { code: "UNSUPPORTED", message: expect.stringMatching(reason) };
  const failed = { state: "ERROR_INITIALIZING", failedSyncCount: 1, lastError };
  expect(await rig.state("acme/odd")).toMatchObject(failed);

  rig.fake.controls.clearRequests();
  for (let round = 0; round < 3; round++) {
    await rig.mirror.reconcile("full");
    await rig.settled();
  }
  expect(await rig.state("acme/odd")).toMatchObject(failed);
  const asked = rig.fake.controls.requests.filter(({ surface }) => surface === "git").map(({ path }) => path);
  const { uuid } = rig.fake.controls.accounts.repositories["acme/odd"] ?? {};
  expect(asked.filter((path) => path.includes("odd") || path.includes(uuid ?? "odd"))).toEqual([]);
  expect(asked.length).toBeGreaterThan(0);
  expect(await rig.serves("acme/app")).toBe("equal");

  const store = ["--store", join(folder, "store")];
  const status = await runCli(["status", ...store]);
  expect(status.stdout).toMatch(new RegExp(`odd: failed once, .*${reason.source}`));
  const { apiUrl, gitUrl } = rig.fake;
  const account = { BITBUCKET_EMAIL: "developer@example.com", BITBUCKET_API_TOKEN: "developer" };
  const doctor = await runCli(
    ["doctor", ...store, "--api-url", apiUrl, "--git-url", gitUrl, "--mirror-url", rig.server.url],
    account,
  );
  expect(doctor.stdout).toMatch(new RegExp(`FAIL acme: repositories: odd: .*${reason.source}`));
  expect(doctor.stdout).toContain("nearside select acme --exclude");

  // It is public, so git goes on to the primary; with a credential it reads why.
  const path = "/acme/odd.git/info/refs?service=git-upload-pack";
  expect((await fetch(rig.server.url + path, { redirect: "manual" })).status).toBe(307);
  const authorization = `Basic ${btoa("developer:developer")}`;
  const answer = await fetch(rig.server.url + path, { headers: { authorization } });
  expect([answer.status, await answer.text()]).toEqual([404, expect.stringMatching(reason)]);

  await runCli(["sync", "acme/odd", ...store, "--api-url", apiUrl, "--git-url", gitUrl], account);
  expect(await rig.state("acme/odd")).toMatchObject({ ...failed, failedSyncCount: 2 });
});
