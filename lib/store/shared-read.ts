/** Reads that several readers wait for: one reader's abort ends only its own wait; the last one's ends the read. */

/**
 * Waits for `result` until `signal` aborts. Does not end what `result` waits for.
 * @throws The signal's reason, at once when it aborts.
 */
export function orAborted<Result>(
  result: Promise<Result>,
  signal: AbortSignal | undefined,
  onAbort: () => void = () => undefined,
): Promise<Result> {
  if (signal === undefined) return result;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason);
      onAbort();
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    const stop = (): void => signal.removeEventListener("abort", abort);
    result.then(resolve, reject).then(stop, stop);
  });
}

/** One read for several readers. */
export class SharedRead<Result> {
  readonly #controller = new AbortController();
  readonly #result: Promise<Result>;
  #readerCount = 0;
  #hasSettled = false;
  #hasFailed = false;

  /** @param read - Called at once; its signal aborts when every reader has left. */
  constructor(read: (signal: AbortSignal) => Promise<Result>) {
    this.#result = read(this.#controller.signal);
    this.#result.then(
      () => {
        this.#hasSettled = true;
      },
      () => {
        this.#hasSettled = true;
        this.#hasFailed = true;
      },
    );
  }

  /** Whether it has failed or was aborted: a new reader needs a new read. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /**
   * Adds a reader.
   * @param signal - Ends this reader's wait. A reader without a signal stays to the end.
   * @throws The signal's reason, or what the read throws.
   */
  join(signal?: AbortSignal): Promise<Result> {
    this.#readerCount += 1;
    return orAborted(this.#result, signal, () => this.#leave());
  }

  #leave(): void {
    this.#readerCount -= 1;
    if (this.#readerCount > 0 || this.#hasSettled) return;
    this.#hasFailed = true;
    this.#controller.abort();
  }
}

/** A value that is read when it is first needed, once for all readers, and kept. A failed read is not kept. */
export class SharedValue<Value> {
  readonly #read: (signal: AbortSignal) => Promise<Value>;
  #reading: SharedRead<Value> | undefined;

  /** @param read - As of {@link SharedRead}. */
  constructor(read: (signal: AbortSignal) => Promise<Value>) {
    this.#read = read;
  }

  /** Whether it is there, or being read. */
  get isRead(): boolean {
    return this.#reading !== undefined && !this.#reading.hasFailed;
  }

  /** Frees it: who asks again reads again. */
  forget(): void {
    this.#reading = undefined;
  }

  /** @throws The signal's reason, or what the read throws. */
  get(signal?: AbortSignal): Promise<Value> {
    if (this.#reading === undefined || this.#reading.hasFailed) this.#reading = new SharedRead(this.#read);
    return this.#reading.join(signal);
  }
}
