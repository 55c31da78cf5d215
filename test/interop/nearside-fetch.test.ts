/** `nearside fetch`: installs the mirror's new packs, and git does the rest; where it cannot help git fetches alone. */
import { execFile } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { BY_PLAN_ALWAYS } from "../support/clone-rig.ts";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts";
import { git, isolatedGitEnvironment } from "../support/git/run-git.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";
import { type ServedAcme, serveAcme } from "../support/served-acme.ts";

let served: ServedAcme;
let acme: ServedAcme["acme"];
let proxy: FaultyProxy;
let count = 0;

beforeAll(async () => {
  served = await serveAcme(3_600);
  ({ acme } = served);
  proxy = await startFaultyProxy(served.mirror.url);
});

beforeEach(() => {
  proxy.fault = () => undefined;
});

afterAll(async () => {
  await proxy.close();
  await served.close();
});

const url = () => `${proxy.url}/acme/site.git`;

async function cloned(args: readonly string[] = []): Promise<string> {
  const target = join(acme.folder, `clone-${count++}`);
  const { exitCode } = await runCli(["clone", "--quiet", BY_PLAN_ALWAYS, ...args, url(), target], {
    ...isolatedGitEnvironment(),
  });
  expect(exitCode).toBe(0);
  return target;
}

/** A commit on the branch; resolves once the mirror has it. */
async function push(branch: string): Promise<string> {
  const work = join(acme.folder, `work-${count++}`);
  await git(["clone", "--quiet", acme.primary("site"), work]);
  await git(["checkout", "--quiet", "-B", branch], { cwd: work });
  await git(["commit", "--quiet", "--allow-empty", `--message=${count}`], { cwd: work });
  await git(["push", "--quiet", "origin", branch], { cwd: work });
  const commit = (await git(["rev-parse", "HEAD"], { cwd: work })).trim();
  const query = new URLSearchParams({ ref: `refs/heads/${branch}`, commit, timeout: "60" });
  const waited = await fetch(`${served.mirror.url}/-/repositories/acme/site/wait?${query}`);
  expect(waited.status).toBe(200);
  return commit;
}

const BY_PLAN = { exitCode: 0, packsByGit: 0, downloads: 3 };

async function fetchIn(clone: string, args: readonly string[] = [BY_PLAN_ALWAYS]) {
  proxy.takeRequests();
  const env = { ...isolatedGitEnvironment(), GIT_DIR: join(clone, ".git"), GIT_WORK_TREE: clone };
  const { exitCode, stderr } = await runCli(["fetch", "--quiet", ...args], env);
  return { exitCode, ...(await asked(clone)), stderr };
}

async function asked(clone: string) {
  const requests = proxy.takeRequests();
  const left = (await readdir(join(clone, ".git"))).filter((name) => name.includes("partial"));
  expect(left, "left behind").toEqual([]);
  return {
    // The first one lists refs.
    packsByGit: requests.filter((line) => line.endsWith("/git-upload-pack")).length - 1,
    downloads: requests.filter((line) => line.includes("/~blobs/")).length,
  };
}

test("a fetch installs the mirror's new pack with its index, and git receives nothing", async () => {
  const clone = await cloned();
  const commit = await push("topic");
  const { stderr: _, ...fetched } = await fetchIn(clone);
  expect(fetched).toEqual(BY_PLAN);
  expect((await git(["rev-parse", "origin/topic"], { cwd: clone })).trim()).toBe(commit);
  await expectSilentFsck(clone);
  const packs = (await readdir(join(clone, ".git/objects/pack"))).filter((name) => name.endsWith(".pack"));
  expect(packs).toHaveLength(2);
  // What is here is not downloaded again.
  expect(await fetchIn(clone)).toMatchObject({ packsByGit: 0, downloads: 0 });
  await push("next-topic");
  expect(await fetchIn(clone, [BY_PLAN_ALWAYS, "--verify", "--prune", "origin"])).toMatchObject(BY_PLAN);
  await expectSilentFsck(clone);
});

test("the command works in a folder of the work tree", async () => {
  const clone = await cloned();
  const commit = await push("from-a-folder");
  const cwd = join(clone, "folder of its own");
  await mkdir(cwd);
  proxy.takeRequests();
  const program = fileURLToPath(new URL("../../functions/cli/nearside.js", import.meta.url));
  await promisify(execFile)(process.execPath, [program, "fetch", "-q", BY_PLAN_ALWAYS], {
    cwd,
    env: { ...process.env, ...isolatedGitEnvironment() },
  });
  expect(await asked(clone)).toEqual({ packsByGit: 0, downloads: 3 });
  expect((await git(["rev-parse", "origin/from-a-folder"], { cwd: clone })).trim()).toBe(commit);
});

test("what is newer than the plan is received by git, which knows what was installed", async () => {
  const clone = await cloned();
  await push("planned");
  let newest: Promise<string> | undefined;
  // The plan is out when the first range is asked for.
  proxy.fault = (line) => {
    if (line.includes("/~blobs/")) newest ??= push("newer");
    return undefined;
  };
  expect(await fetchIn(clone)).toMatchObject({ exitCode: 0, downloads: 3 });
  const commit = await newest;
  expect(await fetchIn(clone, [])).toMatchObject({ exitCode: 0 });
  expect((await git(["rev-parse", "origin/newer"], { cwd: clone })).trim()).toBe(commit);
  await expectSilentFsck(clone);
});

test("damage in the mirror's pack is refused, and the repository stays as it was", async () => {
  const clone = await cloned();
  await push("damaged");
  const before = await refsOf(clone);
  proxy.fault = (line) => (line.includes(".pack?") ? { damagedByte: 40 } : undefined);
  const { exitCode, stderr } = await fetchIn(clone).catch((error: unknown) => Promise.reject(error));
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringContaining("pack is damaged") as string,
  });
  expect(await refsOf(clone)).toBe(before);
  await expectSilentFsck(clone);
});

test.each<[string, (clone: string) => Promise<unknown>, readonly string[]]>([
  ["of little", async () => undefined, []],
  ["after git has joined the packs", (cwd) => git(["repack", "-adq"], { cwd }), [BY_PLAN_ALWAYS]],
  ["with --depth", async () => undefined, [BY_PLAN_ALWAYS, "--depth=1"]],
  ["with --filter", async () => undefined, [BY_PLAN_ALWAYS, "--filter=blob:none"]],
  ["with an option that has an argument", async () => undefined, [BY_PLAN_ALWAYS, "-j", "1"]],
  ["of a shallow clone", (cwd) => git(["fetch", "--quiet", "--depth=1"], { cwd }), [BY_PLAN_ALWAYS]],
  [
    "of another server",
    (cwd) => git(["remote", "set-url", "origin", `${acme.fake.gitUrl}/acme/site.git`], { cwd }),
    [BY_PLAN_ALWAYS],
  ],
])("a fetch %s is git's alone", async (_, prepare, args) => {
  const clone = await cloned();
  const commit = await push(`by-git-${count}`);
  await prepare(clone);
  const { exitCode, downloads } = await fetchIn(clone, args);
  expect({ exitCode, downloads }).toEqual({ exitCode: 0, downloads: 0 });
  expect(
    (await git(["for-each-ref", "--points-at", commit, "refs/remotes"], { cwd: clone })).trim(),
  ).not.toBe("");
});

test("outside of a repository git says what is wrong", async () => {
  const env = { ...isolatedGitEnvironment(), GIT_DIR: join(acme.folder, "nowhere") };
  expect((await runCli(["fetch", "--quiet"], env)).exitCode).toBe(128);
});
