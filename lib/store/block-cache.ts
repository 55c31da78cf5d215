/**
 * Keeps recently read blocks of immutable blobs in memory: many small reads become few requests of a good size.
 * Never for blobs that are replaced: it does not look whether they were.
 */
import { LRUCache } from "lru-cache";
import { StreamBudget } from "../git/pack/stream-prefetch.ts";
import type { BlobStore, ReadOptions } from "./blob-store.ts";
import { assertRange, outOfRange } from "./byte-range.ts";
import { SharedRead } from "./shared-read.ts";

export interface BlobRange {
  readonly key: string;
  readonly offsetBytes: number;
  readonly endBytes: number;
}

export type BlockCacheLimits = Readonly<typeof DEFAULT_BLOCK_CACHE_LIMITS>;

export const DEFAULT_BLOCK_CACHE_LIMITS = {
  /** Every request starts at a multiple of this. What is read scattered is mostly shorter still. */
  blockBytes: 16 * 1024,
  /** Of cached blocks; those being read come on top. */
  maxCachedBytes: 128 * 1024 * 1024,
  /** Neighbouring blocks that are missing are read together, up to this many. */
  maxBlocksPerRequest: 512,
  /**
   * How many of one call of `readAhead` are read, and half of what all calls have on its way. Those of two calls, one being used
   * while the other comes, must leave room in the cache, or they push each other out.
   */
  maxBlocksAhead: 3072,
  /** More requests of one call are made fewer by reading over the blocks between them, the fewest first: each costs time and money. */
  maxRequestsAhead: 128,
  /** Blocks between two requests that are read over in any case: as long as what `entry-windows.ts` reads over. */
  minBlocksOver: 1,
  /** And at most. */
  maxBlocksOver: 16,
};

/** Neighbouring blocks of a blob. */
interface BlockRun {
  readonly key: string;
  readonly first: number;
  last: number;
}

/** Blocks that are being read with one request. */
interface PendingBlocks {
  /** The number of the first one. */
  readonly first: number;
  readonly request: SharedRead<readonly Uint8Array[]>;
}

export class BlockCache {
  /** For streams of the store's blobs that are opened ahead. */
  readonly streamBudget = new StreamBudget();
  readonly #store: BlobStore;
  readonly #limits: BlockCacheLimits;
  /** A block is shorter than `blockBytes` only at its blob's end. */
  readonly #blocks: LRUCache<string, Uint8Array>;
  readonly #pending = new Map<string, PendingBlocks>();

