/**
 * Keeps recently read blocks of immutable blobs in memory: many small reads become few requests of a good size.
 * Never for blobs that are replaced: it does not look whether they were.
 */
import type { BlobStore } from "./blob-store.ts";
import { assertRange, outOfRange } from "./byte-range.ts";

export interface BlockCacheLimits {
  /** Every request starts at a multiple of this. What is read scattered is mostly much shorter, and is paid for in time. */
  readonly blockBytes: number;
  /** Of cached blocks; those being read come on top. */
  readonly maxCachedBytes: number;
  /** Neighbouring blocks that are missing are read together, up to this many. */
  readonly maxBlocksPerRequest: number;
  /**
   * How many of one call of `readAhead` are read, and half of what all calls have on its way. Those of two calls, one being used
   * while the other comes, must leave room in the cache, or they push each other out.
   */
  readonly maxBlocksAhead: number;
}

export interface BlobRange {
  readonly key: string;
  readonly offsetBytes: number;
  readonly endBytes: number;
}

const DEFAULT_BLOCK_CACHE_LIMITS: BlockCacheLimits = {
  blockBytes: 256 * 1024,
  maxCachedBytes: 128 * 1024 * 1024,
  maxBlocksPerRequest: 32,
  maxBlocksAhead: 192,
};

export class BlockCache {
  readonly #store: BlobStore;
  readonly #limits: BlockCacheLimits;
  /** In the order of their last use. A block is shorter than `blockBytes` only at its blob's end. */
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #pending = new Map<string, Promise<Uint8Array>>();
  #cachedBytes = 0;

  constructor(store: BlobStore, limits: BlockCacheLimits = DEFAULT_BLOCK_CACHE_LIMITS) {
    this.#store = store;
    this.#limits = limits;
  }

  /**
   * Reads exactly `lengthBytes` bytes; for ranges that are small beside the cache. Within one block it is a view: don't write to it.
   * @throws {NotFoundError} No such key.
   * @throws {RangeError} The range is not inside the blob.
   */
  async read(key: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    assertRange(key, offsetBytes, lengthBytes);
    if (lengthBytes === 0) return new Uint8Array();
    const { blockBytes } = this.#limits;
    const firstBlock = Math.floor(offsetBytes / blockBytes);
    const lastBlock = Math.floor((offsetBytes + lengthBytes - 1) / blockBytes);
    const blocks = await Promise.all(this.#findBlocks(key, firstBlock, lastBlock));
    const startBytes = offsetBytes - firstBlock * blockBytes;
    const foundBytes = blocks.reduce((sum, block) => sum + block.length, 0);
    if (startBytes + lengthBytes > foundBytes) throw outOfRange(key, offsetBytes, lengthBytes);
    const [only] = blocks;
    if (blocks.length === 1 && only !== undefined) return only.subarray(startBytes, startBytes + lengthBytes);
    // No more than was asked for: a slow client holds on to it.
    const bytes = new Uint8Array(lengthBytes);
    let blockStart = -startBytes;
    for (const block of blocks) {
      const part = block.subarray(Math.max(0, -blockStart), lengthBytes - blockStart);
      bytes.set(part, Math.max(0, blockStart));
      blockStart += block.length;
    }
    return bytes;
  }

  /** Begins to read the blocks of these ranges, the first ones at least. What fails is told where it is read. */
  readAhead(ranges: Iterable<BlobRange>): void {
    const { blockBytes } = this.#limits;
    const maxBlocksAhead = Math.min(this.#limits.maxBlocksAhead, this.#roomAhead());
    if (maxBlocksAhead <= 0) return;
    const blocksByKey = new Map<string, Set<number>>();
    let count = 0;
    for (const { key, offsetBytes, endBytes } of ranges) {
      const blocks = blocksByKey.get(key) ?? new Set();
      blocksByKey.set(key, blocks);
      for (let block = Math.floor(offsetBytes / blockBytes); block * blockBytes < endBytes; block++) {
        if (count < maxBlocksAhead && !blocks.has(block)) {
          blocks.add(block);
          count += 1;
        }
      }
      if (count === maxBlocksAhead) break;
    }
    for (const [key, blocks] of blocksByKey) {
      for (const block of [...blocks].toSorted((a, b) => a - b)) {
        let last = block;
        while (blocks.has(last + 1)) last += 1;
        // What is there is to stay until it is read.
        const isThere = this.#touch(blockName(key, block)) !== undefined;
        if (!isThere && this.#isMissing(blockName(key, block))) this.#startRequest(key, block, last);
      }
    }
  }

  /** For what will hardly be asked for again: nothing is kept, so nothing is pushed out. */
  stream(key: string, offsetBytes: number, lengthBytes: number): AsyncIterable<Uint8Array> {
    return this.#store.readStream(key, offsetBytes, lengthBytes);
  }

  #findBlocks(key: string, firstBlock: number, lastBlock: number): (Uint8Array | Promise<Uint8Array>)[] {
    const found: (Uint8Array | Promise<Uint8Array>)[] = [];
    for (let block = firstBlock; block <= lastBlock; block += 1) {
      const cached = this.#touch(blockName(key, block)) ?? this.#pending.get(blockName(key, block));
      if (cached === undefined) this.#startRequest(key, block, lastBlock);
      const now = cached ?? this.#pending.get(blockName(key, block));
      if (now !== undefined) found.push(now);
    }
    return found;
  }

  /** How many blocks may still be begun ahead of anybody's reading them: many clients at once would fill the memory. */
  #roomAhead(): number {
    return 2 * this.#limits.maxBlocksAhead - this.#pending.size;
  }

  #touch(name: string): Uint8Array | undefined {
    const bytes = this.#blocks.get(name);
    if (bytes === undefined) return undefined;
    this.#blocks.delete(name);
    this.#blocks.set(name, bytes);
    return bytes;
  }

