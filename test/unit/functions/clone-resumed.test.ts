/** `nearside clone` whose process is killed: the next run continues the download, or completes the clone. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runCli } from "../../support/cli.ts";
import { BY_PLAN_ALWAYS, type CloneRig, openCloneRig } from "../../support/clone-rig.ts";
import { git, isolatedGitEnvironment } from "../../support/git/run-git.ts";
import { expectSilentFsck } from "../../support/primary.ts";

const PROGRAM = fileURLToPath(new URL("../../../functions/cli/nearside.js", import.meta.url));
const RECEIVED_BYTES = 2.5 * 1024 * 1024;

let rig: CloneRig;
let pack: Buffer;

beforeAll(async () => {
  rig = await openCloneRig(async (cwd) => {
    await writeFile(join(cwd, "large.bin"), randomBytes(4 * 1024 * 1024));
    await git(["add", "."], { cwd });
    await git(["commit", "--quiet", "--message=large"], { cwd });
  });
  const answer = await fetch(rig.mirror.plan.packs[0]?.packUrl ?? "", { headers: { range: "bytes=0-" } });
  pack = Buffer.from(await answer.arrayBuffer());
});

beforeEach(() => rig.reset());

afterAll(() => rig[Symbol.asyncDispose]());

/** Each request for a range of the pack gets a part of it, and then nothing more. @returns Resolves when the first part is sent. */
function stallPack(): Promise<void> {
  return new Promise((resolve) => {
    rig.mirror.answer = ({ url = "", headers }, response) => {
      if (!url.endsWith(".pack")) return false;
      const [, range] = /^bytes=(.*)$/.exec(headers.range ?? "") ?? [];
      response.writeHead(206, { "content-range": `bytes ${range}/${pack.length}` });
      response.write(pack.subarray(0, RECEIVED_BYTES), () => resolve());
      return true;
    };
  });
}

function start(target: string, env: Readonly<Record<string, string>> = {}) {
  const args = [PROGRAM, "clone", "--quiet", BY_PLAN_ALWAYS, rig.mirror.cloneUrl, target];
  return spawn(process.execPath, args, { env: { ...isolatedGitEnvironment(), ...env }, stdio: "ignore" });
}

/** Kills a run in the middle of its download, with at least 1 MiB of it noted. */
async function killInDownload(target: string, signal: NodeJS.Signals): Promise<void> {
  const stalled = stallPack();
  const child = start(target);
  const end = once(child, "close");
  await Promise.race([stalled, end]);
  const noted = join(`${target}.nearside-partial`, "received");
  while (child.exitCode === null && !existsSync(noted)) await new Promise((next) => setTimeout(next, 20));
  // What was sent last may be on its way to the disk.
  await new Promise((next) => setTimeout(next, 500));
  child.kill(signal);
  await end;
  rig.reset();
}

const again = (target: string, args: readonly string[] = []) =>
  runCli(["clone", BY_PLAN_ALWAYS, ...args, rig.mirror.cloneUrl, target], isolatedGitEnvironment());

function firstBytesAsked(): number[] {
  const ranges = rig.mirror.requests.filter(({ url }) => url?.endsWith(".pack"));
  return ranges.map(({ headers }) => Number(/^bytes=(\d+)/.exec(headers.range ?? "")?.[1]));
}

test.each(["SIGKILL", "SIGINT"] as const)(
  "after %s the next run downloads the rest, and nothing is left behind",
  async (signal) => {
    const target = join(await rig.newFolder(), "clone");
    await killInDownload(target, signal);
    expect(await readdir(dirname(target))).toEqual([`${basename(target)}.nearside-partial`]);
    expect((await again(target)).exitCode).toBe(0);
    const [first = 0, ...others] = firstBytesAsked();
    expect(first).toBeGreaterThanOrEqual(1024 * 1024);
    expect(others).toEqual([]);
    expect(await readdir(dirname(target))).toEqual([basename(target)]);
    await expectSilentFsck(target);
    expect(await git(["status", "--porcelain"], { cwd: target })).toBe("");
  },
);

test("what another address has left is dropped, and so is a folder that others may write to", async () => {
  const target = join(await rig.newFolder(), "clone");
  const partial = `${target}.nearside-partial`;
  await killInDownload(target, "SIGKILL");
  const state = { formatVersion: 1, url: "https://other.example/acme/site.git" };
  await writeFile(join(partial, "state.json"), JSON.stringify(state));
  expect((await again(target)).exitCode).toBe(0);
  expect(firstBytesAsked()).toEqual([0]);

  const shared = join(await rig.newFolder(), "clone");
  await mkdir(`${shared}.nearside-partial`);
  await chmod(`${shared}.nearside-partial`, 0o777);
  const { exitCode, stderr } = await again(shared);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 0,
    stderr: expect.stringContaining("git does it by itself"),
  });
  expect(existsSync(`${shared}.nearside-partial`)).toBe(true);
});

test("killed after git clone and before the packs are there: the next run completes the clone", async () => {
  const tools = await rig.newFolder();
  const { PATH = "", ...env } = isolatedGitEnvironment();
  const script = `#!/bin/sh
PATH='${PATH}' git "$@"
code=$?
case "$1" in clone) kill -9 $PPID; esac
exit $code
`;
  await writeFile(join(tools, "git"), script, { mode: 0o755 });
  const target = join(await rig.newFolder(), "clone");
  const child = start(target, { ...env, PATH: `${tools}:${PATH}` });
  expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
  await expect(git(["log", "-1"], { cwd: target })).rejects.toThrow();
  const { exitCode, stderr } = await again(target);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringContaining("is complete now") });
  await expectSilentFsck(target);
  expect(await git(["status", "--porcelain"], { cwd: target })).toBe("");
  expect(await readdir(dirname(target))).toEqual([basename(target)]);
});

test("a small repository is cloned by git at once, and pushes to the primary", async () => {
  const small = await openCloneRig();
  try {
    Object.assign(small.mirror.plan, { primaryUrl: "https://bitbucket.example/acme/site.git" });
    const target = join(await small.newFolder(), "clone");
    const { exitCode } = await runCli(
      ["clone", "--quiet", small.mirror.cloneUrl, target],
      isolatedGitEnvironment(),
    );
    expect(exitCode).toBe(0);
    expect(small.mirror.requests.filter(({ headers }) => headers.range !== undefined)).toEqual([]);
    expect(await git(["remote", "get-url", "--push", "origin"], { cwd: target })).toBe(
      "https://bitbucket.example/acme/site.git",
    );
  } finally {
    await small[Symbol.asyncDispose]();
  }
});
