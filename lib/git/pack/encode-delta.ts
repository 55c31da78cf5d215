/**
 * Makes deltas: an object as pieces of another one and what is new between them.
 * Blocks of the base go into a table by their hash; the target is read with a hash that rolls, and matches are extended
 * both ways. Source: gitformat-pack(5), "Deltified representation".
 */

const BLOCK_BYTES = 16;
const MULTIPLIER = 0x01000193;
/** `MULTIPLIER` to the power of `BLOCK_BYTES - 1`: the weight of a block's first byte. */
const FIRST_WEIGHT = powerOf(MULTIPLIER, BLOCK_BYTES - 1);

const MAX_INSERT_BYTES = 127;
/** The format has room for more, but git never writes more, and not every reader has seen it. */
const MAX_COPY_BYTES = 0x10000;
/** What one instruction may take: a copy. */
const MAX_INSTRUCTION_BYTES = 8;
/** Two sizes of up to 8 bytes. */
const MAX_HEAD_BYTES = 16;
const EMPTY = -1;

/** Keeps its table and its output from one delta to the next. */
export class DeltaEncoder {
  #blocks = new Int32Array(1024);
  #output = new Uint8Array(4096);
  #outputBytes = 0;

  /**
   * @param maxDeltaBytes - Of use only if it is no longer than this.
   * @returns The delta, valid until the next call; `undefined` if it would be longer.
   */
  encode(base: Uint8Array, target: Uint8Array, maxDeltaBytes: number): Uint8Array | undefined {
    const roomBytes = maxDeltaBytes + MAX_HEAD_BYTES + MAX_INSTRUCTION_BYTES + MAX_INSERT_BYTES;
    if (this.#output.length < roomBytes) this.#output = new Uint8Array(roomBytes);
    this.#outputBytes = 0;
    this.#writeSize(base.length);
    this.#writeSize(target.length);
    const shift = this.#indexBlocks(base);
    return this.#encodeTarget(base, target, shift, maxDeltaBytes)
      ? this.#output.subarray(0, this.#outputBytes)
      : undefined;
  }

  /** @returns By how much to shift a hash to get its place in the table. */
  #indexBlocks(base: Uint8Array): number {
    const blockCount = Math.floor(base.length / BLOCK_BYTES);
    // At least twice as many places as blocks.
    const bits = Math.max(4, 33 - Math.clz32(blockCount));
    const size = 2 ** bits;
    if (this.#blocks.length < size) this.#blocks = new Int32Array(size);
    const blocks = this.#blocks;
    blocks.fill(EMPTY, 0, size);
    const shift = 32 - bits;
    // From the end, so that of equal blocks the first one stays.
    for (let block = blockCount - 1; block >= 0; block--) {
      blocks[hashAt(base, block * BLOCK_BYTES) >>> shift] = block * BLOCK_BYTES;
    }
    return shift;
  }

  /** @returns Whether the delta is short enough. */
  #encodeTarget(base: Uint8Array, target: Uint8Array, shift: number, maxDeltaBytes: number): boolean {
    const blocks = this.#blocks;
    const lastStart = target.length - BLOCK_BYTES;
    let doneBytes = 0;
    let position = 0;
    let hash = lastStart < 0 ? 0 : hashAt(target, 0);
    while (position <= lastStart) {
      const blockStart = blocks[hash >>> shift] as number;
      if (blockStart === EMPTY || !isSameBlock(base, blockStart, target, position)) {
        const leaving = target[position++] as number;
        if (position > lastStart) break;
        hash =
          (Math.imul(hash - Math.imul(leaving, FIRST_WEIGHT), MULTIPLIER) +
            (target[position + BLOCK_BYTES - 1] as number)) |
          0;
        continue;
      }
      let from = blockStart;
      let start = position;
      while (start > doneBytes && from > 0 && base[from - 1] === target[start - 1]) {
        start--;
        from--;
      }
      let end = position + BLOCK_BYTES;
      let fromEnd = blockStart + BLOCK_BYTES;
      while (end < target.length && fromEnd < base.length && base[fromEnd] === target[end]) {
        end++;
        fromEnd++;
      }
      if (!this.#insert(target, doneBytes, start, maxDeltaBytes)) return false;
      if (!this.#copy(from, end - start, maxDeltaBytes)) return false;
      doneBytes = end;
      position = end;
      if (position <= lastStart) hash = hashAt(target, position);
    }
    return this.#insert(target, doneBytes, target.length, maxDeltaBytes);
  }

  #insert(target: Uint8Array, start: number, end: number, maxDeltaBytes: number): boolean {
    for (let at = start; at < end; ) {
      const length = Math.min(MAX_INSERT_BYTES, end - at);
      if (this.#outputBytes + 1 + length > maxDeltaBytes) return false;
      this.#output[this.#outputBytes++] = length;
      this.#output.set(target.subarray(at, at + length), this.#outputBytes);
      this.#outputBytes += length;
      at += length;
    }
    return true;
  }

  #copy(baseStart: number, lengthBytes: number, maxDeltaBytes: number): boolean {
    for (let done = 0; done < lengthBytes; ) {
      const length = Math.min(MAX_COPY_BYTES, lengthBytes - done);
      this.#writeCopy(baseStart + done, length);
      if (this.#outputBytes > maxDeltaBytes) return false;
      done += length;
    }
    return true;
  }

  #writeCopy(offsetBytes: number, lengthBytes: number): void {
    const output = this.#output;
    const opAt = this.#outputBytes++;
    let op = 0x80;
    for (let byte = 0, rest = offsetBytes; byte < 4; byte++, rest >>>= 8) {
      if ((rest & 0xff) === 0) continue;
      output[this.#outputBytes++] = rest & 0xff;
      op |= 1 << byte;
    }
    // A length of 0 stands for 64 KiB.
    const encodedLength = lengthBytes === MAX_COPY_BYTES ? 0 : lengthBytes;
    for (let byte = 0, rest = encodedLength; byte < 2; byte++, rest >>>= 8) {
      if ((rest & 0xff) === 0) continue;
      output[this.#outputBytes++] = rest & 0xff;
      op |= 0x10 << byte;
    }
    output[opAt] = op;
  }

  #writeSize(sizeBytes: number): void {
    let rest = sizeBytes;
    for (; rest >= 0x80; rest = Math.floor(rest / 128))
      this.#output[this.#outputBytes++] = (rest % 128) | 0x80;
    this.#output[this.#outputBytes++] = rest;
  }
}

function powerOf(factor: number, exponent: number): number {
  let product = 1;
  for (let i = 0; i < exponent; i++) product = Math.imul(product, factor);
  return product;
}

function hashAt(bytes: Uint8Array, start: number): number {
  let hash = 0;
  for (let i = start; i < start + BLOCK_BYTES; i++)
    hash = (Math.imul(hash, MULTIPLIER) + (bytes[i] as number)) | 0;
  return hash;
}

function isSameBlock(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number): boolean {
  for (let i = 0; i < BLOCK_BYTES; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
