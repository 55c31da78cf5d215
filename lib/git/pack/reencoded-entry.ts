/**
 * Makes entries that no pack holds as they are needed: a delta against another base, or the object whole, deflated.
 * Source: RFC 1950.
 */
import { constants, createDeflate, deflateSync } from "node:zlib";
import type { ObjectNumber } from "../object-numbers.ts";
import type { GitObject, ObjectReader } from "../ports.ts";
import type { DeltaBaseSelection } from "./delta-base-selection.ts";
import { DeltaEncoder } from "./encode-delta.ts";
import { openZlibStepper } from "./zlib-stepper.ts";

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

/**
 * What may be read and compared to make whole objects deltas of what the client has: some 30 ms. Past it they
 * are copied, which costs nothing but the client's bandwidth.
 */
const MAX_THINNED_BYTES = 4 * 1024 * 1024;
/** The same for objects that cannot be copied: some twenty seconds. Past it they are written whole. */
const MAX_REBASED_BYTES = 4 * 1024 * 1024 * 1024;

/** Holds the memory of one encoder and one deflater: one caller at a time. */
export class EntryReencoder {
  readonly #objects: ObjectReader;
  readonly #selection: DeltaBaseSelection | undefined;
  readonly #encoder = new DeltaEncoder();
  readonly #deflater = new EntryDeflater();
  readonly #leftBytes = { thinned: MAX_THINNED_BYTES, rebased: MAX_REBASED_BYTES };

  constructor(objects: ObjectReader, selection: DeltaBaseSelection | undefined) {
    this.#objects = objects;
    this.#selection = selection;
  }

  /** Whether a whole object may still be made a delta. */
  get allowsThinning(): boolean {
    return this.#leftBytes.thinned > 0;
  }

  /**
   * Makes the object a delta of a relative at hand.
   * @param canBeCopied - Whether the object could be written without a new delta.
   * @returns `undefined` if there is no relative, or a delta would not be worth it.
   */
  async delta(
    objectNumber: ObjectNumber,
    canBeCopied: boolean,
  ): Promise<(ReencodedEntry & { readonly baseNumber: ObjectNumber }) | undefined> {
    const baseNumber = this.#selection?.choose(objectNumber) ?? -1;
    if (baseNumber < 0 || !this.#mayCompare(objectNumber, baseNumber, canBeCopied)) return undefined;
    const [{ bytes: target }, { bytes: base }] = await Promise.all([
      this.#objects.read(objectNumber),
      this.#objects.read(baseNumber),
    ]);
    await this.#objects.slices.spend((target.length + base.length) / BYTES_A_STEP);
    const maxDeltaBytes = Math.floor(target.length * LARGEST_SHARE) - MIN_SAVED_BYTES;
    if (maxDeltaBytes <= 0) return undefined;
    const delta = this.#encoder.encode(base, target, maxDeltaBytes);
    return delta && { baseNumber, stream: this.#deflater.deflate(delta), inflatedBytes: delta.length };
  }

  /** Whether the objects are fit for a delta, and what is left suffices to read and compare them; takes it from that. */
  #mayCompare(objectNumber: ObjectNumber, baseNumber: ObjectNumber, canBeCopied: boolean): boolean {
    const { history } = this.#objects;
    const targetBytes = history?.sizes[objectNumber] ?? 0;
    const baseBytes = history?.sizes[baseNumber] ?? 0;
    const isFit =
      Math.max(targetBytes, baseBytes) <= MAX_DELTIFIED_BYTES &&
      baseBytes <= targetBytes * LARGEST_BASE_FACTOR;
    if (!isFit) return false;
    const kind = canBeCopied ? "thinned" : "rebased";
    this.#leftBytes[kind] -= targetBytes + baseBytes;
    return this.#leftBytes[kind] >= 0;
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

/** What zlib's own `compressBound` allows beyond the input, rounded up. */
function maxDeflatedBytes(inputBytes: number): number {
  return inputBytes + Math.ceil(inputBytes / 1000) + 64;
}

/** Holds one zlib state: an entry costs a fraction of what `deflateSync` costs. */
export class EntryDeflater {
  readonly #stepper;
  #output = new Uint8Array(4096);

  /** @param portable - Use documented calls only, as where Node lacks the fast ones. */
  constructor({ portable = false } = {}) {
    this.#stepper = portable ? undefined : openZlibStepper("deflate");
  }

  /** @returns The zlib stream, valid until the next call. */
  deflate(bytes: Uint8Array): Uint8Array {
    const stepper = this.#stepper;
    if (stepper === undefined) return deflateSync(bytes);
    const roomBytes = maxDeflatedBytes(bytes.length);
    if (this.#output.length < roomBytes) this.#output = new Uint8Array(roomBytes);
    stepper.reset();
    stepper.step(bytes, 0, this.#output, 0, this.#output.length, constants.Z_FINISH);
    return this.#output.subarray(0, stepper.producedBytes);
  }
}

/** The zlib stream of content too large to be deflated in one go, made as it is read. */
async function* deflateInPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  const stream = createDeflate();
  stream.end(bytes);
  yield* stream as AsyncIterable<Uint8Array>;
}
