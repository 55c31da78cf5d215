/** Streams that are read one after the other; the next few are opened ahead, so that their first bytes need no wait. */

interface PrefetchedStream {
  readonly iterator: AsyncIterator<Uint8Array>;
  readonly first: Promise<IteratorResult<Uint8Array>>;
}

/**
 * How many streams the readers of one store may open ahead, together. Each may hold a connection, and a store allows a few
 * hundred: with several for each slow client, some dozens of clients would leave none for the others.
 */
export class StreamBudget {
  readonly #maxStreams: number;
  #openCount = 0;

  constructor(maxStreams = 64) {
    this.#maxStreams = maxStreams;
  }

  /** @returns Whether one more stream may be opened ahead. */
  take(): boolean {
    if (this.#openCount >= this.#maxStreams) return false;
    this.#openCount += 1;
    return true;
  }

  give(count: number): void {
    this.#openCount -= count;
  }
}

export interface StreamPrefetchOptions {
  /** How many streams are opened ahead; each holds a chunk and a connection until it is read. */
  readonly maxAhead: number;
  /** Shared with other readers. The stream that is being read needs none of it. */
  readonly budget: StreamBudget;
}

export class StreamPrefetch implements AsyncDisposable {
  readonly #opens: readonly (() => AsyncIterable<Uint8Array>)[];
  readonly #started: PrefetchedStream[] = [];
  readonly #options: StreamPrefetchOptions;
  #openedCount = 0;

  /** Opens the first streams, as far as the budget allows. */
  constructor(opens: readonly (() => AsyncIterable<Uint8Array>)[], options: StreamPrefetchOptions) {
    this.#opens = opens;
    this.#options = options;
    this.#startAhead();
  }

  /** The next stream, to be read to its end before the one after it. @throws {RangeError} There are no more. */
  async *next(): AsyncGenerator<Uint8Array, void> {
    const stream = this.#takeStarted() ?? this.#start();
    if (stream === undefined) throw new RangeError("there are no more streams");
    this.#startAhead();
    try {
      for (let step = await stream.first; !step.done; step = await stream.iterator.next()) yield step.value;
    } finally {
      await stream.iterator.return?.();
    }
  }

  /** Ends the streams that were opened and not read. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.#started.splice(0);
    this.#options.budget.give(left.length);
    await Promise.allSettled(left.map(({ iterator }) => iterator.return?.()));
  }

  #takeStarted(): PrefetchedStream | undefined {
    const stream = this.#started.shift();
    if (stream !== undefined) this.#options.budget.give(1);
    return stream;
  }

  #startAhead(): void {
    const { maxAhead, budget } = this.#options;
    while (this.#started.length < maxAhead && this.#openedCount < this.#opens.length && budget.take()) {
      const stream = this.#start();
      if (stream !== undefined) this.#started.push(stream);
    }
  }

  #start(): PrefetchedStream | undefined {
    const open = this.#opens[this.#openedCount++];
    if (open === undefined) return undefined;
    const iterator = open()[Symbol.asyncIterator]();
    const first = iterator.next();
    first.catch(() => undefined); // thrown when it is read
    return { iterator, first };
  }
}
