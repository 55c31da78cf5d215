/**
 * Reads the entries of a pack in the order they lie in, many with one read where they are close together, and a little
 * ahead: so a small answer waits for the store once.
 */
import type { EntryExtent, PackReader } from "../ports.ts";

/** Read over rather than skip: a request costs as much as reading this. */
const MAX_GAP_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 2 * 1024 * 1024;

/** Each may hold a block of the store's for a few bytes of it; for a slow client, too. */
const MAX_WINDOWS_AHEAD = 6;
const MAX_BYTES_AHEAD = 4 * 1024 * 1024;

interface Window {
  /** Of its first entry, and of the first one behind it. */
  readonly index: number;
  readonly endIndex: number;
  readonly packNumber: number;
  readonly startBytes: number;
  readonly lengthBytes: number;
  readonly bytes: Promise<Uint8Array>;
}

export class EntryWindow {
  readonly #packs: PackReader;
  readonly #objectNumbers: Uint32Array;
  #packNumber = -1;
  #startBytes = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  /** In order. */
  readonly #ahead: Window[] = [];
  #bytesAhead = 0;

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
   * Reads on from the entry at `index`: the first one that `peek` does not know.
   * @returns The entry's bytes; only the first of them if it is larger than a window.
   */
  async read(index: number): Promise<Uint8Array> {
    this.#bytes = new Uint8Array(0);
    this.#readAhead(index);
    const window = this.#ahead.shift();
    if (window?.index !== index) throw new RangeError(`no window begins with entry ${index}`);
    this.#bytesAhead -= window.lengthBytes;
    this.#readAhead(window.endIndex);
    this.#bytes = await window.bytes;
    this.#packNumber = window.packNumber;
    this.#startBytes = window.startBytes;
    const { offsetBytes, endBytes } = this.#extentAt(index);
    return this.#bytes.subarray(0, endBytes - offsetBytes);
  }

  /** The rest of an entry that is larger than a window. */
  async *readRest(extent: EntryExtent, doneBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let offsetBytes = extent.offsetBytes + doneBytes; offsetBytes < extent.endBytes; ) {
      const lengthBytes = Math.min(MAX_WINDOW_BYTES, extent.endBytes - offsetBytes);
      yield await this.#packs.readPackRange(extent.packNumber, offsetBytes, lengthBytes);
      offsetBytes += lengthBytes;
    }
  }

  /** @param index - Where to begin if nothing is ahead. */
  #readAhead(index: number): void {
    for (let next = this.#ahead.at(-1)?.endIndex ?? index; next < this.#objectNumbers.length; ) {
      const isFull = this.#ahead.length >= MAX_WINDOWS_AHEAD || this.#bytesAhead >= MAX_BYTES_AHEAD;
      if (isFull && this.#ahead.length > 0) return;
      const window = this.#startWindow(next);
      this.#ahead.push(window);
      this.#bytesAhead += window.lengthBytes;
      next = window.endIndex;
    }
  }

  #startWindow(index: number): Window {
    const first = this.#extentAt(index);
    let endBytes = Math.min(first.endBytes, first.offsetBytes + MAX_WINDOW_BYTES);
    let endIndex = index + 1;
    for (; endIndex < this.#objectNumbers.length; endIndex++) {
      const extent = this.#extentAt(endIndex);
      const isNear = extent.packNumber === first.packNumber && extent.offsetBytes - endBytes <= MAX_GAP_BYTES;
      if (!isNear || extent.endBytes - first.offsetBytes > MAX_WINDOW_BYTES) break;
      endBytes = extent.endBytes;
    }
    const lengthBytes = endBytes - first.offsetBytes;
    const bytes = this.#packs.readPackRange(first.packNumber, first.offsetBytes, lengthBytes);
    bytes.catch(() => undefined); // told when its turn comes, if it does
    return {
      ...{ index, endIndex, packNumber: first.packNumber, startBytes: first.offsetBytes },
      ...{ lengthBytes, bytes },
    };
  }

  #extentAt(index: number): EntryExtent {
    return this.#packs.extent(this.#objectNumbers[index] ?? -1);
  }
}