  constructor(store: BlobStore, limits: BlockCacheLimits = DEFAULT_BLOCK_CACHE_LIMITS) {
    this.#store = store;
    this.#limits = limits;
    this.#blocks = new LRUCache({
      maxSize: Math.max(1, limits.maxCachedBytes),
      sizeCalculation: (bytes) => Math.max(1, bytes.length),
    });
  }

  /**
   * Reads exactly `lengthBytes` bytes; for ranges that are small beside the cache. Within one block it is a view: don't write to it.
   * A request that several readers wait for ends when the signals of all of them have aborted.
   * @throws {NotFoundError} No such key.
   * @throws {RangeError} The range is not inside the blob.
   */
  async read(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    { signal }: ReadOptions = {},
  ): Promise<Uint8Array> {
    assertRange(key, offsetBytes, lengthBytes);
    signal?.throwIfAborted();
    if (lengthBytes === 0) return new Uint8Array();
    const { blockBytes } = this.#limits;
    const firstBlock = Math.floor(offsetBytes / blockBytes);
    const lastBlock = Math.floor((offsetBytes + lengthBytes - 1) / blockBytes);
    const blocks = await Promise.all(this.#findBlocks(key, firstBlock, lastBlock, signal));
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

  /** Starts to read the blocks of these ranges, or as many as the limits allow. Errors are thrown to those who read them. */
  readAhead(ranges: Iterable<BlobRange>, { signal }: ReadOptions = {}): void {
    const { blockBytes } = this.#limits;
    const maxBlocksAhead = Math.min(this.#limits.maxBlocksAhead, this.#roomAhead());
    if (maxBlocksAhead <= 0 || signal?.aborted) return;
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
    const runs: BlockRun[] = [];
    for (const [key, blocks] of blocksByKey) {
      for (const block of [...blocks].toSorted((a, b) => a - b)) {
        const name = blockName(key, block);
        // `get` also marks a cached block as used, so that it stays until it is read.
        if (this.#blocks.get(name) !== undefined || this.#pendingOf(name) !== undefined) continue;
        runs.push({ key, first: block, last: block });
      }
    }
    for (const { key, first, last } of this.#joined(runs)) {
      for (let block = first; block <= last; block++) {
        const name = blockName(key, block);
        if (this.#blocks.has(name) || this.#pendingOf(name) !== undefined) continue;
        this.#startRequest(key, block, last)
          .request.join(signal)
          .catch(() => undefined);
      }
    }
  }

  /** @param runs - By key and block. @returns Fewer, with what is between them. */
  #joined(runs: readonly BlockRun[]): BlockRun[] {
    const { maxRequestsAhead, minBlocksOver, maxBlocksOver } = this.#limits;
    const gapBefore = (i: number): number => {
      const [run, previous] = [runs[i], runs[i - 1]];
      const isAfter = run !== undefined && previous?.key === run.key;
      return isAfter ? run.first - previous.last - 1 : Number.POSITIVE_INFINITY;
    };
    const gaps = runs.map((_, i) => gapBefore(i)).toSorted((a, b) => a - b);
    const neededGap = gaps[runs.length - maxRequestsAhead - 1] ?? 0;
    const maxGap = Math.max(minBlocksOver, Math.min(neededGap, maxBlocksOver));
    const joined: BlockRun[] = [];
    for (const [i, run] of runs.entries()) {
      const previous = joined.at(-1);
      if (previous !== undefined && gapBefore(i) <= maxGap) previous.last = run.last;
      else joined.push({ ...run });
    }
    return joined;
  }

  /** For what will hardly be asked for again: nothing is kept, so nothing is pushed out. */
  stream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncIterable<Uint8Array> {
    return this.#store.readStream(key, offsetBytes, lengthBytes, options);
  }

  #findBlocks(
    key: string,
    firstBlock: number,
    lastBlock: number,
    signal: AbortSignal | undefined,
  ): (Uint8Array | Promise<Uint8Array>)[] {
    const found: (Uint8Array | Promise<Uint8Array>)[] = [];
    for (let block = firstBlock; block <= lastBlock; block += 1) {
      const name = blockName(key, block);
      const cached = this.#blocks.get(name);
      if (cached !== undefined) {
        found.push(cached);
        continue;
      }
      const { first, request } = this.#pendingOf(name) ?? this.#startRequest(key, block, lastBlock);
      found.push(request.join(signal).then((blocks) => blocks[block - first] as Uint8Array));
    }
    return found;
  }

  /** How many blocks may still be read ahead: many clients at once would fill the memory. */
  #roomAhead(): number {
    return 2 * this.#limits.maxBlocksAhead - this.#pending.size;
  }

  /** Requests `firstBlock` and those of its missing neighbours that are wanted too, and makes them pending. */
  #startRequest(key: string, firstBlock: number, lastWantedBlock: number): PendingBlocks {
    const { blockBytes, maxBlocksPerRequest } = this.#limits;
    const names = [blockName(key, firstBlock)];
    while (names.length < maxBlocksPerRequest && firstBlock + names.length <= lastWantedBlock) {
      const name = blockName(key, firstBlock + names.length);
      if (this.#blocks.has(name) || this.#pendingOf(name) !== undefined) break;
      names.push(name);
    }
    let pending: PendingBlocks | undefined;
    const request = new SharedRead(async (signal) => {
      try {
        const lengthBytes = names.length * blockBytes;
        return this.#keep(
          names,
          await this.#store.readUpTo(key, firstBlock * blockBytes, lengthBytes, { signal }),
        );
      } finally {
        for (const name of names) if (this.#pending.get(name) === pending) this.#pending.delete(name);
      }
    });
    pending = { first: firstBlock, request };
    for (const name of names) this.#pending.set(name, pending);
    return pending;
  }

  /** @returns The blocks of an answer. */
  #keep(names: readonly string[], answer: Uint8Array): Uint8Array[] {
    const { blockBytes } = this.#limits;
    return names.map((name, index) => {
      const start = index * blockBytes;
      // A copy, or one cached block would keep the whole answer in memory.
      const block = names.length === 1 ? answer : new Uint8Array(answer.subarray(start, start + blockBytes));
      this.#blocks.set(name, block);
      return block;
    });
  }

  #pendingOf(name: string): PendingBlocks | undefined {
    const pending = this.#pending.get(name);
    return pending?.request.hasFailed ? undefined : pending;
  }
}

/** Keys hold no control characters, so names never meet. */
function blockName(key: string, block: number): string {
  return `${key}\n${block}`;
}
