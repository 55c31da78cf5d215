/** Streams that are read one after the other, a few of them begun ahead, so that not each is waited for. */

interface PrefetchedStream {
  readonly iterator: AsyncIterator<Uint8Array>;
  readonly first: Promise<IteratorResult<Uint8Array>>;
}

/**
 * Of all readers together. Each stream may hold a connection, and a store allows so many of them: with several for each
 * slow client, a few dozen of those would leave none for anybody else.
 */
const MAX_AHEAD_OF_ALL = 64;
let aheadOfAll = 0;

export class StreamPrefetch implements AsyncDisposable {
  readonly #opens: readonly (() => AsyncIterable<Uint8Array>)[];
  readonly #started: PrefetchedStream[] = [];
  readonly #maxAhead: number;
  #openedCount = 0;

  /**
   * Begins with the first of them, unless others have begun many.
   * @param maxAhead - How many are begun; each holds a chunk and a connection meanwhile, for a slow client, too.
   */
  constructor(opens: readonly (() => AsyncIterable<Uint8Array>)[], maxAhead: number) {
    this.#opens = opens;
    this.#maxAhead = maxAhead;
    this.#startAhead();
  }

  /** The next stream, to be read to its end before the one after it. @throws {RangeError} There are no more. */
  async *next(): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = this.#takeStarted() ?? this.#start();
    if (stream === undefined) throw new RangeError("there are no more streams");
    this.#startAhead();
    try {
      for (let step = await stream.first; !step.done; step = await stream.iterator.next()) yield step.value;
    } finally {
      await stream.iterator.return?.();
    }
  }

  /** Ends those that were begun and not read. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.#started.splice(0);
    aheadOfAll -= left.length;
    await Promise.allSettled(left.map(({ iterator }) => iterator.return?.()));
  }

  #takeStarted(): PrefetchedStream | undefined {
    const stream = this.#started.shift();
    if (stream !== undefined) aheadOfAll -= 1;
    return stream;
  }

  #startAhead(): void {
    while (this.#started.length < this.#maxAhead && aheadOfAll < MAX_AHEAD_OF_ALL) {
      const stream = this.#start();
      if (stream === undefined) return;
      aheadOfAll += 1;
      this.#started.push(stream);
    }
  }

  #start(): PrefetchedStream | undefined {
    const open = this.#opens[this.#openedCount++];
    if (open === undefined) return undefined;
    const iterator = open()[Symbol.asyncIterator]();
    const first = iterator.next();
    first.catch(() => undefined); // told when its turn comes, if it does
    return { iterator, first };
  }
}
