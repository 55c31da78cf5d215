/**
 * A table of a repository's git-lfs files and their states. Whole oids, never prefixes: anyone may write a pointer.
 *
 *   "NLFT", 32-bit numbers: version 1, records, 0 · fan-out 4 x 256: records whose oid begins with that byte or a smaller one ·
 *   records · SHA-256 of all before
 *   record: oid 32 · size 6 · state 1 · tries 1 · seconds since 1970 4
 * Records are sorted by oid, each oid once; numbers are big-endian.
 */
import { createHash } from "node:crypto";
import { setImmediate as yieldToOthers } from "node:timers/promises";
import { CorruptPackError } from "../errors.ts";

export const LFS_STATE = {
  /** In the store, and confirmed by the primary for this repository at that time. */
  stored: 1,
  /** The primary does not have it, or does not give it to this repository; to be asked again at that time. */
  missing: 2,
  /** The primary has it, and it was not copied, because of its size or because that failed; to be tried again at that time. */
  postponed: 3,
  /** A job was made of it, and has not been done; to be planned again at that time. */
  pending: 4,
} as const;

type LfsState = (typeof LFS_STATE)[keyof typeof LFS_STATE];

export interface LfsRecord {
  readonly oid: string;
  /** Of the stored file; of others what the pointer says. */
  readonly sizeBytes: number;
  readonly state: LfsState;
  /** How often it was not to be had; at most 255. */
  readonly tries: number;
  readonly seconds: number;
}

const SIGNATURE = 0x4e4c4654; // "NLFT"
const VERSION = 1;
const OID_BYTES = 32;
const RECORDS_START = 16 + 256 * 4;
const RECORD_BYTES = 44;
const STATE_OFFSET = 38;
const CHECKSUM_BYTES = 32;
const STATES: ReadonlySet<number> = new Set(Object.values(LFS_STATE));

/** @param records - In any order; of several of one oid the last one counts. */
export function encodeRightsTable(records: Iterable<LfsRecord>): Uint8Array {
  const byOid = new Map<string, LfsRecord>();
  for (const record of records) byOid.set(record.oid, record);
  const oids = [...byOid.keys()].sort();
  const bytes = Buffer.alloc(RECORDS_START + oids.length * RECORD_BYTES + CHECKSUM_BYTES);
  bytes.writeUInt32BE(SIGNATURE, 0);
  bytes.writeUInt32BE(VERSION, 4);
  bytes.writeUInt32BE(oids.length, 8);
  const fanout = new Uint32Array(256);
  let at = RECORDS_START;
  for (const oid of oids) {
    const { sizeBytes, state, tries, seconds } = byOid.get(oid) as LfsRecord;
    bytes.write(oid, at, "hex");
    bytes.writeUIntBE(sizeBytes, at + 32, 6);
    bytes.writeUInt8(state, at + STATE_OFFSET);
    bytes.writeUInt8(Math.min(255, tries), at + 39);
    bytes.writeUInt32BE(seconds, at + 40);
    const first = bytes[at] as number;
    fanout[first] = (fanout[first] as number) + 1;
    at += RECORD_BYTES;
  }
  writeFanout(bytes, fanout);
  bytes.set(createHash("sha256").update(bytes.subarray(0, at)).digest(), at);
  return bytes;
}

function writeFanout(bytes: Buffer, counts: Uint32Array): void {
  counts.reduce((sum, count, byte) => {
    bytes.writeUInt32BE(sum + count, 16 + byte * 4);
    return sum + count;
  }, 0);
}

/** Merged without a pause: some 10 ms. */
const MERGED_AT_ONCE_RECORDS = 10_000;

/**
 * Leaves the event loop to others now and then.
 * @param tables - Oldest first: of one oid the record of the newest counts.
 * @returns The table of their records, without those that are not kept.
 */
export async function mergeRightsTables(
  tables: readonly RightsTable[],
  isKept?: (record: LfsRecord) => boolean,
): Promise<{ readonly bytes: Uint8Array; readonly records: number }> {
  const most = tables.reduce((sum, { recordCount }) => sum + recordCount, 0);
  const merged = Buffer.alloc(RECORDS_START + most * RECORD_BYTES + CHECKSUM_BYTES);
  const fanout = new Uint32Array(256);
  const nexts = tables.map(() => 0);
  let end = RECORDS_START;
  for (let taken = 1; ; taken++) {
    let first: number | undefined;
    for (const [i, table] of tables.entries()) {
      if ((nexts[i] as number) >= table.recordCount) continue;
      const order =
        first === undefined
          ? -1
          : table.compareOid(nexts[i] as number, tables[first] as RightsTable, nexts[first] as number);
      // Of the same oid the older record is passed over.
      if (order === 0) nexts[first as number] = (nexts[first as number] as number) + 1;
      if (order <= 0) first = i;
    }
    if (first === undefined) break;
    const table = tables[first] as RightsTable;
    const number = nexts[first] as number;
    nexts[first] = number + 1;
    if (isKept?.(table.recordAt(number)) ?? true) {
      merged.set(table.bytesAt(number), end);
      fanout[merged[end] as number] = (fanout[merged[end] as number] as number) + 1;
      end += RECORD_BYTES;
    }
    if (taken % MERGED_AT_ONCE_RECORDS === 0) await yieldToOthers();
  }
  const records = (end - RECORDS_START) / RECORD_BYTES;
  for (const [i, word] of [SIGNATURE, VERSION, records].entries()) merged.writeUInt32BE(word, i * 4);
  writeFanout(merged, fanout);
  merged.set(await sha256WithPauses(merged.subarray(0, end)), end);
  return { bytes: merged.subarray(0, end + CHECKSUM_BYTES), records };
}

