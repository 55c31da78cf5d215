import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { OidRecords, reorderRecords, sortedRows } from "../../../../lib/git/pack/oid-records.ts";

const RECORD_BYTES = 36;

/** @param firstBytes - How many bytes of the oids are random; those after them are equal but for the last two. */
function randomRecords(count: number, firstBytes: number): OidRecords {
  const bytes = Buffer.alloc(count * RECORD_BYTES);
  for (let row = 0; row < count; row++) {
    const at = row * RECORD_BYTES;
    randomBytes(firstBytes).copy(bytes, at);
    randomBytes(2).copy(bytes, at + 30);
    bytes.writeUInt32BE(row, at + 32);
  }
  return new OidRecords(bytes, 0, RECORD_BYTES);
}

test.each([
  { count: 0, firstBytes: 6 },
  { count: 1, firstBytes: 6 },
  { count: 50_000, firstBytes: 6 },
  { count: 20_000, firstBytes: 2 },
  // Made by a stranger: only the ends differ.
  { count: 20_000, firstBytes: 0 },
])(
  "$count records of which $firstBytes bytes differ are sorted by oid, equal ones in their order",
  async ({ count, firstBytes }) => {
    const records = randomRecords(count, firstBytes);
    const rows = await sortedRows(records);
    const expected = Array.from({ length: count }, (_, row) =>
      records.bytes.subarray(row * RECORD_BYTES, (row + 1) * RECORD_BYTES),
    ).sort((left, right) => left.compare(right));
    const sorted = Buffer.concat(expected);
    await reorderRecords(records, rows);
    expect(records.bytes.equals(sorted)).toBe(true);
  },
);
