/**
 * `git fetch --deepen` against the newest git's own server: since 2.54 it counts in another way than the git of Debian stable, so
 * this takes a Debian sid root with git in it (test/support/radosgw/make-root.sh makes one).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { Random } from "../support/differential/random.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects } from "../support/primary.ts";
import { ONE_PACK, servedMirror } from "../support/served-mirror.ts";

const root = process.env["NEARSIDE_TEST_SID_ROOT"];
const isThere = root !== undefined && existsSync(join(root, "usr/bin/git-upload-pack"));
const IN_ROOT = resolve("test/support/radosgw/in-root.sh");
const ROUNDS = 12;

if (!isThere)
  console.warn("deepen-newest-git.test.ts is skipped: NEARSIDE_TEST_SID_ROOT names no root with git in it");

describe.skipIf(!isThere)("as the newest git deepens", async () => {
  if (!isThere) return;
  const mirror = await servedMirror({ make: makeExample, packs: { sample: ONE_PACK } });
  const newestUrl = `ext::${IN_ROOT} ${root} ${dirname(mirror.sample)} git-upload-pack /srv/data/${basename(mirror.sample)}`;

  async function outcomeOf(protocol: number, fetches: readonly string[][]) {
    const repository = mirror.newPath();
    await git(["init", "--quiet", "--bare", repository]);
    const exitCodes: number[] = [];
    for (const args of fetches) {
      const options = ["-c", "protocol.ext.allow=always", "-c", `protocol.version=${protocol}`];
      const { exitCode } = await tryGit([...options, "fetch", "--quiet", ...args], { cwd: repository });
      exitCodes.push(exitCode);
    }
    await expectSilentFsck(repository);
    const shallow = await readFile(join(repository, "shallow"), "utf8").catch(() => "");
    return { exitCodes, shallow: shallow.split("\n").toSorted(), objects: await heldObjects(repository) };
  }

  async function expectSame(fetches: (url: string) => string[][]) {
    const expected = await outcomeOf(0, fetches(newestUrl));
    expect(expected.exitCodes).toEqual(expected.exitCodes.map(() => 0));
    for (const protocol of [0, 2]) {
      const { objects, ...actual } = await outcomeOf(protocol, fetches(mirror.urlOf("sample")));
      const { objects: expectedObjects, ...rest } = expected;
      expect(actual).toEqual(rest);
      expect(objects.filter((id) => !expectedObjects.includes(id))).toEqual([]);
      expect(expectedObjects.filter((id) => !objects.includes(id))).toEqual([]);
    }
  }

  // The example of git's commit 3ef68ff40e.
  test("past the beginning of a merged branch: no history is lost", async () => {
    await expectSame((url) => [
      ["--depth=3", "--no-tags", url, "merged:merged"],
      ["--deepen=1", "--no-tags", url, "merged:merged"],
    ]);
  });

  test.each([1, 2, 3])("with a tag far below, which is wanted as well: by %d", async (depth) => {
    await expectSame((url) => [
      ["--depth=2", url, "+refs/*:refs/*"],
      [`--deepen=${depth}`, url, "+refs/*:refs/*"],
    ]);
  });

  test("where the history was cut by date", async () => {
    await expectSame((url) => [
      ["--shallow-since=1700002000 +0000", "--no-tags", url, "+refs/heads/*:refs/heads/*"],
      ["--deepen=2", "--no-tags", url, "+refs/heads/*:refs/heads/*"],
    ]);
  });

  test("from cuts that the wants do not reach", async () => {
    await expectSame((url) => [
      ["--depth=2", "--no-tags", url, "merged:merged"],
      ["--deepen=3", "--no-tags", url, "r0:r0"],
    ]);
  });

  test.each(Array.from({ length: ROUNDS }, (_, seed) => seed))("random fetches %d", async (seed) => {
    const random = new Random(seed);
    const branches = () => {
      const names = ["merged", ...Array.from({ length: 5 }, (_, i) => `r${i}`)];
      return names.filter(() => random.chance(0.4)).map((name) => `+${name}:${name}`);
    };
    const steps: { readonly option: string; readonly refs: string[] }[] = [];
    steps.push({ option: `--depth=${1 + random.below(5)}`, refs: [...branches(), "r0:r0"] });
    for (let i = 0; i < 3; i++) {
      const option = random.chance(0.8)
        ? `--deepen=${1 + random.below(4)}`
        : `--depth=${1 + random.below(6)}`;
      steps.push({ option, refs: random.chance(0.5) ? (steps[0]?.refs ?? []) : [...branches(), "r1:r1"] });
    }
    await expectSame((url) => steps.map(({ option, refs }) => [option, "--no-tags", url, ...refs]));
  });
});

/** Branches `merged`, and `r0` to `r4` of random commits with merges; a tag of the first commit. */
async function makeExample(repository: string): Promise<void> {
  const random = new Random(1);
  const lines: string[] = [];
  let mark = 0;
  const commit = (branch: string, parents: readonly number[]): number => {
    mark += 1;
    lines.push(`commit refs/heads/${branch}`, `mark :${mark}`);
    lines.push(`committer C <c@example.com> ${1_700_000_000 + mark * 60} +0000`, "data 0");
    for (const [i, parent] of parents.entries()) lines.push(`${i === 0 ? "from" : "merge"} :${parent}`);
    if (parents.length === 0) lines.push("deleteall");
    lines.push(`M 100644 inline file-${mark % 7}`, `data ${String(mark).length}`, `${mark}`, "");
    return mark;
  };
  const [one, two, three] = [commit("merged", []), commit("merged", [1]), commit("merged", [2])];
  const five = commit("merged-branch", [commit("merged-branch", [three])]);
  commit("merged", [three, five]);
  const all = [one, two, three];
  for (let i = 0; i < 60; i++) {
    const parents = new Set(
      Array.from({ length: random.chance(0.3) ? 2 : 1 }, () => all.at(-1 - random.below(8)) ?? one),
    );
    all.push(commit(`r${i % 5}`, [...parents]));
  }
  lines.push("reset refs/tags/first", `from :${one}`, "");
  await git(["init", "--quiet", "--bare", "--initial-branch=merged", repository]);
  await git(["fast-import", "--quiet", "--force"], { cwd: repository, input: lines.join("\n") });
}
