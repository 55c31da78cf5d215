/** Reads and writes pack indexes, version 2. Source: gitformat-pack(5), "Version 2 pack-*.idx files". */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../object-id.ts";
import type { IndexNumber } from "../object-numbers.ts";
import { WorkSlices } from "../work-slices.ts";
import { ascendingNumbers, sortedByKey } from "./sorted-numbers.ts";

const SIGNATURE = 0xff744f63;
const HEADER_BYTES = 8;
const FANOUT_BYTES = 256 * 4;
const IDS_START = HEADER_BYTES + FANOUT_BYTES;
const CHECKSUM_BYTES = 20;
const LARGE_OFFSET_FLAG = 0x80000000;

/** An index held in memory; ids are numbered by their place in it. */
export class PackIndex {
  readonly objectCount: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offsetsStart: number;

  /** @throws {CorruptPackError} Not a version 2 index, or its tables do not fit its length. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (
      bytes.length < IDS_START + 2 * CHECKSUM_BYTES ||
      this.#view.getUint32(0) !== SIGNATURE ||
      this.#view.getUint32(4) !== 2
    ) {
      throw new CorruptPackError("not a version 2 pack index", { indexBytes: bytes.length });
    }
    let previous = 0;
    for (let i = 0; i < 256; i++) {
      const next = this.#fanout(i);
      if (next < previous) throw new CorruptPackError("pack index fan-out goes back", { byte: i });
      previous = next;
    }
    this.objectCount = previous;
    this.#offsetsStart = IDS_START + this.objectCount * (OBJECT_ID_BYTES + 4);
    const smallestBytes = this.#offsetsStart + this.objectCount * 4 + 2 * CHECKSUM_BYTES;
    if (bytes.length < smallestBytes || (bytes.length - smallestBytes) % 8 !== 0) {
      throw new CorruptPackError("pack index length does not fit its count", {
        indexBytes: bytes.length,
        objectCount: previous,
      });
    }
  }

  #fanout(byte: number): number {
    return this.#view.getUint32(HEADER_BYTES + byte * 4);
  }

  /** @returns The object's number, or -1. */
  find(id: ObjectId): IndexNumber {
    return this.findBytes(objectIdBytes(id), 0);
  }

  /** @returns The number of the object whose id is at `bytes[start]`, or -1. */
  findBytes(bytes: Uint8Array, start: number): IndexNumber {
    const first = bytes[start] ?? 0;
    let low = first === 0 ? 0 : this.#fanout(first - 1);
    let high = this.#fanout(first);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = this.#compare(middle, bytes, start);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return -1;
  }

