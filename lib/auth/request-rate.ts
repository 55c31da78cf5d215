/** How many requests a minute are let through for each source. */
import { MinuteWindows } from "./minute-windows.ts";

/** Of some 100 bytes each. */
const MAX_SOURCES = 20_000;

export class RequestRate {
  readonly #perMinute: number;
  readonly #windows: MinuteWindows<{ count: number }>;

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#windows = new MinuteWindows(MAX_SOURCES, () => ({ count: 0 }), now);
  }

  /** Counts one request. @returns 0 if it may pass, else after how many seconds to try again. */
  take(source: string): number {
    if (this.#perMinute === 0) return 0;
    const window = this.#windows.open(source);
    if (window.count >= this.#perMinute) return this.#windows.leftSeconds(source);
    window.count += 1;
    return 0;
  }
}
