/** The sample repository that other tests build on. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { git, gitBytes } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

let work: TemporaryFolder;
let folder: string;

beforeAll(async () => {
  work = await temporaryFolder();
  folder = join(work.path, "sample.git");
  await makeSampleRepository(folder);
});

afterAll(async () => {
  await work.remove();
});

test("it is sound, and the same each time", async () => {
  const again = join(work.path, "again.git");
  await makeSampleRepository(again);
  expect(await git(["for-each-ref"], { cwd: again })).toBe(await git(["for-each-ref"], { cwd: folder }));
  expect(await git(["fsck", "--full", "--strict"], { cwd: folder })).toBe("");
});

test("it holds every kind of entry, ref and commit", async () => {
  const tree = Buffer.from(await gitBytes(["ls-tree", "-r", "-z", "main"], { cwd: folder }));
  const entries = tree.toString("latin1").split("\0");
  for (const mode of ["100644", "100755", "120000", "160000"]) {
    expect(entries.filter((entry) => entry.startsWith(`${mode} `))).not.toEqual([]);
  }
  expect(entries.filter((entry) => entry.endsWith("\tcaf\xe9.txt"))).toHaveLength(1);
  expect(Math.max(...entries.map((entry) => entry.split("/").length))).toBe(41);
  const tags = await git(["for-each-ref", "--format=%(objecttype)", "refs/tags/"], { cwd: folder });
  expect(new Set(tags.split("\n"))).toEqual(new Set(["tag", "commit"]));
  expect(await git(["cat-file", "-p", "nested-tag"], { cwd: folder })).toContain("type tag");
  expect((await git(["rev-list", "--max-parents=0", "--all"], { cwd: folder })).split("\n")).toHaveLength(2);
  expect(await git(["rev-list", "--count", "--min-parents=3", "--all"], { cwd: folder })).toBe("1");
  expect(await git(["ls-tree", "empty-tree"], { cwd: folder })).toBe("");
});
