/** Makes entries that no pack holds as they are needed: a delta against another base, or the object whole. */
import type { ObjectNumber } from "../object-numbers.ts";
import type { GitObject, ObjectReader } from "../ports.ts";
import { deflateInPieces, EntryDeflater } from "./deflate.ts";
import { DeltaEncoder } from "./encode-delta.ts";

/** A delta of more than half of the object is hardly worth what its reader pays for it. As git's. */
const LARGEST_SHARE = 1 / 2;
/** The least that a delta has to save. */
const MIN_SAVED_BYTES = 32;
/** Larger objects are not taken for deltas: both are held, with a table of the base. */
const MAX_DELTIFIED_BYTES = 16 * 1024 * 1024;
/** A base that is larger by more than this is not worth being read. As git's. */
const LARGEST_BASE_FACTOR = 32;
/** Objects from this size on are deflated piece by piece, beside this thread. */
const LARGE_BYTES = 4 * 1024 * 1024;
/** Compared or deflated in a step of `WorkSlices`. */
const BYTES_A_STEP = 160;

export interface ReencodedEntry {
  /** The object's content, or the delta's instructions, deflated. Valid until the next entry is made. */
  readonly stream: Uint8Array;
  /** Of a large object, what follows. */
  readonly rest?: AsyncIterable<Uint8Array>;
  readonly inflatedBytes: number;
}

const NO_BYTES = new Uint8Array(0);

/** Holds the memory of one encoder and one deflater: one caller at a time. */
export class EntryReencoder {
  readonly #objects: ObjectReader;
  readonly #encoder = new DeltaEncoder();
  readonly #deflater = new EntryDeflater();

  constructor(objects: ObjectReader) {
    this.#objects = objects;
  }

  /** What a delta would cost: bytes to be read and compared. @returns `undefined` if the objects are not fit for one. */
  deltaCostBytes(objectNumber: ObjectNumber, baseNumber: ObjectNumber): number | undefined {
    const { history } = this.#objects;
    if (history === undefined) return undefined;
    const targetBytes = history.sizes[objectNumber] ?? 0;
    const baseBytes = history.sizes[baseNumber] ?? 0;
    const isFit =
      Math.max(targetBytes, baseBytes) <= MAX_DELTIFIED_BYTES &&
      baseBytes <= targetBytes * LARGEST_BASE_FACTOR;
    return isFit ? targetBytes + baseBytes : undefined;
  }

  /** @returns `undefined` if a delta would not be worth it. */
  async delta(objectNumber: ObjectNumber, baseNumber: ObjectNumber): Promise<ReencodedEntry | undefined> {
    const [{ bytes: target }, { bytes: base }] = await Promise.all([
      this.#objects.read(objectNumber),
      this.#objects.read(baseNumber),
    ]);
    await this.#objects.slices.spend((target.length + base.length) / BYTES_A_STEP);
    const maxDeltaBytes = Math.floor(target.length * LARGEST_SHARE) - MIN_SAVED_BYTES;
    if (maxDeltaBytes <= 0) return undefined;
    const delta = this.#encoder.encode(base, target, maxDeltaBytes);
    return delta && { stream: this.#deflater.deflate(delta), inflatedBytes: delta.length };
  }

  async whole(objectNumber: ObjectNumber): Promise<ReencodedEntry & Pick<GitObject, "type">> {
    const { type, bytes } = await this.#objects.read(objectNumber);
    const inflatedBytes = bytes.length;
    if (inflatedBytes >= LARGE_BYTES)
      return { type, stream: NO_BYTES, rest: deflateInPieces(bytes), inflatedBytes };
    await this.#objects.slices.spend(inflatedBytes / BYTES_A_STEP);
    return { type, stream: this.#deflater.deflate(bytes), inflatedBytes };
  }
}
