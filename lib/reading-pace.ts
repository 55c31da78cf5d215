/** How fast one reader takes what it is given: what others need is taken from those that take next to nothing. */

/** A slow mobile link takes twice as much. */
const MIN_BYTES_PER_SECOND = 16 * 1024;
const STARTING_AHEAD_MS = 30_000;
/**
 * The system's buffers may hold 4 MB of a connection, and take the next bytes once a part of that has drained: even a steady reader
 * takes some 1 MB at once, then nothing until it has read as much.
 */
const MAX_AHEAD_MS = 60_000;

export class ReadingPace {
  readonly #now: () => number;
  /** For how long it may take nothing. What it owes has a limit, too, so that one that becomes faster is not slow for long. */
  #aheadMs = STARTING_AHEAD_MS;
  /** When it was given what it has not taken yet. The giver's own work in between does not count. */
  #givenAtMs: number | undefined;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes less than the minimum rate: for a minute, or for 30 s at its beginning. */
  get isSlow(): boolean {
    return this.aheadMs < 0;
  }

  /** The lower, the slower. */
  get aheadMs(): number {
    return this.#aheadMs - (this.#givenAtMs === undefined ? 0 : this.#now() - this.#givenAtMs);
  }

  given(): void {
    this.#givenAtMs = this.#now();
  }

  taken(bytes: number): void {
    const earnedMs = (bytes * 1000) / MIN_BYTES_PER_SECOND;
    this.#aheadMs = Math.min(MAX_AHEAD_MS, Math.max(-MAX_AHEAD_MS, this.aheadMs) + earnedMs);
    this.#givenAtMs = undefined;
  }
}
