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

  constructor(maxStreams = 96) {
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

export class StreamPrefetch implements AsyncDisposable {
  readonly #opens: readonly (() => AsyncIterable<Uint8Array>)[];
  readonly #started: PrefetchedStream[] = [];
  readonly #maxAhead: number;
  readonly #budget: StreamBudget;
  #openedCount = 0;

  /**
   * Opens the first streams, as far as the budget allows.
   * @param maxAhead - How many streams are opened ahead; each holds a chunk and a connection until it is read.
   * @param budget - Shared with other readers. The stream that is being read needs none of it.
   */
  constructor(opens: readonly (() => AsyncIterable<Uint8Array>)[], maxAhead: number, budget: StreamBudget) {
    this.#opens = opens;
    this.#maxAhead = maxAhead;
    this.#budget = budget;
    this.#startAhead();
  }

  /** The next stream, to be read to its end before the one after it. @throws {RangeError} There are no more. */
  async *next(): AsyncGenerator<Uint8Array, void> {
    const started = this.#started.shift();
    if (started !== undefined) this.#budget.give(1);
    const stream = started ?? this.#start();
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
    this.#budget.give(left.length);
    await Promise.allSettled(left.map(({ iterator }) => iterator.return?.()));
  }

  #startAhead(): void {
    while (
      this.#started.length < this.#maxAhead &&
      this.#openedCount < this.#opens.length &&
      this.#budget.take()
    )
      this.#started.push(this.#start());
  }

  #start(): PrefetchedStream {
    const open = this.#opens[this.#openedCount++];
    if (open === undefined) throw new RangeError("there are no more streams");
    const iterator = open()[Symbol.asyncIterator]();
    const first = iterator.next();
    first.catch(() => undefined); // thrown when it is read
    return { iterator, first };
  }
}
