/**
 * The pointers of git-lfs in a pack: collected while it is scanned, and kept as its sidecar `pack-<id>.lfs-1`.
 *
 *   "NLFS", 32-bit numbers: version 1, records, objects of the pack · records · SHA-256 of all before
 *   record: oid 32 · size 6 · the blob's number in the pack's index 4 · flags 2, all zero
 * Records are sorted by oid, then number; numbers are big-endian. An oid may come several times, with other sizes.
 */
import { CorruptPackError } from "../../errors.ts";
import { parseLfsPointer } from "../lfs-pointer.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { WorkSlices } from "../work-slices.ts";
import { copyRecords, LFS_OID_BYTES, OidRecords, sha256WithPauses, sortedRows } from "./oid-records.ts";

const SIGNATURE = 0x4e4c4653; // "NLFS"
const VERSION = 1;
const HEADER_BYTES = 16;
const RECORD_BYTES = 44;
const CHECKSUM_BYTES = 32;
const SIZE_BYTES = 6;

const NUMBER_OFFSET = LFS_OID_BYTES + SIZE_BYTES;

/** A pointer as it is collected: the blob's id 20, oid 32, size 6. */
const COLLECTED_BYTES = OBJECT_ID_BYTES + LFS_OID_BYTES + SIZE_BYTES;

/** Grows with the number of pointers only. */
export class LfsPointerCollector {
  #bytes = Buffer.alloc(0);
  #count = 0;

  /** Takes the blob `bytes[start..end)` if it is a pointer. @param ids - Holds the blob's id at `idStart`. */
  addBlob(bytes: Uint8Array, start: number, end: number, ids: Uint8Array, idStart: number): void {
    const pointer = parseLfsPointer(bytes, start, end);
    if (pointer === undefined) return;
    const at = this.#count * COLLECTED_BYTES;
    if (at + COLLECTED_BYTES > this.#bytes.length) this.#grow();
    this.#bytes.set(ids.subarray(idStart, idStart + OBJECT_ID_BYTES), at);
    this.#bytes.write(pointer.oid, at + OBJECT_ID_BYTES, "hex");
    this.#bytes.writeUIntBE(pointer.sizeBytes, at + OBJECT_ID_BYTES + LFS_OID_BYTES, SIZE_BYTES);
    this.#count += 1;
  }

  /** What was collected: 58 bytes each. */
  take(): Uint8Array {
    // A copy: a view would take all of its buffer with it to another thread.
    const taken = new Uint8Array(this.#bytes.subarray(0, this.#count * COLLECTED_BYTES));
    this.#bytes = Buffer.alloc(0);
    this.#count = 0;
    return taken;
  }

  #grow(): void {
    const grown = Buffer.alloc(Math.max(64 * COLLECTED_BYTES, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/**
 * The sidecar of a pack that was just scanned.
 * @param parts - What collectors took; of a blob that was seen twice one record is kept, of one that is not in the index none.
 * @param findNumber - The number in the index of the object whose id is at `idBytes[start]`, or -1.
 */
export async function collectedLfsPointers(
  parts: readonly Uint8Array[],
  objectCount: number,
  findNumber: (idBytes: Uint8Array, start: number) => number,
): Promise<Uint8Array> {
  const slices = new WorkSlices();
  const writer = new LfsPointerWriter(objectCount);
  for (const part of parts) {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < bytes.length; at += COLLECTED_BYTES) {
      const indexNumber = findNumber(bytes, at);
      if (indexNumber >= 0) writer.add(indexNumber, bytes, at + OBJECT_ID_BYTES);
      const pause = slices.spend(1);
      if (pause !== undefined) await pause;
    }
  }
  return writer.encode();
}

/** Makes a sidecar of pointers in any order. */
export class LfsPointerWriter {
  readonly #isAdded: Uint8Array;
  #records = Buffer.alloc(0);
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
    if (at === this.#records.length) {
      const grown = Buffer.alloc(Math.max(64 * RECORD_BYTES, this.#records.length * 2));
      grown.set(this.#records);
      this.#records = grown;
    }
    this.#records.set(bytes.subarray(start, start + NUMBER_OFFSET), at);
    this.#records.writeUInt32BE(indexNumber, at + NUMBER_OFFSET);
    this.#count += 1;
  }

  async encode(): Promise<Uint8Array> {
    const unsorted = new OidRecords(this.#records.subarray(0, this.#count * RECORD_BYTES), 0, RECORD_BYTES);
    const numberAt = (row: number) => unsorted.bytes.readUInt32BE(unsorted.startOf(row) + NUMBER_OFFSET);
    const rows = await sortedRows(unsorted, (left, right) => numberAt(left) - numberAt(right));
    const bytes = Buffer.alloc(HEADER_BYTES + this.#count * RECORD_BYTES + CHECKSUM_BYTES);
    for (const [i, word] of [SIGNATURE, VERSION, this.#count, this.#isAdded.length].entries())
      bytes.writeUInt32BE(word, i * 4);
    const end = await copyRecords(unsorted, rows, bytes, HEADER_BYTES);
    bytes.set(await sha256WithPauses(bytes.subarray(0, end)), end);
    return bytes;
  }
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
  return record.readUIntBE(start + LFS_OID_BYTES, SIZE_BYTES);
}
