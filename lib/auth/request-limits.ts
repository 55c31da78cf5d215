/** Limits by source (an address block) over one-minute windows, in the memory of one process. */
import type { LRUCache } from "lru-cache";
import { boundedCache } from "./bounded-cache.ts";

const WINDOW_MS = 60_000;

/** About 100 bytes each. */
const MAX_SOURCES = 20_000;

/** One value for each source, from its first use until a minute later. */
function minuteWindows<Content extends object>(now: () => number): LRUCache<string, Content> {
  return boundedCache(MAX_SOURCES, { ttlMs: WINDOW_MS, now });
}

function secondsLeft(windows: { getRemainingTTL(source: string): number }, source: string): number {
  return Math.ceil(windows.getRemainingTTL(source) / 1000);
}

/** Allows so many requests a minute from each source. */
export class RequestRate {
  readonly #perMinute: number;
  readonly #windows: LRUCache<string, { count: number }>;

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#windows = minuteWindows(now);
  }

  /** Counts one request. @returns 0 if it is allowed, else after how many seconds to retry. */
  take(source: string): number {
    if (this.#perMinute === 0) return 0;
    const window = this.#windows.get(source) ?? { count: 0 };
    if (window.count >= this.#perMinute) return secondsLeft(this.#windows, source);
    if (window.count === 0) this.#windows.set(source, window);
    window.count += 1;
    return 0;
  }
}

/**
 * Counts the different credentials from each source that the primary has rejected within a minute. An expired one counts
 * once, however often it is sent: all jobs of a company may use it, behind one address.
 */
export class WrongCredentials {
  readonly #perMinute: number;
  readonly #windows: LRUCache<string, Set<string>>;

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#windows = minuteWindows(now);
  }

  /** @returns 0 if the source may try another credential, else after how many seconds. */
  waitSeconds(source: string): number {
    const callers = this.#windows.get(source);
    return callers === undefined || callers.size < this.#perMinute ? 0 : secondsLeft(this.#windows, source);
  }

  /** @param caller - Identifies the credential. */
  note(source: string, caller: string): void {
    if (this.#perMinute === 0) return;
    const callers = this.#windows.get(source) ?? new Set();
    if (callers.size === 0) this.#windows.set(source, callers);
    if (callers.size < this.#perMinute) callers.add(caller);
  }
}
