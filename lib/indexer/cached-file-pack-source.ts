/** A pack in a complete local file, read here and there: resolving deltas jumps between a base and its deltas. */
import { readSync } from "node:fs";
import { PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import type { PackSource } from "../git/pack/pack-source.ts";

const BLOCK_BYTES = 2 ** 16;
/** 8 MiB: delta families are close to each other. */
const MAX_BLOCK_COUNT = 128;

export class CachedFilePackSource implements PackSource {
  readonly #fileDescriptor: number;
  readonly #packBytes: number;
  readonly #slots: Uint8Array;
  /** Which block of the file a slot holds. */
  readonly #slotBlocks: Float64Array;
  readonly #slotUsed: Uint8Array;
  readonly #slotOfBlock = new Map<number, number>();
  #clockHand = 0;

  constructor(fileDescriptor: number, packBytes: number) {
    this.#fileDescriptor = fileDescriptor;
    this.#packBytes = packBytes;
    const blockCount = Math.min(MAX_BLOCK_COUNT, Math.ceil(packBytes / BLOCK_BYTES));
    this.#slots = new Uint8Array(BLOCK_BYTES * blockCount);
    this.#slotBlocks = new Float64Array(blockCount).fill(-1);
    this.#slotUsed = new Uint8Array(blockCount);
  }

  hasEntryAt(offsetBytes: number): boolean {
    return offsetBytes + PACK_TRAILER_BYTES < this.#packBytes;
  }

  window(offsetBytes: number, atLeastBytes = 1): Uint8Array {
    const block = Math.floor(offsetBytes / BLOCK_BYTES);
    const start = offsetBytes - block * BLOCK_BYTES;
    const end = Math.min(BLOCK_BYTES, this.#packBytes - block * BLOCK_BYTES);
    const isWholeOrLast = end - start >= atLeastBytes || end < BLOCK_BYTES;
    if (isWholeOrLast) {
      const slotStart = this.#slot(block) * BLOCK_BYTES;
      return this.#slots.subarray(slotStart + Math.min(start, end), slotStart + Math.max(0, end));
    }
    // Two blocks, not necessarily adjacent.
    const joined = new Uint8Array(end - start + BLOCK_BYTES);
    joined.set(this.window(offsetBytes));
    const rest = this.window(offsetBytes + end - start);
    joined.set(rest, end - start);
    return joined.subarray(0, end - start + rest.length);
  }

  #slot(block: number): number {
    const known = this.#slotOfBlock.get(block);
    if (known !== undefined) {
      this.#slotUsed[known] = 1;
      return known;
    }
    while (this.#slotUsed[this.#clockHand] === 1) {
      this.#slotUsed[this.#clockHand] = 0;
      this.#clockHand = (this.#clockHand + 1) % this.#slotUsed.length;
    }
    const slot = this.#clockHand;
    this.#clockHand = (slot + 1) % this.#slotUsed.length;
    this.#slotOfBlock.delete(this.#slotBlocks[slot] as number);
    this.#slotBlocks[slot] = block;
    this.#slotOfBlock.set(block, slot);
    for (let filled = 0; filled < BLOCK_BYTES; ) {
      const readBytes = readSync(
        this.#fileDescriptor,
        this.#slots,
        slot * BLOCK_BYTES + filled,
        BLOCK_BYTES - filled,
        block * BLOCK_BYTES + filled,
      );
      if (readBytes === 0) break;
      filled += readBytes;
    }
    return slot;
  }
}
