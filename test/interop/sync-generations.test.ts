/** A history that comes in many small syncs: each generation as whole as the primary, and its folder a repository for git. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, listRefs, makeEmptyRepository } from "../support/primary.ts";
import { useSyncRig } from "../support/shared-set-ups.ts";
import { copyPrefix, expectCloneLikePrimary, expectNothingLeftOver, RIG_UUID } from "../support/sync-rig.ts";

const { primary, rig } = useSyncRig({
  make: (repository) => makeEmptyRepository(repository),
  storeFor: ({ storeFolder }) => new FsBlobStore(storeFolder),
});

const chapter = (number: number, changedLine: number) =>
  Array.from(
    { length: 200 },
    (_, line) => `chapter ${number}, line ${line}, ${line === changedLine ? "new" : "old"}\n`,
  ).join("");

async function syncAndCheck(): Promise<void> {
  expect(await rig.sync()).toMatchObject({ kind: "published" });
  await expectCloneLikePrimary(rig, primary);
  await expectNothingLeftOver(rig);
  const copy = primary.newPath();
  await copyPrefix(rig.storage.store, repositoryKeys(RIG_UUID).prefix, copy);
  await expectSilentFsck(copy);
  expect(await listRefs(copy)).toBe(await listRefs(primary.repository));
  const packFolder = join(copy, "objects/pack");
  for (const file of await readdir(packFolder)) {
    if (file.endsWith(".idx")) await git(["verify-pack", join(packFolder, file)]);
  }
}

test("ten pushes, the later ones as thin packs", async () => {
  for (let step = 0; step < 10; step++) {
    for (const number of [step % 3, 3])
      await primary.commit("main", `chapter-${number}`, chapter(number, step));
    if (step === 4) await primary.git("tag", "--annotate", "--message=half", "half", "main");
    if (step === 6) await primary.git("branch", "side", "main~3");
    await syncAndCheck();
  }
  const { packs, mayHoldUnreachable } = await rig.manifest();
  expect(packs).toHaveLength(10);
  expect(
    packs.filter(({ objectCount, sentObjectCount }) => objectCount > sentObjectCount).length,
  ).toBeGreaterThan(3);
  expect(mayHoldUnreachable).toBe(false);
});

test("a push that goes back to old content repeats objects, and clones stay right", async () => {
  for (let step = 0; step < 4; step++) await primary.commit("main", "text", chapter(step, step));
  await syncAndCheck();
  await primary.commit("main", "text", chapter(0, 0));
  await syncAndCheck();
  expect((await rig.manifest()).packs[1]?.repeatedObjectCount).toBeGreaterThan(0);
});

test("a merged branch that is deleted takes nothing away", async () => {
  await primary.commit("main", "text", chapter(0, 0));
  await primary.git("branch", "topic", "main");
  const topic = await primary.commit("topic", "topic", chapter(1, 0));
  await syncAndCheck();
  const tree = await primary.git("rev-parse", "topic^{tree}");
  const merge = await primary.git("commit-tree", tree, "-p", "main", "-p", topic, "-m", "merge");
  await primary.git("update-ref", "refs/heads/main", merge);
  await primary.git("branch", "-D", "topic");
  await syncAndCheck();
  expect((await rig.manifest()).mayHoldUnreachable).toBe(false);
});

test.each(["rewound", "deleted"])("what a %s branch alone held is in no clone", async (how) => {
  await primary.commit("main", "text", chapter(0, 0));
  await primary.git("branch", "topic", "main");
  const lost = await primary.commit("topic", "secret", chapter(1, 0));
  await syncAndCheck();
  if (how === "rewound") await primary.git("branch", "--force", "topic", "main");
  else await primary.git("branch", "-D", "topic");
  await syncAndCheck();
  expect((await rig.manifest()).mayHoldUnreachable).toBe(true);
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--mirror", await rig.serve(), clone]);
  await expect(git(["cat-file", "-e", lost], { cwd: clone })).rejects.toThrow();
});

test("refs that come back are published without a pack", async () => {
  await primary.commit("main", "text", chapter(0, 0));
  const gone = await primary.commit("topic", "topic", chapter(1, 0));
  await syncAndCheck();
  await primary.git("branch", "-D", "topic");
  await syncAndCheck();
  await primary.git("branch", "topic", gone);
  await syncAndCheck();
  expect((await rig.manifest()).packs).toHaveLength(1);
});

test("tags of trees, of blobs and of tags", async () => {
  await primary.commit("main", "text", chapter(0, 0));
  await syncAndCheck();
  await primary.commit("other", "more/text", chapter(1, 0));
  await primary.git("tag", "--annotate", "--message=tree", "of-tree", "other^{tree}");
  await primary.git("tag", "--annotate", "--message=blob", "of-blob", "other:more/text");
  await primary.git("tag", "--annotate", "--message=tag", "of-tag", "of-blob");
  await primary.git("tag", "light-blob", "other:more/text");
  await primary.git("branch", "-D", "other");
  await syncAndCheck();
  await primary.git("tag", "--delete", "of-tree");
  await syncAndCheck();
});
