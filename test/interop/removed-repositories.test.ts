/** Repositories that are not mirrored any more, and come back: also with a damaged record, and while they are deleted. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { VersionConflictError } from "../../lib/errors.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { changeRecord, factsOf } from "../../lib/mirror/repository-state.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { withdraw } from "../../lib/sync/retire-repository.ts";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";
import { keysOf } from "../support/sync-rig.ts";

const DAY_MS = 24 * 60 * MINUTE_MS;
const TOMBSTONE = '{"tombstone":true}\n';

let clocked: ClockedRig;
let store: BlobStore;
let uuid: string;

beforeEach(async () => {
  clocked = await ClockedRig.start("one", "two");
  store = clocked.rig.store;
  await round("list");
  uuid = (await readName(store, "acme", "one"))?.uuid ?? expect.fail("not mirrored");
});

afterEach(() => clocked.rig.close());

async function round(mode?: "list"): Promise<void> {
  await clocked.reconcile(mode);
  await clocked.runJobs();
}

async function select(change: Partial<MirroredWorkspaceInput>): Promise<void> {
  await changeMirrorConfig(store, () =>
    mirrorConfigOf([{ workspace: "acme", projects: "all", retentionDays: 3, ...change }]),
  );
}

async function damageRecord(): Promise<void> {
  await store.write(repositoryKeys(uuid).record, new TextEncoder().encode("{"));
}

/** Tombstones of documents are left, and nothing else. */
async function expectPurged(): Promise<void> {
  const keys = await keysOf(store, repositoryKeys(uuid).prefix);
  expect(keys).toContain(repositoryKeys(uuid).record);
  for (const key of keys)
    expect(new TextDecoder().decode((await store.read(key)).bytes), key).toBe(TOMBSTONE);
  expect(await readName(store, "acme", "one")).toBeUndefined();
  expect(await keysOf(store, repositoryKeys(uuid).answerFolder)).toEqual([]);
}

test("purged, then selected again: it is fetched anew and served", async () => {
  await store.write(repositoryKeys(uuid).answer("a".repeat(64)), new TextEncoder().encode("an answer"));
  await select({ exclude: ["one"] });
  await round();
  expect(await clocked.rig.serves("acme/one")).toBe("not served");
  clocked.nowMs += 4 * DAY_MS;
  await round();
  await expectPurged();
  await select({});
  clocked.nowMs += DAY_MS;
  await round("list");
  expect(await clocked.rig.serves("acme/one")).toBe("equal");
  await clocked.rig.commit("acme", "one");
  clocked.queue(await clocked.jobFor("one", "push"));
  await clocked.runJobs();
  expect(await clocked.rig.serves("acme/one")).toBe("equal");
});

test.each([
  ["gone from the primary", () => clocked.rig.fake.lifecycle.remove({ workspace: "acme", slug: "one" })],
  ["not selected", () => select({ exclude: ["one"] })],
] as const)("with a damaged record, and %s: not served, and deleted in time", async (_, change) => {
  await select({});
  await damageRecord();
  await change();
  await round("list");
  expect(await repositoryDocument(store, uuid).read()).toMatchObject({
    value: { state: "NOT_MIRRORED", isNamed: false, removedAt: expect.any(String) },
  });
  expect(await clocked.rig.serves("acme/one")).toBe("not served");
  expect(await clocked.rig.serves("acme/two")).toBe("equal");
  clocked.nowMs += 4 * DAY_MS;
  await round("list");
  await expectPurged();
});

test("a damaged record of a repository that is mirrored is written anew by the next job", async () => {
  await damageRecord();
  clocked.nowMs += DAY_MS;
  await round();
  expect(await clocked.rig.serves("acme/one")).toBe("equal");
});

test.each([
  ["record", 0],
  ["manifest", 1],
] as const)(
  "one that is mirrored again while it is deleted stays whole, if its %s is changed first",
  async (_, at) => {
    const document = repositoryDocument(store, uuid);
    const comesBack = [
      async () => {
        const { value } = await document.read();
        if (value !== undefined)
          await changeRecord(store, uuid, factsOf(value), ({ removedAt: _removed, ...record }) => record);
      },
      async () => {
        const key = repositoryKeys(uuid).manifest;
        await store.write(key, (await store.read(key)).bytes);
      },
    ];
    const list = store.list.bind(store);
    store.list = async function* (prefix) {
      yield* list(prefix);
      await comesBack[at]?.();
    };
    const [workspace] = (await clocked.options.readConfig()).workspaces;
    const stored = await document.read();
    await expect(
      withdraw(stored, workspace && { ...workspace, retentionDays: 0 }, {
        job: await clocked.jobFor("one", "gone"),
        storage: { store, blocks: new BlockCache(store) },
        now: () => new Date(clocked.nowMs),
      }),
    ).rejects.toThrow(VersionConflictError);
    const repository = await openRepository({ store, blocks: new BlockCache(store) }, uuid, {
      withRefs: true,
    });
    for (const { id } of repository.manifest.packs)
      expect((await store.read(repositoryKeys(uuid).pack(id))).bytes.length).toBeGreaterThan(0);
  },
);
