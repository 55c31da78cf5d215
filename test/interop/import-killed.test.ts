/** The first sync of a large repository, killed again and again: it ends, and nothing is fetched twice but what was cut. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { expectWhole, tidy } from "../support/compaction-checks.ts";
import { makeLargeRepository } from "../support/git/large-repository.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { keysOf, RIG_UUID, syncRig } from "../support/sync-rig.ts";

const CHILD = fileURLToPath(new URL("../support/import-child.ts", import.meta.url));
const KEYS = repositoryKeys(RIG_UUID);

/** More of them: `NEARSIDE_KILLS=100`. */
const KILLS = Number(process.env["NEARSIDE_KILLS"] ?? 12);

let primary: Primary;

beforeAll(async () => {
  primary = await startPrimary({
    make: (path) => makeLargeRepository(path, { commitCount: 600, fileBytes: 80_000 }),
  });
});
afterAll(() => primary.close());

async function packBytesOf(repository: string): Promise<number> {
  const folder = join(repository, "objects/pack");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".pack"));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function sentBytes(): number {
  return primary.fake.controls.requests.reduce((sum, request) => sum + (request.sentBytes ?? 0), 0);
}

// Each kill is a process that has to start.
test(`${KILLS} times: it ends, and less than twice the repository was sent`, {
  timeout: 240_000 + KILLS * 20_000,
}, async () => {
  const repositoryBytes = await packBytesOf(primary.repository);
  const folder = primary.newPath();
  const store = new FsBlobStore(folder);
  const run = () =>
    spawn(
      process.execPath,
      [CHILD, folder, RIG_UUID, `${primary.fake.gitUrl}/acme/sample.git`, String(repositoryBytes)],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
  const killedAfter: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const sentBefore = sentBytes();
    // From nothing to some slices; all of them together stay below the repository.
    const limit = randomInt(Math.round((0.8 * repositoryBytes) / KILLS));
    await killWhen(run(), () => sentBytes() - sentBefore > limit);
    killedAfter.push(sentBytes() - sentBefore);
    expect(await keysOf(store, KEYS.manifest), `kills after ${killedAfter.join()}`).toEqual([]);
  }
  const [exitCode] = (await once(run(), "exit")) as [number | null];
  expect(exitCode).toBe(0);
  console.log(
    `import-killed.test.ts: ${sentBytes()} bytes sent of a repository of ${repositoryBytes}; kills after ${killedAfter.join()}`,
  );
  expect(sentBytes()).toBeLessThan(2 * repositoryBytes);
  const rig = syncRig(primary, store);
  await tidy(store);
  await expectWhole(rig, primary);
  expect((await rig.manifest()).packs.length).toBeGreaterThan(10);
  await rig.close();
});

async function killWhen(child: ChildProcess, isTime: () => boolean): Promise<void> {
  const ended = once(child, "exit");
  while (!isTime() && child.exitCode === null) await pause(1);
  child.kill("SIGKILL");
  const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  expect(signal).toBe("SIGKILL");
}
