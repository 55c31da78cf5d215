/**
 * The pointers of git-lfs in a pack: collected while it is scanned, and kept as its sidecar `pack-<id>.lfs-1`.
 *
 *   "NLFS", 32-bit numbers: version 1, records, objects of the pack · records · SHA-256 of all before
 *   record: oid 32 · size 6 · the blob's number in the pack's index 4 · flags 2, all zero
 * Records are sorted by oid, then number; numbers are big-endian. An oid may come several times, with other sizes.
 */
import { CorruptPackError } from "../../errors.ts";
import { LFS_POINTER_BYTES, writeLfsPointer } from "../lfs-pointer.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { WorkSlices } from "../work-slices.ts";
import { copyRecords, OidRecords, sha256WithPauses, sortedRows } from "./oid-records.ts";

const SIGNATURE = 0x4e4c4653; // "NLFS"
const VERSION = 1;
const HEADER_BYTES = 16;
const RECORD_BYTES = 44;
const CHECKSUM_BYTES = 32;

const NUMBER_OFFSET = LFS_POINTER_BYTES.oid + LFS_POINTER_BYTES.size;

/** Pointers in the order in which they were found. */
export interface CollectedPointers {
  /** As in the sidecar, with number and flags zero. */
  readonly records: Uint8Array<ArrayBuffer>;
  /** Of their blobs, 20 bytes each. */
  readonly ids: Uint8Array<ArrayBuffer>;
}

/** Grows with the number of pointers only. */
export class LfsPointerCollector {
  #records = new Uint8Array();
  #ids = new Uint8Array();
  #count = 0;

  /** Takes the blob `bytes[start..end)` if it is a pointer. @param ids - Holds the blob's id at `idStart`. */
  addBlob(bytes: Uint8Array, start: number, end: number, ids: Uint8Array, idStart: number): void {
    const at = this.#count * RECORD_BYTES;
    if (at === this.#records.length) {
      this.#records = grown(this.#records, RECORD_BYTES);
      this.#ids = grown(this.#ids, OBJECT_ID_BYTES);
    }
    if (!writeLfsPointer(bytes, start, end, this.#records, at)) return;
    copyBytes(ids, idStart, OBJECT_ID_BYTES, this.#ids, this.#count * OBJECT_ID_BYTES);
    this.#count += 1;
  }

  take(): CollectedPointers {
    // Cut: a view would take all of its buffer with it to another thread.
    const records = new Uint8Array(this.#records.buffer.transfer(this.#count * RECORD_BYTES));
    const ids = new Uint8Array(this.#ids.buffer.transfer(this.#count * OBJECT_ID_BYTES));
    this.#records = new Uint8Array();
    this.#ids = new Uint8Array();
    this.#count = 0;
    return { records, ids };
  }
}

const FIRST_RECORDS = 64;

/** @param full - Of records; not to be used any more. */
function grown(full: Uint8Array<ArrayBuffer>, recordBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(full.buffer.transfer(Math.max(FIRST_RECORDS * recordBytes, full.length * 2)));
}

/** For a few bytes a loop is faster than a call of `set`. */
function copyBytes(from: Uint8Array, start: number, count: number, to: Uint8Array, at: number): void {
  for (let i = 0; i < count; i++) to[at + i] = from[start + i] as number;
}

function setIndexNumber(records: Uint8Array, at: number, indexNumber: number): void {
  for (let i = 0; i < 4; i++) records[at + NUMBER_OFFSET + i] = indexNumber >>> (24 - 8 * i);
}

/**
 * The sidecar of a pack that was just scanned.
 * @param parts - What collectors took, and are not to be used any more; of a blob that was seen twice one record is kept, of one
 *   that is not in the index none.
 * @param findNumber - The number in the index of the object whose id is at `idBytes[start]`, or -1.
 */
export async function collectedLfsPointers(
  parts: readonly CollectedPointers[],
  objectCount: number,
  findNumber: (idBytes: Uint8Array, start: number) => number,
): Promise<Uint8Array> {
  const slices = new WorkSlices();
  const records = joined(parts.map((part) => part.records));
  const ids = joined(parts.map((part) => part.ids));
  const isAdded = new Uint8Array(objectCount);
  let end = 0;
  for (let at = 0, id = 0; at < records.length; at += RECORD_BYTES, id += OBJECT_ID_BYTES) {
    const indexNumber = findNumber(ids, id);
    if (indexNumber >= 0 && isAdded[indexNumber] === 0) {
      isAdded[indexNumber] = 1;
      setIndexNumber(records, at, indexNumber);
      if (end < at) records.copyWithin(end, at, at + RECORD_BYTES);
      end += RECORD_BYTES;
    }
    const pause = slices.spend(1);
    if (pause !== undefined) await pause;
  }
  ids.buffer.transfer(0);
  return encodeLfsPointers(records.subarray(0, end), objectCount);
}

/** Frees the parts. */
function joined(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const filled = parts.filter(({ length }) => length > 0);
  const [first] = filled;
  if (first !== undefined && filled.length === 1) return first;
  const all = new Uint8Array(filled.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of filled) {
    all.set(part, end);
    end += part.length;
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
    if (at === this.#records.length) this.#records = grown(this.#records, RECORD_BYTES);
    copyBytes(bytes, start, NUMBER_OFFSET, this.#records, at);
    setIndexNumber(this.#records, at, indexNumber);
    this.#count += 1;
  }

  encode(): Promise<Uint8Array> {
    return encodeLfsPointers(this.#records.subarray(0, this.#count * RECORD_BYTES), this.#isAdded.length);
  }
}

/** @param records - In any order, whole. */
async function encodeLfsPointers(records: Uint8Array, objectCount: number): Promise<Uint8Array> {
  const unsorted = new OidRecords(
    Buffer.from(records.buffer, records.byteOffset, records.length),
    0,
    RECORD_BYTES,
  );
  const numberAt = (row: number) => unsorted.bytes.readUInt32BE(unsorted.startOf(row) + NUMBER_OFFSET);
  const rows = await sortedRows(unsorted, (left, right) => numberAt(left) - numberAt(right));
  const bytes = Buffer.alloc(HEADER_BYTES + records.length + CHECKSUM_BYTES);
  for (const [i, word] of [SIGNATURE, VERSION, unsorted.count, objectCount].entries())
    bytes.writeUInt32BE(word, i * 4);
  const end = await copyRecords(unsorted, rows, bytes, HEADER_BYTES);
  bytes.set(await sha256WithPauses(bytes.subarray(0, end)), end);
  return bytes;
}

/** A sidecar that was read. */
export class LfsPointerTable {
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
