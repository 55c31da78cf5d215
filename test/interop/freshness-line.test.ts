/** The line that says how fresh an answer is: to whom git shows it, and to whom not. */
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { manifestDocument } from "../../lib/repo/manifest.ts";
import { readName } from "../../lib/repo/names.ts";
import { tryGit } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";
import { expectSilentFsck, heldObjects } from "../support/primary.ts";

let rig: LocalMirrorRig;
let folder: TemporaryFolder;
let cloneCount = 0;

beforeAll(async () => {
  [rig, folder] = await Promise.all([startLocalMirrorRig(), temporaryFolder()]);
  await rig.create("acme", "app", "CORE");
  await rig.select({ workspace: "acme", credential: "bot", projects: "all" });
  await rig.settled();
});
afterAll(async () => {
  await rig.close();
  await folder.remove();
});

/** As if the primary had not been asked for two hours. */
async function age(): Promise<void> {
  const entry = await readName(rig.store, "acme", "app");
  const verifiedAt = new Date(Date.now() - 2 * 3_600_000).toISOString();
  await manifestDocument(rig.store, entry?.uuid ?? "").change(
    (manifest) => manifest && { ...manifest, verifiedAt },
  );
}

beforeEach(age);

/** @returns The lines about freshness that git has shown. */
async function shownBy(args: readonly string[], env: Record<string, string> = {}) {
  const { exitCode, stderr } = await tryGit(args, { env });
  expect(exitCode, stderr).toBe(0);
  return stderr.split("\n").filter((line) => line.includes("nearside:"));
}

function clone(version: number, ...options: string[]) {
  const path = join(folder.path, `clone-${cloneCount++}`);
  const url = `${rig.server.url}/acme/app.git`;
  return { path, args: ["-c", `protocol.version=${version}`, "clone", ...options, url, path] };
}

const SHOWN = expect.stringMatching(/^remote: nearside: refs verified 2 h ago\s*$/);

describe.each([0, 1, 2])("protocol version %i", (version) => {
  test.each([
    ["a clone", []],
    ["a shallow clone, whose pack is made for many", ["--depth=1"]],
    ["the same again, out of what is kept", ["--depth=1"]],
    ["a partial clone", ["--filter=blob:none"]],
  ])("%s shows it once with progress, and never without", async (_what, options) => {
    const loud = clone(version, "--progress", ...options);
    expect(await shownBy(loud.args)).toEqual([SHOWN]);
    await expectSilentFsck(loud.path);
    expect(await shownBy(clone(version, "--quiet", ...options).args)).toEqual([]);
    // git asks for no progress where its standard error is no terminal.
    expect(await shownBy(clone(version, ...options).args)).toEqual([]);
  });
});

test.each([
  ["a clone", []],
  ["a shallow clone", ["--depth=1"]],
  ["a partial clone", ["--bare", "--filter=blob:none"]],
])("%s shows the objects as git counts them", async (_what, options) => {
  const { path, args } = clone(2, "--progress", ...options);
  const { stderr } = await tryGit(args);
  const { length } = await heldObjects(path);
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trimEnd());
  expect(lines).toContain(`remote: Enumerating objects: ${length}, done.`);
  expect(lines).toContain(`remote: Counting objects: 100% (${length}/${length}), done.`);
  expect(lines).toContain(`remote: Total ${length} (delta 0), reused 0 (delta 0), pack-reused ${length}`);
});

test("it is shown where everything goes through the side-band", async () => {
  const loud = clone(2, "--progress");
  expect(await shownBy(loud.args, { GIT_TEST_SIDEBAND_ALL: "1" })).toEqual([SHOWN]);
  await expectSilentFsck(loud.path);
});

test("a fetch that had the mirror ask the primary says how fresh it is since then", async () => {
  const { path, args } = clone(2, "--quiet");
  await shownBy(args);
  const id = await rig.commit("acme", "app");
  const fetch = ["-C", path, "fetch", "--progress", "origin", id];
  expect(await shownBy(fetch)).toEqual([expect.stringMatching(/refs verified \d+ s ago/)]);
});
