/** Tables of LFS rights: what merges keep, and what they cost others. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  encodeRightsTable,
  LFS_STATE,
  type LfsRecord,
  mergeRightsTables,
  RightsTable,
} from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
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

const byOid = (a: LfsRecord, b: LfsRecord) => (a.oid < b.oid ? -1 : 1);

test("a merged table has each oid once, with what the newest table says, without those not kept", async () => {
  const parts = [records(0, 1000, 1), records(300, 700, 2), [], records(650, 1200, 3)];
  const tables = await Promise.all(parts.map((part) => RightsTable.open(encodeRightsTable(part))));
  const isKept = ({ sizeBytes }: LfsRecord) => sizeBytes !== 2;
  const expected = new Map(parts.flat().map((each) => [each.oid, each]));
  const all = await mergeRightsTables(tables);
  expect(all.records).toBe(1200);
  expect(Buffer.from(all.bytes).equals(encodeRightsTable(expected.values()))).toBe(true);
  const some = await mergeRightsTables(tables, isKept);
  const opened = await RightsTable.open(some.bytes);
  expect([...opened.records()]).toEqual([...expected.values()].filter(isKept).toSorted(byOid));
});

test("a merge of many records leaves the event loop to others", async () => {
  const tables = await Promise.all(
    [records(0, 50_000, 1), records(50_000, 100_000, 2)].map((part) =>
      RightsTable.open(encodeRightsTable(part)),
    ),
  );
  let turns = 0;
  let isMerging = true;
  const count = () => {
    turns += 1;
    if (isMerging) setImmediate(count);
  };
  setImmediate(count);
  await mergeRightsTables(tables);
  isMerging = false;
  expect(turns).toBeGreaterThanOrEqual(10);
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
  expect([...(await rights.read()).records()]).toHaveLength(5099);
  await rights.rewrite(({ oid }) => oid !== record(7, 0).oid);
  const rewritten = await rights.read();
  expect(rewritten.tables).toHaveLength(1);
  expect(rewritten.find(record(7, 0).oid)).toBeUndefined();
  expect(rewritten.find(record(8, 0).oid)?.sizeBytes).toBe(1);
});
