/** How the server ends: signals, syncs under way, requests that wait. */
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readMirrorStatus } from "../../lib/mirror/mirror-status.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type MirrorProcess, spawnMirror } from "../support/mirror-process.ts";
import { makeEmptyRepository } from "../support/primary.ts";

const REPOSITORY_COUNT = 24;
const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

let folder: TemporaryFolder;
let fake: FakeBitbucket;
let mirror: MirrorProcess | undefined;

beforeEach(async () => {
  folder = await temporaryFolder();
  const root = join(folder.path, "primary");
  await mkdir(join(root, "acme"), { recursive: true });
  const template = join(folder.path, "template.git");
  await makeEmptyRepository(template);
  const tree = await git(["mktree"], { cwd: template, input: "" });
  const commit = await git(["commit-tree", tree, "-m", "first"], { cwd: template });
  await git(["update-ref", "refs/heads/main", commit], { cwd: template });
  for (let number = 0; number < REPOSITORY_COUNT; number++)
    await cp(template, join(root, "acme", `r${number}.git`), { recursive: true });
  fake = await startFakeBitbucket({ repositoriesFolder: root });
});

afterEach(async () => {
  await mirror?.stop("SIGKILL");
  mirror = undefined;
  await fake.close();
  await folder.remove();
});

function args(): string[] {
  const store = join(folder.path, "store");
  return [
    ...["--workspace", "acme", "--store", store, "--api-url", fake.apiUrl, "--git-url", fake.gitUrl],
    ...["--port", "0", "--json"],
  ];
}

async function states(): Promise<Record<string, number>> {
  const config = mirrorConfigOf([{ workspace: "acme", projects: "all" }]);
  const status = await readMirrorStatus(new FsBlobStore(join(folder.path, "store")), config);
  const counts: Record<string, number> = {};
  for (const { state } of status.flatMap(({ repositories }) => repositories))
    counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

test("a stop in the first round marks no repository as failed, and the next start completes it", async () => {
  // Git only: the list of repositories is there at once.
  fake.controls.misbehave({ appliesTo: "git", delayMs: 300 });
  mirror = spawnMirror(args(), { cwd: folder.path });
  await mirror.untilSaid(/generation 1(.|\n)*generation 1/);
  const { exitCode, stderr } = await mirror.stop("SIGTERM");
  expect({ exitCode, failures: stderr.match(/^acme\/r\d+: .*(stopped|abort|cannot).*$/gim) }).toEqual({
    exitCode: 0,
    failures: null,
  });
  const { AVAILABLE: done = 0, ...others } = await states();
  expect(done).toBeGreaterThanOrEqual(2);
  expect(done).toBeLessThan(REPOSITORY_COUNT);
  for (const state of Object.keys(others)) expect(["NOT_MIRRORED", "INITIALIZING"]).toContain(state);

  fake.controls.behave();
  mirror = spawnMirror(args(), { cwd: folder.path });
  await mirror.announced();
  expect(await states()).toEqual({ AVAILABLE: REPOSITORY_COUNT });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("a second %s ends the process at once, with %s", async (signal, code) => {
  mirror = spawnMirror(args(), { cwd: folder.path });
  const { url } = await mirror.announced();
  // Asks Bitbucket until its time is up, and keeps the server from closing.
  fake.controls.clearRequests();
  const waiting = fetch(`${url}/-/repositories/acme/r1/wait?ref=refs/heads/none&timeout=200`).catch(
    () => "cut",
  );
  await untilAsked(() => fake.controls.requests.length > 3);
  void mirror.stop(signal);
  await mirror.untilSaid(/Stopping/);
  expect((await mirror.stop(signal)).exitCode).toBe(code);
  expect(await waiting).toBe("cut");
});

test("many waiting requests do not keep the server from ending", async () => {
  mirror = spawnMirror([...args(), "--anonymous-per-minute", "0", "--anonymous-total-per-minute", "0"], {
    cwd: folder.path,
  });
  const { url } = await mirror.announced();
  const waiting = Array.from({ length: 300 }, (_, number) =>
    fetch(
      `${url}/-/repositories/acme/r${number % REPOSITORY_COUNT}/wait?ref=refs/heads/none&timeout=200`,
    ).then(
      ({ status }) => status,
      () => "cut",
    ),
  );
  await untilAsked(() => fake.controls.requests.length > 4 * REPOSITORY_COUNT);
  expect((await mirror.stop("SIGTERM")).exitCode).toBe(0);
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(["cut"]));
});

test("a signal to npm start ends the server", async () => {
  const { PATH = "", HOME = "" } = process.env;
  const npm = spawn("npm", ["start", "--silent", "--", ...args()], {
    cwd: PROJECT,
    env: { PATH, HOME },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { data } = JSON.parse(await firstLine(npm)) as { data: { url: string } };
  const { url } = data;
  expect((await fetch(`${url}/-/nothing`)).status).toBeGreaterThanOrEqual(400);
  const ended = new Promise((resolve) => npm.once("close", resolve));
  npm.kill("SIGTERM");
  // Its standard output closes when the server has ended too.
  await ended;
  await expect(fetch(url)).rejects.toThrow();
});

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    text += String(chunk);
    if (text.includes("\n")) return text;
  }
  throw new Error(`npm ended early: ${text}`);
}

async function untilAsked(isEnough: () => boolean): Promise<void> {
  while (!isEnough()) await new Promise((resolve) => setTimeout(resolve, 50));
}
