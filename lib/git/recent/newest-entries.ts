/**
 * The sidecar of a large pack, `pack-<id>.newest-<version>`: the entries of its newest objects once more, one behind the other, the newest
 * first. The pack has them all over, and a cold process would read far more than it needs, in many requests.
 *
 *   header: "NSNE", then 32-bit numbers: version, entries
 *   table: offset in the pack 8 x entries · length 4 x entries · SHA-256 of all before
 *   entries, each with the byte that follows it in the pack, because readers of an entry ask for one more
 */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";

const SIGNATURE = 0x454e534e; // "NSNE", little-endian
/** It is in the sidecar's key as well. */
export const NEWEST_VERSION = 1;
const HEADER_BYTES = 12;
const PLACE_BYTES = 12;
const CHECKSUM_BYTES = 32;
export const MAX_NEWEST_ENTRIES = 65_536;

/** Columns of one length. */
export interface NewestTable {
  /** In the pack. */
  readonly offsets: Float64Array;
  /** Of the entries, as in the pack. */
  readonly lengths: Uint32Array;
}

export function newestTableBytes(entryCount: number): number {
  return HEADER_BYTES + entryCount * PLACE_BYTES + CHECKSUM_BYTES;
}

/**
 * @param head - The sidecar's beginning.
 * @returns Of its table, as it says; none is longer than that of {@link MAX_NEWEST_ENTRIES}.
 */
export function newestTableBytesOf(head: Uint8Array): number {
  if (head.length < HEADER_BYTES) return 0;
  const count = new DataView(head.buffer, head.byteOffset, head.length).getUint32(8, true);
  return newestTableBytes(Math.min(count, MAX_NEWEST_ENTRIES));
}

/** What comes before the entries. */
export function encodeNewestTable({ offsets, lengths }: NewestTable): Uint8Array {
  const bytes = new Uint8Array(newestTableBytes(offsets.length));
  const view = new DataView(bytes.buffer);
  for (const [i, number] of [SIGNATURE, NEWEST_VERSION, offsets.length].entries())
    view.setUint32(i * 4, number, true);
  for (const [i, offset] of offsets.entries()) view.setBigUint64(HEADER_BYTES + i * 8, BigInt(offset), true);
  for (const [i, length] of lengths.entries())
    view.setUint32(HEADER_BYTES + offsets.length * 8 + i * 4, length, true);
  bytes.set(
    createHash("sha256").update(bytes.subarray(0, -CHECKSUM_BYTES)).digest(),
    bytes.length - CHECKSUM_BYTES,
  );
  return bytes;
}

/**
 * @param bytes - The sidecar's beginning, {@link newestTableBytesOf} at least.
 * @throws {CorruptPackError} It is damaged.
 */
export function decodeNewestTable(bytes: Uint8Array): NewestTable {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = bytes.length < HEADER_BYTES ? Number.POSITIVE_INFINITY : view.getUint32(8, true);
  const tableBytes = newestTableBytes(count);
  const isFit = tableBytes <= bytes.length && view.getUint32(0, true) === SIGNATURE;
  if (!isFit || view.getUint32(4, true) !== NEWEST_VERSION)
    throw new CorruptPackError("these are no newest entries");
  const checksumStart = tableBytes - CHECKSUM_BYTES;
  const checksum = createHash("sha256").update(bytes.subarray(0, checksumStart)).digest();
  if (!checksum.equals(bytes.subarray(checksumStart, tableBytes)))
    throw new CorruptPackError("newest entries' checksum is wrong");
  const offsets = new Float64Array(count);
  const lengths = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    offsets[i] = Number(view.getBigUint64(HEADER_BYTES + i * 8, true));
    lengths[i] = view.getUint32(HEADER_BYTES + count * 8 + i * 4, true);
  }
  return { offsets, lengths };
}
