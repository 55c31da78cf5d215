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

/** Runs of so many rows are sorted at once, which takes some milliseconds. */
const RUN_ROWS = 2 ** 16;
/** Of a prefix the part that fits into a number with a row of a run. */
const KEY_DIVISOR = 2 ** (8 * PREFIX_BYTES + Math.log2(RUN_ROWS) - 53);
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
  const slices = new WorkSlices();
  const { count } = records;
  const compare = (left: number, right: number): number =>
    records.compareOid(left, records, right) || compareEqual(left, right) || left - right;
  const rows = new Uint32Array(count);
  let isSorted = true;
  for (let start = 0; start < count; start += RUN_ROWS) {
    await slices.spend(Math.min(RUN_ROWS, count) / RECORDS_PER_STEP);
    const run = rows.subarray(start, start + RUN_ROWS);
    isSorted &&= sortRun(records, start, run, compare);
  }
  if (count <= RUN_ROWS && isSorted) return rows;
  return mergeRuns(isSorted ? rows : rows.map((_, row) => row), isSorted ? RUN_ROWS : 1, records, compare);
}

/**
 * Sorts the rows from `start` on into `run`: as numbers, which is a tenth of the work of comparing records.
 * @returns Whether it could.
 */
function sortRun(
  records: OidRecords,
  start: number,
  run: Uint32Array,
  compare: (left: number, right: number) => number,
): boolean {
  const keys = new Float64Array(run.length);
  for (let i = 0; i < keys.length; i++)
    keys[i] = Math.floor(records.prefixAt(start + i) / KEY_DIVISOR) * RUN_ROWS + i;
  keys.sort();
  let alike = 1;
  for (let i = 0; i < keys.length; i++) {
    run[i] = start + ((keys[i] as number) % RUN_ROWS);
    // Less than one apart in their prefixes; it may be more than one.
    if (i + 1 < keys.length && (keys[i + 1] as number) - (keys[i] as number) < RUN_ROWS) alike += 1;
    else if (alike > MAX_ALIKE) return false;
    else {
      if (alike > 1) run.subarray(i + 1 - alike, i + 1).sort(compare);
      alike = 1;
    }
  }
  return true;
}

/** Merges runs of doubling length: unlike the runtime's sort, it can pause. @param rows - Sorted in runs of `runRows`. */
async function mergeRuns(
  rows: Uint32Array,
  runRows: number,
  records: OidRecords,
  compare: (left: number, right: number) => number,
): Promise<Uint32Array> {
  const slices = new WorkSlices();
  const { count } = records;
  const prefixes = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    prefixes[row] = records.prefixAt(row);
    if (row % RECORDS_AT_ONCE === 0) await slices.spend(RECORDS_AT_ONCE / RECORDS_PER_STEP);
  }
  const isAfter = (left: number, right: number): boolean =>
    ((prefixes[left] as number) - (prefixes[right] as number) || compare(left, right)) > 0;
  let from = rows;
  let merged: Uint32Array = new Uint32Array(count);
  for (let runLength = runRows; runLength < count; runLength *= 2) {
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
        left === leftEnd || (right < rightEnd && isAfter(from[left] as number, from[right] as number));
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
 * Copies records in the order of `rows` to `target`, from `at` on. Both, and the records, are multiples of 4 bytes.
 * @returns Where the last one ends.
 */
export async function copyRecords(
  records: OidRecords,
  rows: Uint32Array,
  target: Buffer,
  at: number,
): Promise<number> {
  const slices = new WorkSlices();
  const recordWords = records.recordBytes / WORD_BYTES;
  const from = wordsOf(records.bytes).subarray(records.startOf(0) / WORD_BYTES);
  const to = wordsOf(target).subarray(at / WORD_BYTES);
  for (let row = 0; row < rows.length; row += RECORDS_AT_ONCE) {
    const some = rows.subarray(row, row + RECORDS_AT_ONCE);
    gather(from, some, recordWords, to.subarray(row * recordWords));
    await slices.spend(RECORDS_AT_ONCE / RECORDS_PER_STEP);
  }
  return at + rows.length * records.recordBytes;
}

const WORD_BYTES = 4;

function wordsOf({ buffer, byteOffset, length }: Buffer): Int32Array {
  return new Int32Array(buffer, byteOffset, Math.floor(length / WORD_BYTES));
}

/** For so few words a loop is faster than a call for each row. */
function gather(words: Int32Array, rows: Uint32Array, rowWords: number, target: Int32Array): void {
  let end = 0;
  for (let i = 0; i < rows.length; i++) {
    const start = (rows[i] as number) * rowWords;
    for (let j = 0; j < rowWords; j++) target[end + j] = words[start + j] as number;
    end += rowWords;
  }
}

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
