/** kill -9 between any two steps of a compaction and the janitor after it: what is served stays whole, and nothing stays behind. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { cp } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { expectWhole, tidy } from "../support/compaction-checks.ts";
import { EAGER } from "../support/compaction-policies.ts";
import { expectSilentFsck, listRefs } from "../support/primary.ts";
import { useSyncRigs } from "../support/shared-set-ups.ts";
import { copyPrefix, expectNothingLeftOver, RIG_UUID } from "../support/sync-rig.ts";

const CHILD = fileURLToPath(new URL("../support/compaction-child.ts", import.meta.url));

/** Each try starts a process. */
const STRIDE = 3;

const { primary, rigOn } = useSyncRigs();

/** @returns The signal that ended it, or `null` if it came to its end. */
async function compactInChild(folder: string, calls: number): Promise<NodeJS.Signals | null> {
  const args = [CHILD, folder, RIG_UUID, String(calls)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [exitCode, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  if (exitCode !== 0 && signal === null) throw new Error(`the child ended with ${exitCode}`);
  return signal;
}

test("a compaction that is killed before one of its store calls loses nothing", async () => {
  const original = primary.newPath();
  const first = rigOn(new FsBlobStore(original));
  await first.sync();
  for (const file of ["a.txt", "b.txt", "c.txt"]) {
    await primary.commit("main", file, `${file}\n`.repeat(500));
    await first.sync();
  }
  await primary.git("update-ref", "refs/heads/main", "main~1");
  await first.sync();
  const { generation } = await first.manifest();
  const generations = new Set<number>();
  // The first calls only read. Of the others each third, and another third in the next run.
  for (let calls = 8 + randomInt(STRIDE); ; calls += STRIDE) {
    const folder = primary.newPath();
    await cp(original, folder, { recursive: true });
    const signal = await compactInChild(folder, calls);
    const rig = rigOn(new FsBlobStore(folder));
    const { store } = rig.storage;
    const manifest = await rig.manifest();
    generations.add(manifest.generation);
    const copy = primary.newPath();
    await copyPrefix(store, repositoryKeys(RIG_UUID).prefix, copy);
    await expectSilentFsck(copy);
    expect(await listRefs(copy), `after ${calls} calls`).toBe(await listRefs(primary.repository));
    if (manifest.generation === generation) await compactRepository(RIG_UUID, { store, policy: EAGER });
    await tidy(store);
    await expectNothingLeftOver(rig);
    if (signal === null) {
      await expectWhole(rig, primary);
      break;
    }
    expect(signal).toBe("SIGKILL");
  }
  expect([...generations]).toEqual([generation, generation + 1]);
});
