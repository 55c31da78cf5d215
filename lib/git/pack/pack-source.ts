/** Where the engine reads a pack from: by position, synchronously, because it runs in a thread that may block. */

export interface PackSource {
  /**
   * Bytes of the pack from `offsetBytes` on: at least one, or none if the pack ends there.
   * The view is valid until the next call.
   */
  window(offsetBytes: number): Uint8Array;
}

/** A pack, or a part of one, that is in memory. */
export class BytesPackSource implements PackSource {
  readonly #bytes: Uint8Array;
  readonly #startOffsetBytes: number;

  /** @param startOffsetBytes - The pack offset of `bytes[0]`. */
  constructor(bytes: Uint8Array, startOffsetBytes = 0) {
    this.#bytes = bytes;
    this.#startOffsetBytes = startOffsetBytes;
  }

  window(offsetBytes: number): Uint8Array {
    return this.#bytes.subarray(Math.max(0, offsetBytes - this.#startOffsetBytes));
  }
}