  /** Requests `firstBlock` and those of its missing neighbours that are wanted too, and makes them pending. */
  #startRequest(key: string, firstBlock: number, lastWantedBlock: number): void {
    const { blockBytes, maxBlocksPerRequest } = this.#limits;
    let blockCount = 1;
    while (
      blockCount < maxBlocksPerRequest &&
      firstBlock + blockCount <= lastWantedBlock &&
      this.#isMissing(blockName(key, firstBlock + blockCount))
    ) {
      blockCount += 1;
    }
    const request = this.#store.readUpTo(key, firstBlock * blockBytes, blockCount * blockBytes);
    for (let index = 0; index < blockCount; index += 1) {
      const name = blockName(key, firstBlock + index);
      const block = this.#cutBlock(request, index, blockCount, name);
      block.catch(() => undefined); // a neighbour's failure may be reported first, and end the read
      this.#pending.set(name, block);
    }
  }

  async #cutBlock(
    request: Promise<Uint8Array>,
    index: number,
    blockCount: number,
    name: string,
  ): Promise<Uint8Array> {
    try {
      const { blockBytes } = this.#limits;
      const all = await request;
      // A copy, or one cached block would keep the whole answer in memory.
      const bytes =
        blockCount === 1 ? all : new Uint8Array(all.subarray(index * blockBytes, (index + 1) * blockBytes));
      this.#keep(name, bytes);
      return bytes;
    } finally {
      this.#pending.delete(name);
    }
  }

  #isMissing(name: string): boolean {
    return !this.#blocks.has(name) && !this.#pending.has(name);
  }

  #keep(name: string, bytes: Uint8Array): void {
    this.#blocks.set(name, bytes);
    this.#cachedBytes += bytes.length;
    for (const [oldestName, oldest] of this.#blocks) {
      if (this.#cachedBytes <= this.#limits.maxCachedBytes) return;
      this.#blocks.delete(oldestName);
      this.#cachedBytes -= oldest.length;
    }
  }
}

/** Keys hold no control characters, so names never meet. */
function blockName(key: string, block: number): string {
  return `${key}\n${block}`;
}
