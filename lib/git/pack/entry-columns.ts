/** What is known of a pack's entries, as columns of flat memory that grow as entries are found. */
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { lowerBound } from "./sorted-numbers.ts";

/** Deltas whose base was not at hand when they were found. */
interface PendingDeltas {
  /** Positions among the entries, ascending. */
  readonly numbers: Uint32Array;
  /** Pack offset of the base; -1 where it is named by id. */
  readonly baseOffsets: Float64Array;
  /** 20 bytes each; zeros where the base is at an offset. */
  readonly baseIds: Uint8Array;
}

/** Entries that follow one another in a pack. */
export interface ScannedEntries {
  readonly count: number;
  /** Where the first entry begins; `endOffsetBytes` if there is none. */
  readonly startOffsetBytes: number;
  /** Where the entry after the last one begins. */
  readonly endOffsetBytes: number;
  readonly offsets: Float64Array;
  /** The object's type; of a pending delta, the delta's. */
  readonly types: Uint8Array;
  readonly crcs: Uint32Array;
  /** Of a delta that is resolved: its base's position among the entries. Else -1. */
  readonly bases: Int32Array;
  /** 20 bytes each; zeros for a pending delta. */
  readonly ids: Uint8Array;
  /** Length of the delta chain below the entry; 0 for a whole object and a pending delta. */
  readonly depths: Uint16Array;
  /** Of the object; 2^32 - 1 stands for that and anything larger. Of a pending delta, of no meaning. */
  readonly sizes: Uint32Array;
  readonly pending: PendingDeltas;
  /** Pointers of git-lfs among the objects, as `LfsPointerCollector` takes them. */
  readonly lfsPointers: Uint8Array<ArrayBuffer>;
}

/** What the 32 bits of a size column can say. */
const MAX_RECORDED_SIZE = 2 ** 32 - 1;

const FIRST_CAPACITY = 4096;

export class EntryColumns {
  count = 0;
  offsets = new Float64Array(FIRST_CAPACITY);
  types = new Uint8Array(FIRST_CAPACITY);
  crcs = new Uint32Array(FIRST_CAPACITY);
  bases = new Int32Array(FIRST_CAPACITY);
  ids = new Uint8Array(FIRST_CAPACITY * OBJECT_ID_BYTES);
  depths = new Uint16Array(FIRST_CAPACITY);
  /** The object's position in the scanner's arena; -1 if it never had one. */
  positions = new Float64Array(FIRST_CAPACITY);
  /** Of the object there. */
  sizes = new Float64Array(FIRST_CAPACITY);
  #pendingNumbers: number[] = [];
  #pendingBaseOffsets: number[] = [];
  #pendingBaseIds: Uint8Array[] = [];

  /** Begins anew, in the same memory. */
  clear(): void {
    this.depths.fill(0, 0, this.count);
    this.ids.fill(0, 0, this.count * OBJECT_ID_BYTES);
    this.count = 0;
    this.#pendingNumbers = [];
    this.#pendingBaseOffsets = [];
    this.#pendingBaseIds = [];
  }

  /** Adds an entry. @returns Its number. */
  add(offsetBytes: number, type: number): number {
    const number = this.count++;
    if (number === this.offsets.length) this.#grow();
    this.offsets[number] = offsetBytes;
    this.types[number] = type;
    this.positions[number] = -1;
    this.bases[number] = -1;
    return number;
  }

  addPending(number: number, baseOffsetBytes: number, baseId: Uint8Array | undefined): void {
    this.#pendingNumbers.push(number);
    this.#pendingBaseOffsets.push(baseOffsetBytes);
    this.#pendingBaseIds.push(baseId ?? NO_ID);
  }

  /** @returns The entry at `offsetBytes`, or -1. Searches back from the newest, where bases usually are. */
  numberAt(offsetBytes: number): number {
    let step = 1;
    let high = this.count;
    let low = high - 1;
    while (low > 0 && (this.offsets[low] as number) > offsetBytes) {
      high = low;
      low = Math.max(0, low - step);
      step *= 2;
    }
    return findOffset(this.offsets, offsetBytes, Math.max(0, low), high);
  }

  finish(startOffsetBytes: number, endOffsetBytes: number): Omit<ScannedEntries, "lfsPointers"> {
    const { count } = this;
    const baseIds = new Uint8Array(this.#pendingBaseIds.length * OBJECT_ID_BYTES);
    this.#pendingBaseIds.forEach((id, i) => {
      baseIds.set(id, i * OBJECT_ID_BYTES);
    });
    return {
      count,
      startOffsetBytes,
      endOffsetBytes,
      offsets: this.offsets.slice(0, count),
      types: this.types.slice(0, count),
      crcs: this.crcs.slice(0, count),
      bases: this.bases.slice(0, count),
      ids: this.ids.slice(0, count * OBJECT_ID_BYTES),
      depths: this.depths.slice(0, count),
      sizes: Uint32Array.from(this.sizes.subarray(0, count), (size) => Math.min(size, MAX_RECORDED_SIZE)),
      pending: {
        numbers: Uint32Array.from(this.#pendingNumbers),
        baseOffsets: Float64Array.from(this.#pendingBaseOffsets),
        baseIds,
      },
    };
  }

  #grow(): void {
    const capacity = this.offsets.length * 2;
    this.offsets = copyInto(new Float64Array(capacity), this.offsets);
    this.types = copyInto(new Uint8Array(capacity), this.types);
    this.crcs = copyInto(new Uint32Array(capacity), this.crcs);
    this.bases = copyInto(new Int32Array(capacity), this.bases);
    this.ids = copyInto(new Uint8Array(capacity * OBJECT_ID_BYTES), this.ids);
    this.depths = copyInto(new Uint16Array(capacity), this.depths);
    this.positions = copyInto(new Float64Array(capacity), this.positions);
    this.sizes = copyInto(new Float64Array(capacity), this.sizes);
  }
}

const NO_ID = new Uint8Array(OBJECT_ID_BYTES);

function copyInto<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(
  target: T,
  from: T,
): T {
  target.set(from);
  return target;
}

/** Binary search in ascending `offsets[low..high)`. @returns The place of `offsetBytes`, or -1. */
export function findOffset(offsets: Float64Array, offsetBytes: number, low: number, high: number): number {
  const place = lowerBound(offsets, offsetBytes, low, high);
  return place < high && offsets[place] === offsetBytes ? place : -1;
}
