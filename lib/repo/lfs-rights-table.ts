/**
 * A table of a repository's git-lfs files and their states. Whole oids, never prefixes: anyone may write a pointer.
 *
 *   "NLFT", 32-bit numbers: version 1, records, 0 · fan-out 4 x 256: records whose oid begins with that byte or a smaller one ·
 *   records · SHA-256 of all before
 *   record: oid 32 · size 6 · state 1 · tries 1 · seconds since 1970 4
 * Records are sorted by oid, each oid once; numbers are big-endian.
 */
import { CorruptPackError } from "../errors.ts";
import { eachOid, OidRecords, sha256WithPauses, sortedRows } from "../git/pack/oid-records.ts";
import { WorkSlices } from "../git/work-slices.ts";

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

/** In place of a time, for a file that is larger than the limit: not before the limit is raised. */
export const NEVER_SECONDS = 0xffffffff;

type LfsState = (typeof LFS_STATE)[keyof typeof LFS_STATE];

export interface LfsRecord {
  readonly oid: string;
  /** Of the stored file; of others what the pointer says, or the primary where that is why it was not copied. */
  readonly sizeBytes: number;
  readonly state: LfsState;
  /** How often it was not to be had; of a pending one, how often a copy was stopped and began anew. At most 255. */
  readonly tries: number;
  readonly seconds: number;
}

/** For how long a confirmation of the primary counts. Then the copier asks for it again. */
export const CONFIRM_AFTER_DAYS = 7;
/** For how long a removal may be doubted, see `lib/lfs/confirmations.ts`. */
export const MAX_HELD_DAYS = 7;
/** One day more than a copier needs that does its work: without one no right lasts for longer. */
const MAX_SERVED_DAYS = CONFIRM_AFTER_DAYS + MAX_HELD_DAYS + 1;
/** While the primary cannot be asked. */
const MAX_SERVED_IN_OUTAGE_DAYS = 30;

const DAY_SECONDS = 24 * 60 * 60;

/** @param isOutage - Whether the primary was asked for the file just now, and gave no answer. */
export function isConfirmed({ state, seconds }: LfsRecord, nowSeconds: number, isOutage = false): boolean {
  const maxDays = isOutage ? MAX_SERVED_IN_OUTAGE_DAYS : MAX_SERVED_DAYS;
  return state === LFS_STATE.stored && nowSeconds - seconds <= maxDays * DAY_SECONDS;
}

const SIGNATURE = 0x4e4c4654; // "NLFT"
const VERSION = 1;
const RECORDS_START = 16 + 256 * 4;
const RECORD_BYTES = 44;
const SIZE_OFFSET = 32;
const STATE_OFFSET = 38;
const CHECKSUM_BYTES = 32;
const STATES: ReadonlySet<number> = new Set(Object.values(LFS_STATE));

/** @param records - In any order; of several of one oid the last one counts. */
export async function encodeRightsTable(records: readonly LfsRecord[]): Promise<EncodedTable> {
  const unsorted = new OidRecords(Buffer.alloc(records.length * RECORD_BYTES), 0, RECORD_BYTES);
  const slices = new WorkSlices();
  for (const [row, record] of records.entries()) {
    writeRecord(unsorted.bytes, unsorted.startOf(row), record);
    if (slices.isDue(1)) await slices.pause();
  }
  const table = new TableWriter(records.length);
  const rows = await sortedRows(unsorted);
  for (const [i, row] of rows.entries()) {
    const next = rows[i + 1];
    const isLast = next === undefined || unsorted.compareOid(row, unsorted, next) !== 0;
    if (isLast) table.add(unsorted, row);
    if (slices.isDue(1)) await slices.pause();
  }
  return table.finish();
}

function writeRecord(bytes: Buffer, at: number, { oid, sizeBytes, state, tries, seconds }: LfsRecord): void {
  bytes.write(oid, at, "hex");
  bytes.writeUIntBE(sizeBytes, at + SIZE_OFFSET, 6);
  bytes.writeUInt8(state, at + STATE_OFFSET);
  bytes.writeUInt8(Math.min(255, tries), at + 39);
  bytes.writeUInt32BE(seconds, at + 40);
}

export interface EncodedTable {
  readonly bytes: Uint8Array;
  readonly records: number;
}

/**
 * @param tables - Oldest first: of one oid the record of the newest counts.
 * @returns The table of their records, without those that are not kept.
 */
export async function mergeRightsTables(
  tables: readonly RightsTable[],
  isKept?: (record: LfsRecord) => boolean,
): Promise<EncodedTable> {
  const merged = new TableWriter(tables.reduce((sum, { records }) => sum + records.count, 0));
  await eachRecord(tables, (table, row) => {
    if (isKept?.(table.recordAt(row)) ?? true) merged.add(table.records, row);
  });
  return merged.finish();
}

