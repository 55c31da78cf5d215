/** Which repositories have recent objects, and what is logged where none do. */
import { afterEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRecent } from "../../../lib/sync/prepare-repository.ts";
import { git } from "../../support/git/run-git.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

let primary: Primary;
afterEach(() => primary.close());

/** Branches that share no commit. */
async function makeLines(repository: string, branches: Readonly<Record<string, number>>): Promise<void> {
  await git(["init", "-q", "--bare", "--initial-branch=main", repository], {});
  const run = (...args: readonly string[]) =>
    git(["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], { cwd: repository });
  const tree = await run("hash-object", "-w", "-t", "tree", "/dev/null");
  for (const [branch, count] of Object.entries(branches)) {
    let parents: string[] = [];
    for (let i = 0; i < count; i++)
      parents = ["-p", await run("commit-tree", "-m", `${branch} ${i}`, ...parents, tree)];
    await run("update-ref", `refs/heads/${branch}`, parents[1] ?? "");
  }
}

async function eventsOf(branches: Readonly<Record<string, number>>): Promise<string[]> {
  primary = await startPrimary({ make: (repository) => makeLines(repository, branches) });
  const blobs = new MemoryBlobStore();
  await syncRig(primary, blobs).sync();
  for await (const { key } of blobs.list("")) if (key.includes("/recent-")) await blobs.delete(key);
  const events: string[] = [];
  const log = { ...SILENT_LOGGER, info: (event: string) => void events.push(event) };
  await prepareRecent(RIG_UUID, { storage: { store: blobs, blocks: new BlockCache(blobs) }, log });
  return events;
}

test("a default branch of one commit leaves the main line to another branch", async () => {
  expect(await eventsOf({ main: 1, develop: 4 })).toEqual(["recent:written"]);
});

test("where nothing fits, the event says so", async () => {
  expect(await eventsOf({ main: 1 })).toEqual(["recent:none-fits"]);
});
