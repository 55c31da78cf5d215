/** A pack in memory that hands out windows of given lengths: what reads it must not depend on where they end. */
import { PACK_TRAILER_BYTES } from "../../lib/git/pack/pack-format.ts";
import type { PackSource } from "../../lib/git/pack/pack-source.ts";

export class ChoppedPackSource implements PackSource {
  readonly #bytes: Uint8Array;
  readonly #windowBytes: readonly number[];
  #windows = 0;
  #lastWindow = new Uint8Array();

  /** @param windowBytes - Lengths of the windows, over and over; a window is longer only if more is asked for. */
  constructor(bytes: Uint8Array, windowBytes: readonly number[]) {
    this.#bytes = bytes;
    this.#windowBytes = windowBytes;
  }

  window(offsetBytes: number, atLeastBytes = 1): Uint8Array {
    // A view is valid until the next call only.
    this.#lastWindow.fill(0xa5);
    const lengthBytes = this.#windowBytes[this.#windows++ % this.#windowBytes.length] ?? 1;
    const endBytes = offsetBytes + Math.max(lengthBytes, atLeastBytes);
    // Not slice(): of a Buffer, that is a view.
    this.#lastWindow = new Uint8Array(this.#bytes.subarray(offsetBytes, endBytes));
    return this.#lastWindow;
  }

  hasEntryAt(offsetBytes: number): boolean {
    return offsetBytes < this.#bytes.length - PACK_TRAILER_BYTES;
  }
}
