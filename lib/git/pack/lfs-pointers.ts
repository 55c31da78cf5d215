/**
 * The pointers of git-lfs in a pack: collected while it is scanned, and kept as its sidecar `pack-<id>.lfs-1`.
 *
 *   "NLFS", 32-bit numbers: version 1, records, objects of the pack · records · SHA-256 of all before
 *   record: oid 32 · size 6 · the blob's number in the pack's index 4 · flags 2, all zero
 * Records are sorted by oid, then number; numbers are big-endian. An oid may come several times, with other sizes.
 */
import { CorruptPackError } from "../../errors.ts";
import { LFS_POINTER_BYTES, writeLfsPointer } from "../lfs-pointer.ts";
import { WorkSlices } from "../work-slices.ts";
import { OidRecords, reorderRecords, sha256WithPauses, sortedRows } from "./oid-records.ts";

const SIGNATURE = 0x4e4c4653; // "NLFS"
const VERSION = 1;
const HEADER_BYTES = 16;
const RECORD_BYTES = 44;
const CHECKSUM_BYTES = 32;

const NUMBER_OFFSET = LFS_POINTER_BYTES.oid + LFS_POINTER_BYTES.size;

/** Pointers of a pack that is being indexed. */
export interface CollectedPointers {
  /** As in the sidecar, but not sorted, and with the entry's position among the entries in place of the index's number. */
  readonly records: Uint8Array<ArrayBuffer>;
  /** Added to these positions. */
  readonly firstEntry: number;
}

/** Grows with the number of pointers only. */
export class LfsPointerCollector {
  readonly #full: Uint8Array<ArrayBuffer>[] = [];
  #records = new Uint8Array();
  #end = 0;

