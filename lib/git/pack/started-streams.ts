/** Streams that are read one after the other, a few of them begun ahead, so that not each is waited for. */

interface StartedStream {
  readonly iterator: AsyncIterator<Uint8Array>;
  readonly first: Promise<IteratorResult<Uint8Array>>;
}

export class StartedStreams implements AsyncDisposable {
  readonly #opens: readonly (() => AsyncIterable<Uint8Array>)[];
  readonly #started: StartedStream[] = [];
  readonly #maxAhead: number;
  #openedCount = 0;

  /**
   * Begins with the first of them.
   * @param maxAhead - How many are begun; each holds a chunk and a connection meanwhile, for a slow client, too.
   */
  constructor(opens: readonly (() => AsyncIterable<Uint8Array>)[], maxAhead: number) {
    this.#opens = opens;
    this.#maxAhead = maxAhead;
    this.#startAhead();
  }

  /** The next stream, to be read to its end before the one after it. @throws {RangeError} There are no more. */
  async *next(): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = this.#started.shift();
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
    await Promise.allSettled(this.#started.splice(0).map(({ iterator }) => iterator.return?.()));
  }

  #startAhead(): void {
    while (this.#started.length < this.#maxAhead) {
      const open = this.#opens[this.#openedCount++];
      if (open === undefined) return;
      const iterator = open()[Symbol.asyncIterator]();
      const first = iterator.next();
      first.catch(() => undefined); // told when its turn comes, if it does
      this.#started.push({ iterator, first });
    }
  }
}
