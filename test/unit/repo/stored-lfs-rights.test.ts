/** Tables of LFS rights: what merges keep, and what they cost others. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LfsPointerWriter } from "../../../lib/git/pack/lfs-pointers.ts";
import { NO_RIGHTS } from "../../../lib/repo/lfs-rights-document.ts";
import {
  encodeRightsTable,
  LFS_STATE,
  type LfsRecord,
  mergeRightsTables,
  RightsTable,
} from "../../../lib/repo/lfs-rights-table.ts";
import { LfsRights, StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

/** @param version - Stored as the size. */
function record(number: number, version: number): LfsRecord {
  const oid = createHash("sha256").update(String(number)).digest("hex");
  return { oid, sizeBytes: version, state: LFS_STATE.stored, tries: 0, seconds: 1 };
}

function records(start: number, end: number, version: number): LfsRecord[] {
  return Array.from({ length: end - start }, (_, i) => record(start + i, version));
}

async function tableOf(part: readonly LfsRecord[]): Promise<RightsTable> {
  return RightsTable.open((await encodeRightsTable(part)).bytes);
}

async function recordsOf(rights: LfsRights): Promise<LfsRecord[]> {
  const found: LfsRecord[] = [];
  await rights.each((each) => void found.push(each));
  return found;
}

const byOid = (a: LfsRecord, b: LfsRecord) => (a.oid < b.oid ? -1 : 1);

test("a merged table has each oid once, with what the newest table says, without those not kept", async () => {
  const parts = [records(0, 1000, 1), records(300, 700, 2), [], records(650, 1200, 3)];
  const tables = await Promise.all(parts.map(tableOf));
  const isKept = ({ sizeBytes }: LfsRecord) => sizeBytes !== 2;
  const expected = new Map(parts.flat().map((each) => [each.oid, each]));
  const all = await mergeRightsTables(tables);
  expect(all.records).toBe(1200);
  expect(Buffer.from(all.bytes).equals((await encodeRightsTable(parts.flat())).bytes)).toBe(true);
  const some = await mergeRightsTables(tables, isKept);
  const opened = new LfsRights(NO_RIGHTS, [await RightsTable.open(some.bytes)]);
  expect(await recordsOf(opened)).toEqual([...expected.values()].filter(isKept).toSorted(byOid));
});

test("work on many records leaves the event loop to others", async () => {
  const parts = [records(0, 50_000, 1), records(50_000, 100_000, 2)];
  expect(await turnsDuring(() => tableOf(parts.flat()))).toBeGreaterThanOrEqual(20);
  const tables = await Promise.all(parts.map(tableOf));
  expect(await turnsDuring(() => mergeRightsTables(tables))).toBeGreaterThanOrEqual(5);
  const pointers = new LfsPointerWriter(100_000);
  for (const table of tables)
    for (let row = 0; row < 50_000; row++)
      pointers.add(row * 2, table.records.bytes, table.records.startOf(row));
  expect(await turnsDuring(() => pointers.encode())).toBeGreaterThanOrEqual(4);
});

async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isWorking = true;
  const count = () => {
    turns += 1;
    if (isWorking) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isWorking = false;
  return turns;
}

test("records are found by reading the blocks in which they are, also where oids are no hashes", async () => {
  const all = records(0, 50_000, 1);
  const odd = Array.from({ length: 20_000 }, (_, i) => ({
    ...record(0, i),
    oid: `00${i.toString(16).padStart(62, "0")}`,
  }));
  for (const some of [all, odd, [...all.slice(0, 5000), ...odd], all.slice(0, 1)]) {
    const store = new CountingBlobStore(new MemoryBlobStore());
    const blocks = new BlockCache(store);
    const rights = new StoredLfsRights(store, RIG_UUID);
    await rights.add(some);
    const wanted = some.filter((_, i) => i % 397 === 0);
    const absent = ["f".repeat(64), "0".repeat(64), "7".repeat(64)].filter(
      (oid) => !some.some((each) => each.oid === oid),
    );
    const found = await rights.findRecords([...wanted.map(({ oid }) => oid), ...absent], blocks);
    expect([...found.values()].toSorted(byOid)).toEqual(wanted.toSorted(byOid));
  }
});

test("a large table is not written again for a few new records, and the newest one counts", async () => {
  const rights = new StoredLfsRights(new MemoryBlobStore(), RIG_UUID);
  await rights.add(records(0, 5000, 1));
  const [large] = (await rights.read()).document.tables;
  for (let version = 2; version <= 100; version++)
    await rights.add([record(7, version), record(-version, 1)]);
  const { document, tables } = await rights.read();
  expect(document.tables[0]).toEqual(large);
  expect(tables.length).toBeLessThan(16);
  expect((await rights.read()).find(record(7, 0).oid)?.sizeBytes).toBe(100);
  expect(await recordsOf(await rights.read())).toHaveLength(5099);
  await rights.rewrite(({ oid }) => oid !== record(7, 0).oid);
  const rewritten = await rights.read();
  expect(rewritten.tables).toHaveLength(1);
  expect(rewritten.find(record(7, 0).oid)).toBeUndefined();
  expect(rewritten.find(record(8, 0).oid)?.sizeBytes).toBe(1);
});
