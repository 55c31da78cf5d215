/** What a batch costs in requests to the store, besides name and manifest: two rounds at first, then one request, none per object. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { NO_RIGHTS } from "../../../lib/repo/lfs-rights-document.ts";
import { encodeRightsTable, LFS_STATE, type LfsRecord } from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { type LfsRig, startLfsRig } from "../../support/lfs/lfs-rig.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

/** Of refs alone: the name, then the manifest. */
const FOUND = { cold: { rounds: 2, requests: 2 }, warm: { rounds: 1, requests: 1 } };

let rig: LfsRig;

beforeAll(async () => {
  rig = await startLfsRig();
  await rig.copier.addFile("a.bin", randomBytes(500));
  await rig.copier.sync.sync();
});

afterAll(() => rig.close());

function recordsOf(count: number, kind: string): LfsRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    oid: createHash("sha256").update(`${kind} ${i}`).digest("hex"),
    sizeBytes: i + 1,
    state: LFS_STATE.stored,
    tries: 0,
    seconds: Math.floor(Date.now() / 1000),
  }));
}

/** @returns The cost of a batch of 100 of them, which are all linked. */
async function cost(records: readonly LfsRecord[]) {
  rig.store.reset();
  const step = Math.floor(records.length / 100);
  const asked = Array.from({ length: 100 }, (_, i) => records[i * step] as LfsRecord);
  const { json } = await rig.download(asked.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes })));
  expect(json.objects?.filter(({ actions }) => actions?.download !== undefined)).toHaveLength(100);
  const { rounds, requests } = rig.store.counts();
  return { rounds, requests };
}

async function rewriteWith(records: readonly LfsRecord[]): Promise<void> {
  const keys = repositoryKeys(RIG_UUID);
  for (const key of [keys.lfsRights, ...(await keysOf(rig.store, keys.lfsTableFolder))])
    await rig.store.delete(key);
  await new StoredLfsRights(rig.store, RIG_UUID).add(records);
  rig.restart();
}

test.each([100, 50_000])("of %i files: two rounds, then one request", async (count) => {
  const records = recordsOf(count, "few");
  await rewriteWith(records);
  expect(await cost(records)).toEqual({ rounds: FOUND.cold.rounds + 2, requests: FOUND.cold.requests + 2 });
  expect(await cost(records)).toEqual({ rounds: FOUND.warm.rounds + 1, requests: FOUND.warm.requests + 1 });
});

test("of many tables: no more rounds, and after a copy only the new table is read", async () => {
  const rights = new StoredLfsRights(rig.store, RIG_UUID);
  const records = recordsOf(1000, "many");
  await rewriteWith(records.slice(0, 300));
  for (let i = 300; i < 1000; i += 100) await rights.add(records.slice(i, i + 100));
  rig.restart();
  expect((await cost(records)).rounds).toBe(FOUND.cold.rounds + 2);
  const added = recordsOf(100, "added");
  await rights.add(added);
  expect(await cost(added)).toEqual({ rounds: FOUND.warm.rounds + 2, requests: FOUND.warm.requests + 2 });
});

test("of 200,000 files: no more rounds, in parts of 8 MB", async () => {
  const records = recordsOf(200_000, "lots");
  await rewriteWith(records);
  const sizeBytes = (await encodeRightsTable(records)).bytes.length;
  expect(sizeBytes).toBeGreaterThan(8 * 2 ** 20);
  const parts = Math.ceil(sizeBytes / (8 * 2 ** 20));
  expect(await cost(records)).toEqual({
    rounds: FOUND.cold.rounds + 2,
    requests: FOUND.cold.requests + 1 + parts,
  });
  expect(await cost(records)).toEqual({ rounds: FOUND.warm.rounds + 1, requests: FOUND.warm.requests + 1 });
});

test("of a table that is larger than the cache: the blocks that have the oids, then one request", async () => {
  const records = recordsOf(50_000, "large");
  await rewriteWith(records);
  const maxTableBytes = 1024 * 1024;
  rig.restart({ maxTableBytes });
  const { tables } = (await new StoredLfsRights(rig.store, RIG_UUID).readDocument()).value ?? NO_RIGHTS;
  const blocks = Math.ceil((tables[0]?.bytes ?? 0) / (256 * 1024));
  expect(tables[0]?.bytes).toBeGreaterThan(2 * maxTableBytes);
  const cold = await cost(records);
  expect(cold.requests).toBeLessThanOrEqual(FOUND.cold.requests + 1 + blocks);
  expect(await cost(records)).toEqual({ rounds: FOUND.warm.rounds + 1, requests: FOUND.warm.requests + 1 });
});

test("where a table is damaged, what newer ones say counts, and nothing of what older ones say", async () => {
  const [old, damaged, young] = [recordsOf(100, "old"), recordsOf(100, "middle"), recordsOf(100, "young")];
  await rewriteWith(old);
  const rights = new StoredLfsRights(rig.store, RIG_UUID);
  await rights.add(damaged);
  const [, { id = "" } = {}] = (await rights.readDocument()).value?.tables ?? [];
  await rights.add(young);
  await rig.store.write(repositoryKeys(RIG_UUID).lfsTable(id), new Uint8Array(100));
  expect((await cost(young)).requests).toBeGreaterThan(0);
  const { json } = await rig.download(old.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes })));
  expect(new Set(json.objects?.map(({ error }) => error?.code))).toEqual(new Set([404]));
});

test("a table that is damaged, or gone, costs the links and no more", async () => {
  const records = recordsOf(100, "damaged");
  await rewriteWith(records);
  const [key = ""] = await keysOf(rig.store, repositoryKeys(RIG_UUID).lfsTableFolder);
  const { bytes } = await rig.store.read(key);
  const damaged = bytes.slice();
  damaged[2000] = (damaged[2000] ?? 0) ^ 1;
  await rig.store.write(key, damaged);
  const asked = records.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes }));
  const codes = async () =>
    new Set((await rig.download(asked)).json.objects?.map(({ error }) => error?.code));
  expect(await codes()).toEqual(new Set([404]));
  await rig.store.delete(key);
  expect(await codes()).toEqual(new Set([404]));
  await rig.store.write(key, bytes);
  expect(await codes()).toEqual(new Set([undefined]));
});
