/** How many requests a minute are let through for each source. */
import { RecentMap } from "./recent-map.ts";

const WINDOW_MS = 60_000;
/** Of some 100 bytes each. */
const MAX_SOURCES = 20_000;

interface Window {
  readonly startMs: number;
  count: number;
}

export class RequestRate {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #windows = new RecentMap<Window>(MAX_SOURCES);

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Counts one request. @returns 0 if it may pass, else after how many seconds to try again. */
  take(source: string): number {
    if (this.#perMinute === 0) return 0;
    const nowMs = this.#now();
    const known = this.#windows.get(source);
    const window =
      known !== undefined && nowMs < known.startMs + WINDOW_MS ? known : { startMs: nowMs, count: 0 };
    if (window !== known) this.#windows.set(source, window);
    if (window.count >= this.#perMinute) return Math.ceil((window.startMs + WINDOW_MS - nowMs) / 1000);
    window.count += 1;
    return 0;
  }
}
