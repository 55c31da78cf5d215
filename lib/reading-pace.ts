/** How fast one reader takes what it is given: what others need is taken from those that take next to nothing. */

/** A reader that has taken less in this time is idle. A slow mobile link takes as much in 2 s. */
const IDLE_BYTES = 64 * 1024;
const IDLE_MS = 30_000;

export class ReadingPace {
  readonly #now: () => number;
  /** For how long it may take nothing: each byte adds some time, up to `IDLE_MS`. */
  #leftMs = IDLE_MS;
  /** When it was given what it has not taken yet. The giver's own work in between does not count. */
  #givenAtMs: number | undefined;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isIdle(): boolean {
    return this.#givenAtMs !== undefined && this.#now() - this.#givenAtMs > this.#leftMs;
  }

  given(): void {
    this.#givenAtMs = this.#now();
  }

  taken(bytes: number): void {
    const tookMs = this.#now() - (this.#givenAtMs ?? this.#now());
    this.#givenAtMs = undefined;
    this.#leftMs = Math.min(IDLE_MS, this.#leftMs - tookMs + (bytes * IDLE_MS) / IDLE_BYTES);
  }
}
