/** All entries of a pack as columns of shared memory, which several threads fill in. */
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { findOffset, type ScannedEntries } from "./entry-columns.ts";

/** What another thread needs to see the same table. */
export interface SharedEntryTable {
  readonly capacity: number;
  readonly columns: SharedArrayBuffer;
}

/** Bytes of a row: offset 8, id 20, crc 4, base 4, first child 4, next sibling 4, size 4, depth 2, type 1. */
const ROW_BYTES = 8 + OBJECT_ID_BYTES + 5 * 4 + 2 + 1;

export class EntryTable {
  readonly capacity: number;
  readonly shared: SharedEntryTable;
  readonly offsets: Float64Array;
  readonly ids: Uint8Array;
  readonly crcs: Uint32Array;
  /** Of a delta: its base's entry number, once that is known. Else -1. */
  readonly bases: Int32Array;
  /** Deltas to be resolved, as lists below their bases; -1 ends a list. */
  readonly firstChildren: Int32Array;
  readonly nextSiblings: Int32Array;
  /** Of the object; 2^32 - 1 stands for that and anything larger. */
  readonly sizes: Uint32Array;
  readonly depths: Uint16Array;
  /** The object's type; of a delta not yet resolved, 6 or 7. */
  readonly types: Uint8Array;

  /** @param shared - A table made by another thread, or how many entries a new one shall hold. */
  constructor(shared: SharedEntryTable | number) {
    this.capacity = typeof shared === "number" ? shared : shared.capacity;
    const columns =
      typeof shared === "number" ? new SharedArrayBuffer(this.capacity * ROW_BYTES) : shared.columns;
    this.shared = { capacity: this.capacity, columns };
    const { capacity } = this;
    let at = 0;
    const take = (bytesEach: number): number => {
      const start = at;
      at += bytesEach * capacity;
      return start;
    };
    // The widest first, so that each column is aligned.
    this.offsets = new Float64Array(columns, take(8), capacity);
    this.crcs = new Uint32Array(columns, take(4), capacity);
    this.bases = new Int32Array(columns, take(4), capacity);
    this.firstChildren = new Int32Array(columns, take(4), capacity);
    this.nextSiblings = new Int32Array(columns, take(4), capacity);
    this.sizes = new Uint32Array(columns, take(4), capacity);
    this.ids = new Uint8Array(columns, take(OBJECT_ID_BYTES), capacity * OBJECT_ID_BYTES);
    this.depths = new Uint16Array(columns, take(2), capacity);
    this.types = new Uint8Array(columns, take(1), capacity);
  }

  /** Copies in the entries of a stretch as numbers `first` and up. */
  fill(first: number, entries: ScannedEntries): void {
    this.offsets.set(entries.offsets, first);
    this.crcs.set(entries.crcs, first);
    this.ids.set(entries.ids, first * OBJECT_ID_BYTES);
    this.depths.set(entries.depths, first);
    this.sizes.set(entries.sizes, first);
    this.types.set(entries.types, first);
    for (let i = 0; i < entries.count; i++) {
      const base = entries.bases[i] as number;
      this.bases[first + i] = base < 0 ? -1 : first + base;
    }
    this.firstChildren.fill(-1, first, first + entries.count);
    this.nextSiblings.fill(-1, first, first + entries.count);
  }

  /** Puts a delta on its base's list. */
  addChild(base: number, child: number): void {
    this.nextSiblings[child] = this.firstChildren[base] as number;
    this.firstChildren[base] = child;
    this.bases[child] = base;
  }

  /** @throws {CorruptPackError} No entry begins at `offsetBytes`. */
  numberAt(offsetBytes: number, count: number): number {
    const number = findOffset(this.offsets, offsetBytes, 0, count);
    if (number < 0) throw new CorruptPackError("delta names a base where no entry begins", { offsetBytes });
    return number;
  }
}
