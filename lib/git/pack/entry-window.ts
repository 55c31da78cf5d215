/** Reads the entries of a pack in the order they lie in, many with one read where they are close together. */
import type { EntryExtent, PackReader } from "../ports.ts";

/** Read over rather than skip: a request costs as much as reading this. */
const MAX_GAP_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 2 * 1024 * 1024;

export class EntryWindow {
  readonly #packs: PackReader;
  readonly #objectNumbers: Uint32Array;
  #packNumber = -1;
  #startBytes = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  /** @param objectNumbers - In the order of packs and offsets. */
  constructor(packs: PackReader, objectNumbers: Uint32Array) {
    this.#packs = packs;
    this.#objectNumbers = objectNumbers;
  }

  /** @returns The entry's bytes if they have been read, else `undefined`: then `read` is needed. */
  peek({ packNumber, offsetBytes, endBytes }: EntryExtent): Uint8Array | undefined {
    const start = offsetBytes - this.#startBytes;
    const end = endBytes - this.#startBytes;
    if (packNumber !== this.#packNumber || start < 0 || end > this.#bytes.length) return undefined;
    return this.#bytes.subarray(start, end);
  }

  /**
   * Reads on from the entry at `index`.
   * @returns The entry's bytes; only the first of them if it is larger than a window.
   */
  async read(index: number): Promise<Uint8Array> {
    const first = this.#packs.extent(this.#objectNumbers[index] ?? -1);
    let endBytes = Math.min(first.endBytes, first.offsetBytes + MAX_WINDOW_BYTES);
    for (let next = index + 1; next < this.#objectNumbers.length; next++) {
      const extent = this.#packs.extent(this.#objectNumbers[next] ?? -1);
      const isNear = extent.packNumber === first.packNumber && extent.offsetBytes - endBytes <= MAX_GAP_BYTES;
      if (!isNear || extent.endBytes - first.offsetBytes > MAX_WINDOW_BYTES) break;
      endBytes = extent.endBytes;
    }
    const lengthBytes = endBytes - first.offsetBytes;
    this.#bytes = await this.#packs.readPackRange(first.packNumber, first.offsetBytes, lengthBytes);
    this.#packNumber = first.packNumber;
    this.#startBytes = first.offsetBytes;
    return this.#bytes.subarray(0, first.endBytes - first.offsetBytes);
  }

  /** The rest of an entry that is larger than a window. */
  async *readRest(extent: EntryExtent, doneBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let offsetBytes = extent.offsetBytes + doneBytes; offsetBytes < extent.endBytes; ) {
      const lengthBytes = Math.min(MAX_WINDOW_BYTES, extent.endBytes - offsetBytes);
      yield await this.#packs.readPackRange(extent.packNumber, offsetBytes, lengthBytes);
      offsetBytes += lengthBytes;
    }
  }
}