/** Hashed without a pause: some 10 ms. */
const HASHED_AT_ONCE_BYTES = 4 * 1024 * 1024;

async function sha256WithPauses(bytes: Uint8Array): Promise<Buffer> {
  const sha256 = createHash("sha256");
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE_BYTES) {
    if (at > 0) await yieldToOthers();
    sha256.update(bytes.subarray(at, at + HASHED_AT_ONCE_BYTES));
  }
  return sha256.digest();
}

export class RightsTable {
  readonly recordCount: number;
  readonly #bytes: Buffer;

  private constructor(bytes: Buffer, recordCount: number) {
    this.#bytes = bytes;
    this.recordCount = recordCount;
  }

  /** Leaves the event loop to others now and then. @throws {CorruptPackError} The bytes are not such a table. */
  static async open(table: Uint8Array): Promise<RightsTable> {
    const bytes = Buffer.from(table.buffer, table.byteOffset, table.length);
    if (bytes.length < RECORDS_START + CHECKSUM_BYTES || bytes.readUInt32BE(0) !== SIGNATURE)
      throw new CorruptPackError("not a table of LFS rights");
    const recordCount = bytes.readUInt32BE(8);
    const end = RECORDS_START + recordCount * RECORD_BYTES;
    if (bytes.readUInt32BE(4) !== VERSION || bytes.length !== end + CHECKSUM_BYTES)
      throw new CorruptPackError("table of LFS rights has another version or length");
    if (!(await sha256WithPauses(bytes.subarray(0, end))).equals(bytes.subarray(end)))
      throw new CorruptPackError("checksum of a table of LFS rights is wrong");
    return new RightsTable(bytes, recordCount);
  }

  /** @param oid - 32 bytes. */
  find(oid: Uint8Array): LfsRecord | undefined {
    const first = oid[0] ?? 0;
    let low = first === 0 ? 0 : this.#fanout(first - 1);
    let high = this.#fanout(first);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = RECORDS_START + middle * RECORD_BYTES;
      const order = this.#bytes.compare(oid, 0, OID_BYTES, at, at + OID_BYTES);
      if (order === 0) return this.#record(at);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  /** Records of stored files. */
  countStored(): number {
    let stored = 0;
    for (let i = 0; i < this.recordCount; i++)
      if (this.#bytes[RECORDS_START + i * RECORD_BYTES + STATE_OFFSET] === LFS_STATE.stored) stored += 1;
    return stored;
  }

  *records(): Generator<LfsRecord, void, undefined> {
    for (let i = 0; i < this.recordCount; i++) yield this.recordAt(i);
  }

  recordAt(number: number): LfsRecord {
    return this.#record(RECORDS_START + number * RECORD_BYTES);
  }

  /** As encoded; the oid first. */
  bytesAt(number: number): Uint8Array {
    const at = RECORDS_START + number * RECORD_BYTES;
    return this.#bytes.subarray(at, at + RECORD_BYTES);
  }

  /** Of this table's record `number` with another's. */
  compareOid(number: number, other: RightsTable, otherNumber: number): number {
    const at = RECORDS_START + number * RECORD_BYTES;
    const otherAt = RECORDS_START + otherNumber * RECORD_BYTES;
    return this.#bytes.compare(other.#bytes, otherAt, otherAt + OID_BYTES, at, at + OID_BYTES);
  }

  #fanout(byte: number): number {
    return Math.min(this.recordCount, this.#bytes.readUInt32BE(16 + byte * 4));
  }

  #record(at: number): LfsRecord {
    const bytes = this.#bytes;
    const state = bytes.readUInt8(at + STATE_OFFSET);
    return {
      oid: bytes.toString("hex", at, at + OID_BYTES),
      sizeBytes: bytes.readUIntBE(at + 32, 6),
      // What a newer release has written gives no right.
      state: STATES.has(state) ? (state as LfsState) : LFS_STATE.postponed,
      tries: bytes.readUInt8(at + 39),
      seconds: bytes.readUInt32BE(at + 40),
    };
  }
}