  #compare(number: IndexNumber, bytes: Uint8Array, start: number): number {
    const at = IDS_START + number * OBJECT_ID_BYTES;
    for (let i = 1; i < OBJECT_ID_BYTES; i++) {
      const difference = (this.#bytes[at + i] ?? 0) - (bytes[start + i] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  objectId(number: IndexNumber): ObjectId {
    return objectIdAt(this.#bytes, IDS_START + number * OBJECT_ID_BYTES);
  }

  /** All ids, 20 bytes each, in order: a view. */
  objectIds(): Uint8Array {
    return this.#bytes.subarray(IDS_START, IDS_START + this.objectCount * OBJECT_ID_BYTES);
  }

  /** CRC-32 of the entry as it is in the pack, head and zlib stream. */
  crc(number: IndexNumber): number {
    return this.#view.getUint32(IDS_START + this.objectCount * OBJECT_ID_BYTES + number * 4);
  }

  /** @throws {CorruptPackError} A large offset points outside its table, or is above 2^53 - 1. */
  offsetBytes(number: IndexNumber): number {
    const small = this.#view.getUint32(this.#offsetsStart + number * 4);
    if (small < LARGE_OFFSET_FLAG) return small;
    const at = this.#offsetsStart + this.objectCount * 4 + (small - LARGE_OFFSET_FLAG) * 8;
    if (at + 8 > this.#bytes.length - 2 * CHECKSUM_BYTES)
      throw new CorruptPackError("pack index has an offset outside its table");
    const large = this.#view.getBigUint64(at);
    if (large > BigInt(Number.MAX_SAFE_INTEGER))
      throw new CorruptPackError("pack index has an offset above 2^53 - 1");
    return Number(large);
  }

  /** The pack's trailer: SHA-1 of all before it. */
  packChecksum(): Uint8Array {
    return this.#bytes.subarray(-2 * CHECKSUM_BYTES, -CHECKSUM_BYTES);
  }

  /** @throws {CorruptPackError} The index does not match its own checksum. */
  verifyChecksum(): void {
    const actual = createHash("sha1").update(this.#bytes.subarray(0, -CHECKSUM_BYTES)).digest();
    if (!actual.equals(this.#bytes.subarray(-CHECKSUM_BYTES)))
      throw new CorruptPackError("pack index checksum is wrong");
  }
}

/** Columns of a pack's entries; all are `objectCount` long, `ids` 20 times that. */
export interface IndexedEntries {
  readonly objectCount: number;
  readonly ids: Uint8Array;
  readonly offsets: Float64Array;
  readonly crcs: Uint32Array;
}

/** The numbers of the entries, in the order of their ids. */
export function sortedByObjectId({ ids, objectCount }: IndexedEntries): Uint32Array {
  // By the first 4 bytes; then ties, which are rare, by the rest.
  const keys = new Uint32Array(objectCount);
  for (let i = 0, at = 0; i < objectCount; i++, at += OBJECT_ID_BYTES) {
    keys[i] =
      ((ids[at] as number) << 24) |
      ((ids[at + 1] as number) << 16) |
      ((ids[at + 2] as number) << 8) |
      (ids[at + 3] as number);
  }
  const order = sortedByKey(ascendingNumbers(objectCount), keys);
  const compareRest = (a: number, b: number): number => {
    for (let i = 4; i < OBJECT_ID_BYTES; i++) {
      const difference = (ids[a * OBJECT_ID_BYTES + i] as number) - (ids[b * OBJECT_ID_BYTES + i] as number);
      if (difference !== 0) return difference;
    }
    return 0;
  };
  for (let start = 0; start < objectCount; ) {
    let end = start + 1;
    while (end < objectCount && keys[order[end] as number] === keys[order[start] as number]) end++;
    if (end - start > 1) order.subarray(start, end).sort(compareRest);
    start = end;
  }
  return order;
}

/** Of `encodePackIndex`, between two looks whether to pause. */
const ROWS_A_STEP = 1_000;

/**
 * The index's bytes for the entries of a pack.
 * @param order - From `sortedByObjectId`.
 * @param packChecksum - The pack's trailer.
 * @param allocate - Allocates the index's memory, for example shared memory.
 */
export async function encodePackIndex(
  entries: IndexedEntries,
  order: Uint32Array,
  packChecksum: Uint8Array,
  allocate: (lengthBytes: number) => Uint8Array = (lengthBytes) => new Uint8Array(lengthBytes),
): Promise<Uint8Array> {
  const { objectCount, ids, offsets, crcs } = entries;
  const slices = new WorkSlices();
  let largeCount = 0;
  for (let i = 0; i < objectCount; i++) if ((offsets[i] as number) >= LARGE_OFFSET_FLAG) largeCount++;
  const bytes = allocate(
    IDS_START + objectCount * (OBJECT_ID_BYTES + 8) + largeCount * 8 + 2 * CHECKSUM_BYTES,
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(0, SIGNATURE);
  view.setUint32(4, 2);
  const crcsStart = IDS_START + objectCount * OBJECT_ID_BYTES;
  const offsetsStart = crcsStart + objectCount * 4;
  const largeStart = offsetsStart + objectCount * 4;
  const fanout = new Uint32Array(256);
  let largeIndex = 0;
  for (let rank = 0; rank < objectCount; rank++) {
    if (rank % ROWS_A_STEP === 0 && slices.isDue(ROWS_A_STEP)) await slices.pause();
    const number = order[rank] as number;
    const idStart = number * OBJECT_ID_BYTES;
    (fanout[ids[idStart] as number] as number)++;
    bytes.set(ids.subarray(idStart, idStart + OBJECT_ID_BYTES), IDS_START + rank * OBJECT_ID_BYTES);
    view.setUint32(crcsStart + rank * 4, crcs[number] as number);
    const offsetBytes = offsets[number] as number;
    if (offsetBytes < LARGE_OFFSET_FLAG) view.setUint32(offsetsStart + rank * 4, offsetBytes);
    else {
      view.setUint32(offsetsStart + rank * 4, LARGE_OFFSET_FLAG + largeIndex);
      view.setBigUint64(largeStart + largeIndex * 8, BigInt(offsetBytes));
      largeIndex++;
    }
  }
  for (let byte = 0, total = 0; byte < 256; byte++) {
    total += fanout[byte] as number;
    view.setUint32(HEADER_BYTES + byte * 4, total);
  }
  bytes.set(packChecksum, bytes.length - 2 * CHECKSUM_BYTES);
  bytes.set(
    createHash("sha1").update(bytes.subarray(0, -CHECKSUM_BYTES)).digest(),
    bytes.length - CHECKSUM_BYTES,
  );
  return bytes;
}
