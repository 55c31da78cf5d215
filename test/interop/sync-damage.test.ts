/** Blobs of the store lost, cut or flipped: the next sync that comes upon it mends it, and a clone is whole again. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { Manifest } from "../../lib/repo/manifest.ts";
import { openRepository, type RepositoryStorage } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { type SyncOptions, type SyncOutcome, syncRepository } from "../../lib/sync/sync-repository.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { expectCloneLikePrimary, RIG_UUID, type SyncRig, syncRig } from "../support/sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);

let primary: Primary;
let store: MemoryBlobStore;
let rig: SyncRig;
let manifest: Manifest;

beforeEach(async () => {
  primary = await startPrimary();
  store = new MemoryBlobStore();
  rig = syncRig(primary, store);
  await rig.sync();
  await primary.commit("main", "second.txt", "second\n");
  await rig.sync();
  manifest = await rig.manifest();
});

afterEach(async () => {
  await rig.close();
  await primary.close();
});

const KEY_OF: Readonly<Record<string, () => string>> = {
  manifest: () => KEYS.manifest,
  "list of refs": () => KEYS.refSnapshot(manifest.refs.snapshotId),
  index: () => KEYS.packIndex(manifest.packs[0]?.id ?? ""),
  pack: () => KEYS.pack(manifest.packs[0]?.id ?? ""),
  history: () => KEYS.packHistory(manifest.packs[0]?.id ?? ""),
  "history of the newer pack": () => KEYS.packHistory(manifest.packs[1]?.id ?? ""),
};

const DAMAGES: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
  lost: (key) => store.delete(key),
  cut: async (key) => store.write(key, (await store.read(key)).bytes.subarray(0, 40)),
  flipped: async (key) => {
    const { bytes } = await store.read(key);
    bytes[5] = (bytes[5] ?? 0) ^ 0x80;
    await store.write(key, bytes);
  },
};

const CASES = Object.keys(KEY_OF)
  .flatMap((blob) => Object.keys(DAMAGES).map((damage) => [blob, damage] as const))
  .filter(([blob, damage]) => blob !== "manifest" || damage !== "lost");

/** As in a process that has read nothing yet. */
function freshStorage(onDamage?: RepositoryStorage["onDamage"]): RepositoryStorage {
  return { store, blocks: new BlockCache(store), ...(onDamage && { onDamage }) };
}

function sync(options: Partial<SyncOptions>): Promise<SyncOutcome> {
  return syncRepository(RIG_UUID, {
    ...{ storage: freshStorage(), upstream: rig.upstream(), log: SILENT_LOGGER },
    ...options,
  });
}

async function expectWhole(): Promise<void> {
  const damaged: string[] = [];
  const repository = await openRepository(
    freshStorage((_, key) => void damaged.push(key)),
    RIG_UUID,
  );
  expect((await repository.openObjects()).history).toBeDefined();
  expect(damaged).toEqual([]);
  const served = syncRig(primary, store);
  try {
    await expectCloneLikePrimary(served, primary);
  } finally {
    await served.close();
  }
  expect(await sync({ checkStore: true })).toMatchObject({ kind: "unchanged" });
}

test.each(CASES)("%s %s: found by a sync that looks, without news", async (blob, damage) => {
  await DAMAGES[damage]?.(KEY_OF[blob]?.() ?? "");
  const events: string[] = [];
  const log = { ...SILENT_LOGGER, error: (event: string) => void events.push(event) };
  const damagedKeys: string[] = [];
  const storage = freshStorage((_, key) => void damagedKeys.push(key));
  expect(await sync({ log, storage, checkStore: true })).toMatchObject({ kind: "published" });
  // Damage never goes unsaid.
  if (blob.startsWith("history")) expect(damagedKeys).toContain(KEY_OF[blob]?.());
  else expect(events).toEqual(["sync:store-damaged"]);
  await expectWhole();
});

test.each(CASES.filter(([blob]) => blob !== "pack"))(
  "%s %s: found by a sync with news",
  async (blob, damage) => {
    await DAMAGES[damage]?.(KEY_OF[blob]?.() ?? "");
    await primary.commit("main", "third.txt", "third\n");
    expect(await sync({})).toMatchObject({ kind: "published" });
    await expectWhole();
  },
);

test("a lost pack is found by a sync that needs an object of it", async () => {
  await store.delete(KEY_OF["pack"]?.() ?? "");
  await primary.commit("main", "third.txt", "third\n");
  expect(await sync({})).toMatchObject({ kind: "published" });
  expect((await rig.manifest()).packs.length).toBe(1);
  await expectWhole();
});

test("a manifest of a newer release is left alone", async () => {
  const { bytes } = await store.read(KEYS.manifest);
  const newer = { ...JSON.parse(new TextDecoder().decode(bytes)), mustUnderstand: ["shallow-packs"] };
  const text = JSON.stringify(newer);
  await store.write(KEYS.manifest, new TextEncoder().encode(text));
  await expect(sync({})).rejects.toThrow(/newer release/);
  expect(new TextDecoder().decode((await store.read(KEYS.manifest)).bytes)).toBe(text);
});

test("a history that is damaged slows answers down, and stops none", async () => {
  await store.delete(KEY_OF["history"]?.() ?? "");
  const damaged: string[] = [];
  const repository = await openRepository(
    freshStorage((_, key) => void damaged.push(key)),
    RIG_UUID,
  );
  expect((await repository.openObjects()).history).toBeUndefined();
  expect(damaged).toEqual([KEY_OF["history"]?.()]);
  const served = syncRig(primary, store);
  try {
    await expectCloneLikePrimary(served, primary);
  } finally {
    await served.close();
  }
});
