/**
 * The pointers of git-lfs in a pack: collected while it is scanned, and kept as its sidecar `pack-<id>.lfs-1`.
 *
 *   "NLFS", 32-bit numbers: version 1, records, objects of the pack · records · SHA-256 of all before
 *   record: oid 32 · size 6 · the blob's number in the pack's index 4 · flags 2, all zero
 * Records are sorted by oid, then number; numbers are big-endian. An oid may come several times, with other sizes.
 */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import { type LfsPointer, parseLfsPointer } from "../lfs-pointer.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";

const LFS_OID_BYTES = 32;
const SIGNATURE = 0x4e4c4653; // "NLFS"
const VERSION = 1;
const HEADER_BYTES = 16;
const RECORD_BYTES = 44;
const CHECKSUM_BYTES = 32;
const SIZE_BYTES = 6;

export interface PackedLfsPointer extends LfsPointer {
  /** Of the blob, in the pack's index. */
  readonly indexNumber: number;
}

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
 * @param parts - What collectors took; of a blob that was seen twice one record is kept, of one that is not in the index none.
 * @param findNumber - The number in the index of the object whose id is at `idBytes[start]`, or -1.
 */
export function packedLfsPointers(
  parts: readonly Uint8Array[],
  findNumber: (idBytes: Uint8Array, start: number) => number,
): PackedLfsPointer[] {
  const byNumber = new Map<number, PackedLfsPointer>();
  for (const part of parts) {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < bytes.length; at += COLLECTED_BYTES) {
      const indexNumber = findNumber(bytes, at);
      if (indexNumber < 0) continue;
      const oidAt = at + OBJECT_ID_BYTES;
      byNumber.set(indexNumber, {
        indexNumber,
        oid: bytes.toString("hex", oidAt, oidAt + LFS_OID_BYTES),
        sizeBytes: bytes.readUIntBE(oidAt + LFS_OID_BYTES, SIZE_BYTES),
      });
    }
  }
  return [...byNumber.values()];
}

/** @param objectCount - Of the pack. */
export function encodeLfsPointers(pointers: readonly PackedLfsPointer[], objectCount: number): Uint8Array {
  const sorted = pointers.toSorted((a, b) => compare(a.oid, b.oid) || a.indexNumber - b.indexNumber);
  const bytes = Buffer.alloc(HEADER_BYTES + sorted.length * RECORD_BYTES + CHECKSUM_BYTES);
  for (const [i, word] of [SIGNATURE, VERSION, sorted.length, objectCount].entries())
    bytes.writeUInt32BE(word, i * 4);
  let at = HEADER_BYTES;
  for (const { oid, sizeBytes, indexNumber } of sorted) {
    bytes.write(oid, at, "hex");
    bytes.writeUIntBE(sizeBytes, at + LFS_OID_BYTES, SIZE_BYTES);
    bytes.writeUInt32BE(indexNumber, at + LFS_OID_BYTES + SIZE_BYTES);
    at += RECORD_BYTES;
  }
  bytes.set(createHash("sha256").update(bytes.subarray(0, at)).digest(), at);
  return bytes;
}

/**
 * @returns `undefined` for another version: it is to be made again.
 * @throws {CorruptPackError} The bytes contradict themselves or the pack.
 */
export function decodeLfsPointers(
  sidecar: Uint8Array,
  objectCount: number,
): readonly PackedLfsPointer[] | undefined {
  const opened = openSidecar(sidecar, objectCount);
  if (opened === undefined) return undefined;
  const { bytes, end } = opened;
  const pointers: PackedLfsPointer[] = [];
  for (let at = HEADER_BYTES; at < end; at += RECORD_BYTES) {
    const indexNumber = bytes.readUInt32BE(at + LFS_OID_BYTES + SIZE_BYTES);
    if (indexNumber >= objectCount) throw new CorruptPackError("LFS pointer is outside its pack");
    pointers.push({
      oid: bytes.toString("hex", at, at + LFS_OID_BYTES),
      sizeBytes: bytes.readUIntBE(at + LFS_OID_BYTES, SIZE_BYTES),
      indexNumber,
    });
  }
  return pointers;
}

/**
 * Of the pointers to these files the first one each, without decoding the others.
 * @returns Sizes by oid; `undefined` and errors as in `decodeLfsPointers`.
 */
export function findLfsPointers(
  sidecar: Uint8Array,
  objectCount: number,
  oids: Iterable<string>,
): Map<string, number> | undefined {
  const opened = openSidecar(sidecar, objectCount);
  if (opened === undefined) return undefined;
  const { bytes, end } = opened;
  const sizes = new Map<string, number>();
  for (const oid of oids) {
    const wanted = Buffer.from(oid, "hex");
    let low = 0;
    let high = (end - HEADER_BYTES) / RECORD_BYTES;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = HEADER_BYTES + middle * RECORD_BYTES;
      if (bytes.compare(wanted, 0, LFS_OID_BYTES, at, at + LFS_OID_BYTES) < 0) low = middle + 1;
      else high = middle;
    }
    const at = HEADER_BYTES + low * RECORD_BYTES;
    if (at < end && wanted.equals(bytes.subarray(at, at + LFS_OID_BYTES)))
      sizes.set(oid, bytes.readUIntBE(at + LFS_OID_BYTES, SIZE_BYTES));
  }
  return sizes;
}

function openSidecar(
  sidecar: Uint8Array,
  objectCount: number,
): { readonly bytes: Buffer; readonly end: number } | undefined {
  const bytes = Buffer.from(sidecar.buffer, sidecar.byteOffset, sidecar.length);
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES || bytes.readUInt32BE(0) !== SIGNATURE)
    throw new CorruptPackError("not a sidecar of LFS pointers");
  if (bytes.readUInt32BE(4) !== VERSION) return undefined;
  const count = bytes.readUInt32BE(8);
  const end = HEADER_BYTES + count * RECORD_BYTES;
  if (bytes.readUInt32BE(12) !== objectCount || bytes.length !== end + CHECKSUM_BYTES)
    throw new CorruptPackError("sidecar of LFS pointers does not fit its pack");
  const checksum = createHash("sha256").update(bytes.subarray(0, end)).digest();
  if (!checksum.equals(bytes.subarray(end))) throw new CorruptPackError("checksum of LFS pointers is wrong");
  return { bytes, end };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
