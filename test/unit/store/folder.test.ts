import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeFolder } from "../../../lib/store/folder.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nearside-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a folder is made with its parents, for its owner alone, and the topmost of them is named", async () => {
  const path = join(folder, "a", "b", "c");
  expect(await makeFolder(path)).toBe(join(folder, "a"));
  for (const made of [path, join(folder, "a")]) expect((await stat(made)).mode & 0o777).toBe(0o700);
  expect(await makeFolder(path)).toBeUndefined();
  expect(await makeFolder(join(path, "d"))).toBe(join(path, "d"));
});

test("many make the same folder at once", async () => {
  const made = await Promise.all(Array.from({ length: 20 }, () => makeFolder(join(folder, "x", "y", "z"))));
  expect(made).toContain(join(folder, "x"));
});

test("a file in the way is an error", async () => {
  await writeFile(join(folder, "file"), "");
  await expect(makeFolder(join(folder, "file"))).rejects.toMatchObject({ code: "EEXIST" });
  await expect(makeFolder(join(folder, "file", "x"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.runIf(process.platform === "linux")("a folder that cannot have others is an error", async () => {
  await expect(makeFolder("/proc/nearside/a/b")).rejects.toMatchObject({ code: "ENOENT" });
});
