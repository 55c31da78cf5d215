/** Looks records up in a stored table of them, and reads only the blocks in which they are. */
import { LFS_OID_BYTES } from "../git/pack/oid-records.ts";
import type { BlobRange, BlockCache } from "../store/block-cache.ts";

/** Sorted by the oids that they begin with. */
export interface StoredOidRecords {
  readonly blocks: BlockCache;
  /** Of a blob that never changes. */
  readonly key: string;
  /** Where the first record begins. */
  readonly start: number;
  readonly recordBytes: number;
  readonly count: number;
}

/** @returns By oid the first record each. Errors as of `BlockCache.read`. */
export async function findStoredRecords(
  records: StoredOidRecords,
  oids: readonly string[],
): Promise<ReadonlyMap<string, Buffer>> {
  const windows = new Map(
    oids.map((oid) => windowOf(oid, records)).map((range) => [range.offsetBytes, range]),
  );
  // Neighbours are in a block or two. One alone is asked for where others follow.
  if (oids.length === 1 || windows.size > 2) records.blocks.readAhead(windows.values());
  const found = new Map<string, Buffer>();
  for (const oid of oids) {
    const record = await findRecord(records, Buffer.from(oid, "hex"));
    if (record !== undefined) found.set(oid, record);
  }
  return found;
}

async function findRecord(
  { blocks, key, start, recordBytes, count }: StoredOidRecords,
  oid: Buffer,
): Promise<Buffer | undefined> {
  let low = 0;
  let high = count;
  let found: Buffer | undefined;
  const share = oid.readUInt32BE(0) / 2 ** 32;
  for (let steps = 0; low < high; steps++) {
    // Oids are hashes, so it is near this place; should strangers have chosen them otherwise, halving finds it as well.
    const isGuess = steps < GUESSES;
    const guess = Math.floor(share * count + ((steps % 2 === 0 ? -1 : 1) * steps * Math.sqrt(count)) / 2);
    const middle = isGuess ? Math.min(high - 1, Math.max(low, guess)) : (low + high) >>> 1;
    const bytes = await blocks.read(key, start + middle * recordBytes, recordBytes);
    const record = Buffer.from(bytes.buffer, bytes.byteOffset, recordBytes);
    const order = record.compare(oid, 0, LFS_OID_BYTES, 0, LFS_OID_BYTES);
    if (order < 0) low = middle + 1;
    else high = middle;
    if (order === 0) found = record;
  }
  return found;
}

/** Where its record is, in all likelihood: those of many files are in a few windows, so one after the other takes no request each. */
function windowOf(oid: string, { key, start, recordBytes, count }: StoredOidRecords): BlobRange {
  const share = Number.parseInt(oid.slice(0, 8), 16) / 2 ** 32;
  const placeBytes = start + Math.floor(share * count) * recordBytes;
  const offsetBytes = placeBytes - (placeBytes % WINDOW_BYTES);
  return { key, offsetBytes, endBytes: Math.min(offsetBytes + WINDOW_BYTES, start + count * recordBytes) };
}

const WINDOW_BYTES = 256 * 1024;

/** The place of a hash among others varies by the root of their number: after these, few records are left. */
const GUESSES = 5;
