/** How fast one reader takes what it is given: what others need is taken from those that take next to nothing. */

/** A reader that has taken less in this time is idle. A slow mobile link takes as much in 2 s. */
const IDLE_BYTES = 64 * 1024;
const IDLE_MS = 30_000;
/** What a reader has taken before counts half after so long. */
const HALVED_MS = 3_000;
/** More does not show how fast it reads: the buffers of a socket may take some MB at once. */
const MAX_COUNTED_BYTES = 512 * 1024;
/** Nothing is known of a reader that has been waited for less. */
const MIN_KNOWN_MS = 3_000;

export class ReadingPace {
  readonly #now: () => number;
  /** For how long it may take nothing: each byte adds some time, up to `IDLE_MS`. */
  #leftMs = IDLE_MS;
  /** When it was given what it has not taken yet. The giver's own work in between does not count. */
  #givenAtMs: number | undefined;
  /** Lately, and for how long it has been waited for meanwhile. */
  #takenBytes = 0;
  #waitedMs = 0;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isIdle(): boolean {
    return this.#waitingMs > this.#leftMs;
  }

  /** Lately, without the giver's own time; infinite where not enough is known. */
  get bytesPerSecond(): number {
    const { bytes, waitedMs } = this.#lately();
    return waitedMs < MIN_KNOWN_MS ? Number.POSITIVE_INFINITY : (bytes * 1000) / waitedMs;
  }

  given(): void {
    this.#givenAtMs = this.#now();
  }

  taken(bytes: number): void {
    const tookMs = this.#waitingMs;
    const lately = this.#lately();
    this.#givenAtMs = undefined;
    this.#leftMs = Math.min(IDLE_MS, this.#leftMs - tookMs + (bytes * IDLE_MS) / IDLE_BYTES);
    this.#takenBytes = Math.min(MAX_COUNTED_BYTES, lately.bytes + bytes);
    this.#waitedMs = lately.waitedMs;
  }

  #lately(): { readonly bytes: number; readonly waitedMs: number } {
    const left = 0.5 ** (this.#waitingMs / HALVED_MS);
    return { bytes: this.#takenBytes * left, waitedMs: this.#waitedMs * left + this.#waitingMs };
  }

  get #waitingMs(): number {
    return this.#givenAtMs === undefined ? 0 : this.#now() - this.#givenAtMs;
  }
}
