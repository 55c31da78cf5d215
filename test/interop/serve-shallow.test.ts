/** Shallow clones and fetches: a client of the mirror must end with the same history as one of git's own server. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror();
/** Of the same repository, with answers that are shared and kept. */
const sharing = await servedMirror({ sharesAnswers: true });

async function shallowFile(repository: string): Promise<string[]> {
  const text = await readFile(join(repository, "shallow"), "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();
}

interface Outcome {
  readonly exitCodes: number[];
  readonly errors: string[];
  readonly shallow: string[];
  readonly refs: string;
  readonly commits: string[];
}

/** What the commands, one after the other, make of a new bare repository. `URL` stands for the server's address. */
async function outcomeOf(repository: string, url: string, protocol: number, commands: string[][]) {
  await git(["init", "--quiet", "--bare", repository]);
  const exitCodes: number[] = [];
  const errors: string[] = [];
  for (const command of commands) {
    const args = command.map((word) => (word === "URL" ? url : word));
    const result = await tryGit(["-c", `protocol.version=${protocol}`, ...args], { cwd: repository });
    exitCodes.push(result.exitCode);
    errors.push(/(?:remote error: |fatal: git upload-pack: )(.*)/.exec(result.stderr)?.[1] ?? "");
  }
  const refs = await tryGit(["show-ref"], { cwd: repository });
  const commits = await git(["rev-list", "--all"], { cwd: repository });
  const outcome: Outcome = {
    exitCodes,
    errors,
    shallow: await shallowFile(repository),
    refs: new TextDecoder().decode(refs.stdout),
    commits: commits.split("\n").toSorted(),
  };
  return outcome;
}

const ALL = "+refs/*:refs/*";
const fetch = (...args: string[]) => ["fetch", "--quiet", ...args];
/** 1,700,000,000 is the first commit's time, 60 seconds the step. */
const SINCE = "--shallow-since=1700000900 +0000";

const SCENARIOS: [string, string[][]][] = [
  ["depth 1", [fetch("--depth=1", "URL", ALL)]],
  ["depth 3", [fetch("--depth=3", "URL", ALL)]],
  ["depth 1 of one branch", [fetch("--depth=1", "--no-tags", "URL", "main:main")]],
  ["a depth beyond the root", [fetch("--depth=100", "URL", ALL)]],
  ["the whole depth", [fetch("--depth=2147483647", "URL", ALL)]],
  ["depth of an octopus", [fetch("--depth=2", "--no-tags", "URL", "octopus:octopus")]],
  ["depth of a tag of a tag", [fetch("--depth=2", "URL", "nested-tag:refs/tags/nested-tag")]],
  // With more wants, or several cuts, git before 2.54 deepens otherwise: see deepen-newest-git.test.ts.
  [
    "deepen from 2 by 3",
    [
      fetch("--depth=2", "--no-tags", "URL", "main:main"),
      fetch("--deepen=3", "--no-tags", "URL", "main:main"),
    ],
  ],
  ["depth from 2 to 6", [fetch("--depth=2", "URL", ALL), fetch("--depth=6", "URL", ALL)]],
  ["depth from 6 to 2", [fetch("--depth=6", "URL", ALL), fetch("--depth=2", "URL", ALL)]],
  ["unshallow", [fetch("--depth=3", "URL", ALL), fetch("--unshallow", "URL", ALL)]],
  [
    "unshallow one branch of two",
    [fetch("--depth=2", "URL", "main:main", "pages:pages"), fetch("--unshallow", "URL", "main:main")],
  ],
  ["full, then depth 1", [fetch("URL", ALL), fetch("--depth=1", "URL", ALL)]],
  ["another branch into a shallow one", [fetch("--depth=2", "URL", "main:main"), fetch("URL", ALL)]],
  ["newer commits into a shallow one", [fetch("--depth=1", "URL", "main~6:main"), fetch("URL", "main:main")]],
  [
    "depth 1 after depth 1",
    [fetch("--depth=1", "URL", "main~3:main"), fetch("--depth=1", "URL", "main:main")],
  ],
  ["since", [fetch(SINCE, "URL", ALL)]],
  ["since, which selects nothing", [fetch("--shallow-since=1900000000 +0000", "URL", ALL)]],
  ["excluding a branch", [fetch("--shallow-exclude=develop", "URL", "main:main")]],
  ["excluding a tag", [fetch("--shallow-exclude=on-old-commit", "URL", ALL)]],
  ["excluding two", [fetch("--shallow-exclude=v1.0", "--shallow-exclude=pages", "URL", "octopus:octopus")]],
  ["excluding all there is", [fetch("--shallow-exclude=main", "URL", "main:main")]],
  ["excluding what is no ref", [fetch("--shallow-exclude=nothing", "URL", "main:main")]],
  ["since in steps", [fetch(SINCE, "URL", ALL), fetch("--shallow-since=1700000300 +0000", "URL", ALL)]],
  ["since and excluding", [fetch(SINCE, "--shallow-exclude=develop", "URL", "main:main")]],
];

describe.each([0, 1, 2])("protocol %d", (protocol) => {
  test.each(SCENARIOS)("%s", async (_, commands) => {
    const ids: Record<string, string> = {};
    for (const revision of ["main~6", "main~3"]) {
      ids[revision] = await mirror.idOf(revision);
    }
    const resolved = commands.map((command) =>
      command.map((word) => word.replace(/^main~\d/, (revision) => ids[revision] ?? revision)),
    );
    const mirrored = mirror.newPath();
    const reference = mirror.newPath();
    const expected = await outcomeOf(reference, mirror.gitUrl, protocol, resolved);
    const actual = await outcomeOf(mirrored, mirror.urlOf("sample"), protocol, resolved);
    expect(actual).toEqual({ ...expected, errors: actual.errors });
    if (actual.exitCodes.includes(128)) expect(actual.errors.join("")).not.toBe("");
    else expect(actual.errors.join("")).toBe("");
    // The first protocol makes what is shared, the others find it.
    const shared = mirror.newPath();
    const sharedOutcome = await outcomeOf(shared, sharing.urlOf("sample"), protocol, resolved);
    expect({ ...sharedOutcome, errors: [] }).toEqual({ ...actual, errors: [] });
    expect(await heldObjects(shared)).toEqual(await heldObjects(mirrored));
    const held = new Set(await heldObjects(mirrored));
    expect((await heldObjects(reference)).filter((id) => !held.has(id))).toEqual([]);
    await expectSilentFsck(mirrored);
  });
});

test("a depth of 1 sends what git sends", async () => {
  const [clone, reference] = [mirror.newPath(), mirror.newPath()];
  const options = ["--quiet", "--bare", "--depth=1"];
  await git(["clone", ...options, mirror.urlOf("sample"), clone]);
  await git(["clone", ...options, mirror.gitUrl, reference]);
  expect(await heldObjects(clone)).toEqual(await heldObjects(reference));
});

test("a depth of 1 a second time sends what has changed", async () => {
  const clone = mirror.newPath();
  const before = await mirror.idOf("main~1");
  await git(["init", "--quiet", "--bare", clone]);
  const options = ["--quiet", "--no-tags", "--depth=1"];
  await git(["fetch", ...options, mirror.urlOf("sample"), `${before}:refs/heads/main`], { cwd: clone });
  const held = new Set(await heldObjects(clone));
  await git(["fetch", ...options, mirror.urlOf("sample"), "+main:main"], { cwd: clone });
  const sent = (await heldObjects(clone)).filter((id) => !held.has(id));
  const changed = await git(["rev-list", "--objects", "--no-object-names", "main", "^main~1", "^develop"], {
    cwd: mirror.sample,
  });
  const merged = await git(["rev-parse", "main:src", "main:src/dev.txt"], { cwd: mirror.sample });
  expect(sent).toEqual([...changed.split("\n"), ...merged.split("\n")].toSorted());
  await expectSilentFsck(clone);
});
