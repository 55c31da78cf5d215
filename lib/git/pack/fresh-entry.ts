/** Makes entries that no pack holds as they are needed: a delta against another base, or the object whole. */
import type { GitObject, ObjectReader } from "../ports.ts";
import { EntryDeflater } from "./deflate.ts";
import { DeltaEncoder } from "./encode-delta.ts";

/** A delta of more than half of the object is hardly worth what its reader pays for it. As git's. */
const LARGEST_SHARE = 1 / 2;
/** The least that a delta has to save. */
const MIN_SAVED_BYTES = 32;
/** Larger objects are not taken for deltas: both are held, with a table of the base. */
const MAX_DELTIFIED_BYTES = 16 * 1024 * 1024;

export interface FreshEntry {
  /** The object's content, or the delta's instructions, deflated. Valid until the next entry is made. */
  readonly stream: Uint8Array;
  readonly inflatedBytes: number;
}

/** Holds the memory of one encoder and one deflater: one caller at a time. */
export class FreshEntries {
  readonly #objects: ObjectReader;
  readonly #encoder = new DeltaEncoder();
  readonly #deflater = new EntryDeflater();

  constructor(objects: ObjectReader) {
    this.#objects = objects;
  }

  /** @returns `undefined` if a delta would not be worth it. */
  async delta(objectNumber: number, baseNumber: number): Promise<FreshEntry | undefined> {
    const { bytes: target } = await this.#objects.read(objectNumber);
    const { bytes: base } = await this.#objects.read(baseNumber);
    if (Math.max(target.length, base.length) > MAX_DELTIFIED_BYTES) return undefined;
    const maxDeltaBytes = Math.floor(target.length * LARGEST_SHARE) - MIN_SAVED_BYTES;
    if (maxDeltaBytes <= 0) return undefined;
    const delta = this.#encoder.encode(base, target, maxDeltaBytes);
    return delta && { stream: this.#deflater.deflate(delta), inflatedBytes: delta.length };
  }

  async whole(objectNumber: number): Promise<FreshEntry & Pick<GitObject, "type">> {
    const { type, bytes } = await this.#objects.read(objectNumber);
    return { type, stream: this.#deflater.deflate(bytes), inflatedBytes: bytes.length };
  }
}
