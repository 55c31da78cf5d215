/** Whether one transfer keeps the minimum rate: what others need is taken from those that do not. */

/** A slow mobile link has twice as much. */
const MIN_BYTES_PER_SECOND = 16 * 1024;

export interface TransferSlack {
  /** For how long it may bring nothing at its beginning. */
  readonly startMs: number;
  /** Later, however much it has brought. */
  readonly maxMs: number;
}

export class TransferPace {
  readonly #slack: TransferSlack;
  readonly #now: () => number;
  /** For how long it may bring nothing. What it owes has a limit, too, so that one that becomes faster is not slow for long. */
  #aheadMs: number;
  /** Since when the other side is waited for. This side's own work in between does not count. */
  #waitingSinceMs: number | undefined;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(slack: TransferSlack, now: () => number = () => performance.now()) {
    this.#slack = slack;
    this.#now = now;
    this.#aheadMs = slack.startMs;
  }

  /** Whether it has been below the minimum rate for as long as its slack lasts. */
  get isSlow(): boolean {
    return this.aheadMs < 0;
  }

  /** The lower, the slower. */
  get aheadMs(): number {
    return this.#aheadMs - (this.#waitingSinceMs === undefined ? 0 : this.#now() - this.#waitingSinceMs);
  }

  /** From now on the other side has to send, or to take. */
  waits(): void {
    this.#waitingSinceMs = this.#now();
  }

  /** It has done so. */
  moved(bytes: number): void {
    const { maxMs } = this.#slack;
    const earnedMs = (bytes * 1000) / MIN_BYTES_PER_SECOND;
    this.#aheadMs = Math.min(maxMs, Math.max(-maxMs, this.aheadMs) + earnedMs);
    this.#waitingSinceMs = undefined;
  }
}

/**
 * Of answers. The system's buffers may hold 4 MB of a connection, and take the next bytes once a part of that has drained: even a steady
 * reader takes some 1 MB at once, then nothing until it has read as much.
 */
export const READING_SLACK: TransferSlack = { startMs: 30_000, maxMs: 60_000 };