/** Of tables, oldest first, each oid once: as the newest says, in the order of the oids. Leaves the event loop to others. */
export function eachRecord(
  tables: readonly RightsTable[],
  visit: (table: RightsTable, row: number) => void,
): Promise<void> {
  const newestFirst = tables.toReversed();
  return eachOid(
    newestFirst.map(({ records }) => records),
    (rows) => {
      const i = rows.findIndex((row) => row >= 0);
      visit(newestFirst[i] as RightsTable, rows[i] as number);
    },
  );
}

class TableWriter {
  readonly #bytes: Buffer;
  readonly #counts = new Uint32Array(256);
  #records = 0;

  constructor(maxRecords: number) {
    this.#bytes = Buffer.alloc(RECORDS_START + maxRecords * RECORD_BYTES + CHECKSUM_BYTES);
  }

  /** In the order of oids. */
  add(from: OidRecords, row: number): void {
    const at = RECORDS_START + this.#records * RECORD_BYTES;
    const start = from.startOf(row);
    from.bytes.copy(this.#bytes, at, start, start + RECORD_BYTES);
    const first = this.#bytes[at] as number;
    this.#counts[first] = (this.#counts[first] as number) + 1;
    this.#records += 1;
  }

  async finish(): Promise<EncodedTable> {
    const bytes = this.#bytes;
    const end = RECORDS_START + this.#records * RECORD_BYTES;
    for (const [i, word] of [SIGNATURE, VERSION, this.#records].entries()) bytes.writeUInt32BE(word, i * 4);
    this.#counts.reduce((sum, count, byte) => {
      bytes.writeUInt32BE(sum + count, 16 + byte * 4);
      return sum + count;
    }, 0);
    bytes.set(await sha256WithPauses(bytes.subarray(0, end)), end);
    return { bytes: bytes.subarray(0, end + CHECKSUM_BYTES), records: this.#records };
  }
}

export class RightsTable {
  readonly records: OidRecords;

  private constructor(records: OidRecords) {
    this.records = records;
  }

  /** Leaves the event loop to others now and then. @throws {CorruptPackError} The bytes are not such a table. */
  static async open(table: Uint8Array): Promise<RightsTable> {
    const bytes = Buffer.from(table.buffer, table.byteOffset, table.length);
    if (bytes.length < RECORDS_START + CHECKSUM_BYTES || bytes.readUInt32BE(0) !== SIGNATURE)
      throw new CorruptPackError("not a table of LFS rights");
    const end = RECORDS_START + bytes.readUInt32BE(8) * RECORD_BYTES;
    if (bytes.readUInt32BE(4) !== VERSION || bytes.length !== end + CHECKSUM_BYTES)
      throw new CorruptPackError("table of LFS rights has another version or length");
    if (!(await sha256WithPauses(bytes.subarray(0, end))).equals(bytes.subarray(end)))
      throw new CorruptPackError("checksum of a table of LFS rights is wrong");
    return new RightsTable(new OidRecords(bytes.subarray(0, end), RECORDS_START, RECORD_BYTES));
  }

  /** @param oid - 32 bytes. */
  find(oid: Uint8Array): LfsRecord | undefined {
    const first = oid[0] ?? 0;
    const row = this.records.find(oid, first === 0 ? 0 : this.#fanout(first - 1), this.#fanout(first));
    return row < 0 ? undefined : this.recordAt(row);
  }

  stateAt(row: number): LfsState {
    return stateOf(this.records.bytes, this.records.startOf(row));
  }

  recordAt(row: number): LfsRecord {
    return readRightsRecord(this.records.bytes, this.records.startOf(row));
  }

  #fanout(byte: number): number {
    return Math.min(this.records.count, this.records.bytes.readUInt32BE(16 + byte * 4));
  }
}

/** Where the records of a table begin, and how long each is. */
export const RIGHTS_RECORDS = { start: RECORDS_START, recordBytes: RECORD_BYTES } as const;

/** @param bytes - Of a table; the record begins at `at`. */
export function readRightsRecord(bytes: Buffer, at = 0): LfsRecord {
  return {
    oid: bytes.toString("hex", at, at + SIZE_OFFSET),
    sizeBytes: bytes.readUIntBE(at + SIZE_OFFSET, 6),
    state: stateOf(bytes, at),
    tries: bytes.readUInt8(at + 39),
    seconds: bytes.readUInt32BE(at + 40),
  };
}

function stateOf(bytes: Buffer, at: number): LfsState {
  const state = bytes.readUInt8(at + STATE_OFFSET);
  // What a newer release has written gives no right.
  return STATES.has(state) ? (state as LfsState) : LFS_STATE.postponed;
}