  /** Takes the blob `bytes[start..end)` of an entry if it is a pointer. */
  addBlob(bytes: Uint8Array, start: number, end: number, entry: number): void {
    if (this.#end === this.#records.length) this.#extend();
    const at = this.#end;
    if (!writeLfsPointer(bytes, start, end, this.#records, at)) return;
    setNumber(this.#records, at, entry);
    this.#end = at + RECORD_BYTES;
  }

  /** @returns The records so far, which go. */
  take(): Uint8Array<ArrayBuffer> {
    const all = joined([...this.#full, new Uint8Array(this.#records.buffer.transfer(this.#end))]);
    this.#full.length = 0;
    this.#records = new Uint8Array();
    this.#end = 0;
    return all;
  }

  #extend(): void {
    if (this.#end > 0) this.#full.push(this.#records);
    this.#records = new Uint8Array(
      Math.min(MAX_ADDED_RECORDS * RECORD_BYTES, Math.max(FIRST_RECORDS * RECORD_BYTES, 4 * this.#end)),
    );
    this.#end = 0;
  }
}

const FIRST_RECORDS = 64;
const MAX_ADDED_RECORDS = 4_096;

/** @param full - Not to be used any more. */
function grown(full: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(full.buffer.transfer(Math.max(FIRST_RECORDS * RECORD_BYTES, full.length * 2)));
}

function setNumber(records: Uint8Array, at: number, number: number): void {
  records[at + NUMBER_OFFSET] = number >>> 24;
  records[at + NUMBER_OFFSET + 1] = number >>> 16;
  records[at + NUMBER_OFFSET + 2] = number >>> 8;
  records[at + NUMBER_OFFSET + 3] = number;
}

/**
 * The sidecar of a pack that was just indexed.
 * @param parts - Not to be used any more.
 * @param indexNumbers - Of the entries, by position.
 */
export async function collectedLfsPointers(
  parts: readonly CollectedPointers[],
  indexNumbers: Uint32Array,
): Promise<Uint8Array> {
  const slices = new WorkSlices();
  for (const { records, firstEntry } of parts)
    for (let at = 0; at < records.length; at += PART_RECORDS * RECORD_BYTES) {
      await slices.spend(PART_RECORDS / RECORDS_PER_STEP);
      renumber(records.subarray(at, at + PART_RECORDS * RECORD_BYTES), indexNumbers.subarray(firstEntry));
    }
  const records = parts.map((part) => part.records);
  return encodeLfsPointers(records, indexNumbers.length);
}

const PART_RECORDS = 4_000;
/** Of `WorkSlices`. */
const RECORDS_PER_STEP = 8;

function renumber(records: Uint8Array, numbers: Uint32Array): void {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  for (let at = NUMBER_OFFSET; at < records.length; at += RECORD_BYTES)
    view.setUint32(at, numbers[view.getUint32(at)] as number);
}

/** Frees the parts. */
function joined(
  parts: readonly Uint8Array<ArrayBuffer>[],
  startBytes = 0,
  endBytes = 0,
): Buffer<ArrayBuffer> {
  const recordBytes = parts.reduce((sum, { length }) => sum + length, 0);
  const all = Buffer.alloc(startBytes + recordBytes + endBytes);
  let at = startBytes;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
    part.buffer.transfer(0);
  }
  return all;
}

/** Makes a sidecar of pointers in any order. */
export class LfsPointerWriter {
  readonly #isAdded: Uint8Array;
  #records = new Uint8Array();
  #count = 0;

  /** @param objectCount - Of the pack. */
  constructor(objectCount: number) {
    this.#isAdded = new Uint8Array(objectCount);
  }

  /** Once for each blob. @param bytes - Hold its oid and size at `start`, as records do. */
  add(indexNumber: number, bytes: Uint8Array, start: number): void {
    if (this.#isAdded[indexNumber] !== 0) return;
    this.#isAdded[indexNumber] = 1;
    const at = this.#count * RECORD_BYTES;
    if (at === this.#records.length) this.#records = grown(this.#records);
    this.#records.set(bytes.subarray(start, start + NUMBER_OFFSET), at);
    setNumber(this.#records, at, indexNumber);
    this.#count += 1;
  }

  encode(): Promise<Uint8Array> {
    return encodeLfsPointers([this.#records.subarray(0, this.#count * RECORD_BYTES)], this.#isAdded.length);
  }
}

/** @param parts - Records in any order, not to be used any more. */
async function encodeLfsPointers(
  parts: readonly Uint8Array<ArrayBuffer>[],
  objectCount: number,
): Promise<Uint8Array> {
  const bytes = joined(parts, HEADER_BYTES, CHECKSUM_BYTES);
  const end = bytes.length - CHECKSUM_BYTES;
  const records = new OidRecords(bytes.subarray(0, end), HEADER_BYTES, RECORD_BYTES);
  const numberAt = (row: number) => bytes.readUInt32BE(records.startOf(row) + NUMBER_OFFSET);
  const rows = await sortedRows(records, (left, right) => numberAt(left) - numberAt(right));
  await reorderRecords(records, rows);
  for (const [i, word] of [SIGNATURE, VERSION, records.count, objectCount].entries())
    bytes.writeUInt32BE(word, i * 4);
  bytes.set(await sha256WithPauses(bytes.subarray(0, end)), end);
  return bytes;
}

/** @param sidecar - Of this release. */
export function hasLfsPointers(sidecar: Uint8Array): boolean {
  return sidecar.length > HEADER_BYTES + CHECKSUM_BYTES;
}

/** A sidecar that was read. */
export class LfsPointerTable {
  static readonly EMPTY = new LfsPointerTable(new OidRecords(Buffer.alloc(0), 0, RECORD_BYTES));

  readonly records: OidRecords;

  private constructor(records: OidRecords) {
    this.records = records;
  }

  /**
   * @param objectCount - Of the pack.
   * @returns `undefined` for another version: it is to be made again.
   * @throws {CorruptPackError} The bytes contradict themselves or the pack.
   */
  static async open(sidecar: Uint8Array, objectCount: number): Promise<LfsPointerTable | undefined> {
    const bytes = Buffer.from(sidecar.buffer, sidecar.byteOffset, sidecar.length);
    if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES)
      throw new CorruptPackError("not a sidecar of LFS pointers");
    const count = lfsPointerCount(bytes, objectCount);
    if (count === undefined) return undefined;
    const end = HEADER_BYTES + count * RECORD_BYTES;
    if (bytes.length !== end + CHECKSUM_BYTES)
      throw new CorruptPackError("sidecar of LFS pointers does not fit its pack");
    if (!(await sha256WithPauses(bytes.subarray(0, end))).equals(bytes.subarray(end)))
      throw new CorruptPackError("checksum of LFS pointers is wrong");
    const table = new LfsPointerTable(new OidRecords(bytes.subarray(0, end), HEADER_BYTES, RECORD_BYTES));
    for (let row = 0; row < count; row++)
      if (table.indexNumberAt(row) >= objectCount)
        throw new CorruptPackError("LFS pointer is outside its pack");
    return table;
  }

  sizeBytesAt(row: number): number {
    return lfsPointerSize(this.records.bytes, this.records.startOf(row));
  }

  /** Of the blob, in the pack's index. */
  indexNumberAt(row: number): number {
    return this.records.bytes.readUInt32BE(this.records.startOf(row) + NUMBER_OFFSET);
  }
}

/** Where the records of a sidecar begin, and how long each is. */
export const LFS_POINTER_RECORDS = { start: HEADER_BYTES, recordBytes: RECORD_BYTES } as const;

/** @param header - A sidecar's first bytes. Result and errors as in `LfsPointerTable.open`. */
export function lfsPointerCount(header: Uint8Array, objectCount: number): number | undefined {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.length);
  if (bytes.readUInt32BE(0) !== SIGNATURE) throw new CorruptPackError("not a sidecar of LFS pointers");
  if (bytes.readUInt32BE(4) !== VERSION) return undefined;
  if (bytes.readUInt32BE(12) !== objectCount)
    throw new CorruptPackError("sidecar of LFS pointers does not fit its pack");
  return bytes.readUInt32BE(8);
}

/** @param record - Begins at `start`. */
export function lfsPointerSize(record: Buffer, start = 0): number {
  return record.readUIntBE(start + LFS_POINTER_BYTES.oid, LFS_POINTER_BYTES.size);
}
