/** Where the engine reads a pack from: by position, synchronously, because it runs in a thread that may block. */
import { PACK_TRAILER_BYTES } from "./pack-format.ts";

export interface PackSource {
  /**
   * Bytes of the pack from `offsetBytes` on: at least `atLeastBytes` unless the pack ends before, none if it ends there.
   * The view is valid until the next call.
   */
  window(offsetBytes: number, atLeastBytes?: number): Uint8Array;
  /** Whether there is more at `offsetBytes` than the trailer. */
  hasEntryAt(offsetBytes: number): boolean;
}

/** A pack in memory. */
export class BytesPackSource implements PackSource {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  window(offsetBytes: number): Uint8Array {
    return this.#bytes.subarray(offsetBytes);
  }

  hasEntryAt(offsetBytes: number): boolean {
    return offsetBytes < this.#bytes.length - PACK_TRAILER_BYTES;
  }
}
