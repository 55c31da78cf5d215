/** The drill of docs/operations.md, "Restore": what was lost or rolled back is served only after it was compared with the primary. */
import { beforeEach, expect, test } from "vitest";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { tryGit } from "../support/git/run-git.ts";
import { listRefs } from "../support/primary.ts";
import { useSyncRigs } from "../support/shared-set-ups.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { expectCloneLikePrimary, keysOf, RIG_UUID, type SyncRig } from "../support/sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);

const { primary, rigOn } = useSyncRigs();
let store: MemoryBlobStore;

beforeEach(() => {
  store = new MemoryBlobStore();
});

/** A process that has read nothing yet. */
function started(): SyncRig {
  return rigOn(store);
}

async function copyOf(source: MemoryBlobStore): Promise<Map<string, Uint8Array>> {
  const copy = new Map<string, Uint8Array>();
  for (const key of await keysOf(source)) copy.set(key, (await source.read(key)).bytes);
  return copy;
}

async function restore(copy: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const key of await keysOf(store)) if (!copy.has(key)) await store.delete(key);
  for (const [key, bytes] of copy) await store.write(key, bytes);
}

test("a repository whose manifest is lost is not served, until a sync has made it anew", async () => {
  await started().sync();
  await store.delete(KEYS.manifest);
  const before = await tryGit(["ls-remote", await started().serve()]);
  expect(before.exitCode).not.toBe(0);
  expect((await started().sync()).kind).toBe("published");
  await expectCloneLikePrimary(started(), primary);
});

test("a bucket that was rolled back by a day follows the primary with the first sync, forgets what was deleted, and is whole", async () => {
  await primary.git("branch", "withdrawn", "main");
  await started().sync();
  const yesterday = await copyOf(store);
  await primary.git("branch", "-D", "withdrawn");
  await primary.commit("main", "today.txt", "today\n");
  await started().sync();
  const [lost] = (await started().manifest()).packs.slice(-1);

  await restore(yesterday);
  // Nothing of today is there, and what is there says how old it is.
  expect(await keysOf(store)).not.toContain(KEYS.pack(lost?.id ?? ""));
  const { verifiedAt } = await started().manifest();
  expect((await started().sync()).kind).toBe("published");
  const after = await started().manifest();
  expect(Date.parse(after.verifiedAt)).toBeGreaterThan(Date.parse(verifiedAt));
  await expectCloneLikePrimary(started(), primary);
  expect(await listRefs(await started().serve())).not.toContain("withdrawn");
});

test("a rollback in which the packs are older than the manifest is refused, and repaired by a sync", async () => {
  await started().sync();
  const yesterday = await copyOf(store);
  await primary.commit("main", "today.txt", "today\n");
  await started().sync();
  const manifest = (await store.read(KEYS.manifest)).bytes;
  await restore(new Map([...yesterday, [KEYS.manifest, manifest]]));
  const clone = await tryGit(["clone", "--quiet", "--mirror", await started().serve(), primary.newPath()]);
  expect(clone.exitCode).not.toBe(0);
  await started().sync();
  await expectCloneLikePrimary(started(), primary);
});
