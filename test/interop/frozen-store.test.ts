/** A store as the first release with lasting forms left it: served, continued and never rebuilt by this one. */
import { cp, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FROZEN_STORE_FOLDER, startFrozenPrimary } from "../support/frozen-store/frozen-primary.ts";
import { git } from "../support/git/run-git.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { expectSilentFsck, listRefs, type Primary } from "../support/primary.ts";

let primary: Primary;
let mirror: MirrorProcess & MirrorAnnouncement;

beforeEach(async () => {
  primary = await startFrozenPrimary();
  await primary.commit("main", "second-sync.txt", "second\n");
  await cp(FROZEN_STORE_FOLDER, primary.storeFolder, { recursive: true });
});

afterEach(async () => {
  await mirror.stop();
  await primary.close();
});

/** When each file of a pack was written, by its path. */
async function packFiles(): Promise<Record<string, number>> {
  const paths = await readdir(primary.storeFolder, { recursive: true });
  const ofPacks = paths.filter((path) => /\/pack-[0-9a-f]{40}\./.test(path));
  const times = ofPacks.map(async (path) => [path, (await stat(join(primary.storeFolder, path))).mtimeMs]);
  return Object.fromEntries(await Promise.all(times));
}

test("it is served and continued: the next generation follows, and no file of a pack is written again", async () => {
  const before = await packFiles();
  expect(Object.keys(before)).toHaveLength(8);
  mirror = await startMirror(primary.mirrorArguments);
  const url = mirror.repositories[0]?.cloneUrl ?? "";
  expect(await listRefs(url)).toBe(await listRefs(primary.repository));
  await primary.commit("main", "third-sync.txt", "third\n");
  await mirror.untilSaid(/generation 3,/);
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--mirror", url, clone]);
  await expectSilentFsck(clone);
  expect(await listRefs(clone)).toBe(await listRefs(primary.repository));
  const after = await packFiles();
  expect(Object.keys(after)).toHaveLength(11);
  expect(after).toMatchObject(before);
});
