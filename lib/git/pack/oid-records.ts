/**
 * Tables of records of one length, sorted by the 32-byte oid that each begins with: sorted, searched and read side by side
 * without an object for each. Repositories have a million of them, so long work leaves the event loop to others.
 */
import { createHash } from "node:crypto";
import { LFS_POINTER_BYTES } from "../lfs-pointer.ts";
import { WorkSlices } from "../work-slices.ts";

export const LFS_OID_BYTES = LFS_POINTER_BYTES.oid;
/** Of an oid so many bytes are compared as a number first. */
const PREFIX_BYTES = 6;

/** Bytes `start` to the end are records. */
export class OidRecords {
  readonly bytes: Buffer;
  readonly count: number;
  readonly recordBytes: number;
  readonly #start: number;

  constructor(bytes: Buffer, start: number, recordBytes: number) {
    this.bytes = bytes;
    this.recordBytes = recordBytes;
    this.count = (bytes.length - start) / recordBytes;
    this.#start = start;
  }

  /** Where a record begins in `bytes`. */
  startOf(row: number): number {
    return this.#start + row * this.recordBytes;
  }

  oidAt(row: number): string {
    const start = this.startOf(row);
    return this.bytes.toString("hex", start, start + LFS_OID_BYTES);
  }

  prefixAt(row: number): number {
    return this.bytes.readUIntBE(this.startOf(row), PREFIX_BYTES);
  }

  compareOid(row: number, other: OidRecords, otherRow: number): number {
    const start = this.startOf(row);
    const otherStart = other.startOf(otherRow);
    return this.bytes.compare(
      other.bytes,
      otherStart,
      otherStart + LFS_OID_BYTES,
      start,
      start + LFS_OID_BYTES,
    );
  }

  /** @returns The first row with this oid, or -1. */
  find(oid: Uint8Array, low = 0, high = this.count): number {
    let first = low;
    let end = high;
    while (first < end) {
      const middle = (first + end) >>> 1;
      if (this.#compare(oid, middle) < 0) first = middle + 1;
      else end = middle;
    }
    return first < high && this.#compare(oid, first) === 0 ? first : -1;
  }

  #compare(oid: Uint8Array, row: number): number {
    const start = this.startOf(row);
    return this.bytes.compare(oid, 0, LFS_OID_BYTES, start, start + LFS_OID_BYTES);
  }
}

/** Of `WorkSlices`. */
const RECORDS_PER_STEP = 4;
const RECORDS_AT_ONCE = 4_000;

/** Rows are sorted by the first 32 bits of their oids, a digit at a time. */
const DIGIT_BITS = 11;
const DIGITS = 2 ** DIGIT_BITS;
const KEY_BITS = 32;
const SORTED_PER_STEP = 32;
/** Oids that begin alike are compared. There are few, unless a stranger has made them. */
const MAX_ALIKE = 2 ** 10;

/**
 * @param compareEqual - Compares rows with the same oid; by default they stay in the order in which they are.
 * @returns The rows of unsorted records in the order of their oids.
 */
export async function sortedRows(
  records: OidRecords,
  compareEqual: (left: number, right: number) => number = () => 0,
): Promise<Uint32Array> {
  const { count } = records;
  const compare = (left: number, right: number): number =>
    records.compareOid(left, records, right) || compareEqual(left, right) || left - right;
  let rows = new Uint32Array(count).map((_, row) => row);
  if (count <= MAX_ALIKE) return rows.sort(compare);
  let next = new Uint32Array(count);
  const keys = new Uint32Array(count);
  await eachPart(count, (start, end) => {
    for (let row = start; row < end; row++) keys[row] = records.bytes.readUInt32BE(records.startOf(row));
  });
  for (let shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
    await distribute(rows, keys, shift, next);
    [rows, next] = [next, rows];
  }
  return (await sortAlike(rows, keys, compare)) ? rows : mergeSorted(rows, records, compare);
}

/** @param visit - Gets the next few thousand. */
async function eachPart(count: number, visit: (start: number, end: number) => void): Promise<void> {
  const slices = new WorkSlices();
  for (let start = 0; start < count; start += RECORDS_AT_ONCE) {
    visit(start, Math.min(count, start + RECORDS_AT_ONCE));
    await slices.spend(RECORDS_AT_ONCE / SORTED_PER_STEP);
  }
}

/** A pass of a radix sort. @param sorted - Gets the rows by a digit of their keys; those with the same one in the order in which they are. */
async function distribute(
  rows: Uint32Array,
  keys: Uint32Array,
  shift: number,
  sorted: Uint32Array,
): Promise<void> {
  const starts = new Uint32Array(DIGITS + 1);
  const digitOf = (row: number): number => ((keys[row] as number) >>> shift) & (DIGITS - 1);
  await eachPart(rows.length, (start, end) => {
    for (let row = start; row < end; row++) (starts[digitOf(row) + 1] as number) += 1;
  });
  for (let digit = 0; digit < DIGITS; digit++) (starts[digit + 1] as number) += starts[digit] as number;
  await eachPart(rows.length, (start, end) => {
    for (let i = start; i < end; i++) {
      const row = rows[i] as number;
      const digit = digitOf(row);
      sorted[starts[digit] as number] = row;
      (starts[digit] as number) += 1;
    }
  });
}

/** Sorts rows with the same key by all the rest. @returns Whether it could: not where too many have one. */
async function sortAlike(
  rows: Uint32Array,
  keys: Uint32Array,
  compare: (left: number, right: number) => number,
): Promise<boolean> {
  let first = 0;
  let most = 0;
  const sortFrom = (end: number): void => {
    most = Math.max(most, end - first);
    if (end - first > 1 && most <= MAX_ALIKE) rows.subarray(first, end).sort(compare);
    first = end;
  };
  await eachPart(rows.length, (start, end) => {
    for (let i = Math.max(start, 1); i < end; i++)
      if (keys[rows[i] as number] !== keys[rows[i - 1] as number]) sortFrom(i);
  });
  sortFrom(rows.length);
  return most <= MAX_ALIKE;
}

/** A merge sort: unlike the runtime's, it can pause. */
async function mergeSorted(
  rows: Uint32Array,
  records: OidRecords,
  compare: (left: number, right: number) => number,
): Promise<Uint32Array> {
  const slices = new WorkSlices();
  const { count } = records;
  let from = rows;
  let merged: Uint32Array = new Uint32Array(count);
  for (let runLength = 1; runLength < count; runLength *= 2) {
    let left = 0;
    let right = 0;
    let leftEnd = 0;
    let rightEnd = 0;
    for (let at = 0; at < count; at++) {
      if (at === rightEnd) {
        left = at;
        leftEnd = Math.min(count, at + runLength);
        right = leftEnd;
        rightEnd = Math.min(count, at + 2 * runLength);
      }
      const isRight =
        left === leftEnd || (right < rightEnd && compare(from[left] as number, from[right] as number) > 0);
      merged[at] = from[isRight ? right++ : left++] as number;
      if (at % RECORDS_AT_ONCE === 0) await slices.spend(RECORDS_AT_ONCE / RECORDS_PER_STEP);
    }
    [from, merged] = [merged, from];
  }
  return from;
}

/**
 * Reads tables side by side, oid by oid.
 * @param visit - Gets the first row with the oid of each table, -1 where a table has none; the array is reused.
 */
export async function eachOid(
  tables: readonly OidRecords[],
  visit: (rows: Int32Array) => void,
): Promise<void> {
  const slices = new WorkSlices();
  const nexts = tables.map(() => 0);
  const prefixes = Float64Array.from(tables, (table) =>
    table.count > 0 ? table.prefixAt(0) : Number.POSITIVE_INFINITY,
  );
  const rows = new Int32Array(tables.length);
  let unpaid = 0;
  for (;;) {
    let first = -1;
    for (let i = 0; i < tables.length; i++) {
      rows[i] = -1;
      const prefix = prefixes[i] as number;
      if (prefix === Number.POSITIVE_INFINITY) continue;
      let order = first < 0 ? -1 : prefix - (prefixes[first] as number);
      if (order === 0)
        order = (tables[i] as OidRecords).compareOid(
          nexts[i] as number,
          tables[first] as OidRecords,
          nexts[first] as number,
        );
      if (order > 0) continue;
      if (order < 0) {
        rows.fill(-1, 0, i);
        first = i;
      }
      rows[i] = nexts[i] as number;
    }
    if (first < 0) return;
    visit(rows);
    for (let i = first; i < tables.length; i++) {
      const row = rows[i] as number;
      if (row < 0) continue;
      const table = tables[i] as OidRecords;
      let next = row + 1;
      while (next < table.count && table.compareOid(next, table, row) === 0) next += 1;
      unpaid += next - row;
      nexts[i] = next;
      prefixes[i] = next < table.count ? table.prefixAt(next) : Number.POSITIVE_INFINITY;
    }
    unpaid += tables.length;
    if (unpaid >= RECORDS_AT_ONCE) {
      await slices.spend(unpaid / RECORDS_PER_STEP);
      unpaid = 0;
    }
  }
}

/**
 * Puts records in the order of `rows`, in place. Their beginning and length are multiples of 4 bytes.
 * @param rows - Used up.
 */
export async function reorderRecords(records: OidRecords, rows: Uint32Array): Promise<void> {
  const recordWords = records.recordBytes / WORD_BYTES;
  const { buffer, byteOffset } = records.bytes;
  const words = new Int32Array(buffer, byteOffset + records.startOf(0), rows.length * recordWords);
  const kept = new Int32Array(recordWords);
  await eachPart(rows.length, (start, end) => {
    for (let row = start; row < end; row++) {
      if (rows[row] === row) continue;
      // A cycle of places, each of which gets the next one's record.
      kept.set(words.subarray(row * recordWords, (row + 1) * recordWords));
      let to = row;
      for (let from = rows[to] as number; from !== row; from = rows[to] as number) {
        for (let i = 0; i < recordWords; i++)
          words[to * recordWords + i] = words[from * recordWords + i] as number;
        rows[to] = to;
        to = from;
      }
      words.set(kept, to * recordWords);
      rows[to] = to;
    }
  });
}

const WORD_BYTES = 4;

/** Some milliseconds. */
const HASHED_AT_ONCE_BYTES = 1024 * 1024;
/** Of `WorkSlices`, each about a microsecond. */
const STEPS_TO_HASH = 2_500;

export async function sha256WithPauses(bytes: Uint8Array): Promise<Buffer> {
  const sha256 = createHash("sha256");
  const slices = new WorkSlices();
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE_BYTES) {
    await slices.spend(STEPS_TO_HASH);
    sha256.update(bytes.subarray(at, at + HASHED_AT_ONCE_BYTES));
  }
  return sha256.digest();
}
