/** Limits by source (an address block) over one-minute windows, in the memory of one process. */
import { createHash } from "node:crypto";
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

interface Guesses {
  /** How many count at `atMs`; it falls by the limit each minute. */
  level: number;
  atMs: number;
  /** Questions that wait for their turn. */
  waiting: number;
  /** Credentials that were counted since `sinceMs`. */
  callers: Set<string>;
  sinceMs: number;
}

/**
 * Limits how many different wrong credentials from one source are tried in a minute. An expired one counts once a minute,
 * however often it is sent: all jobs of a company may use it, behind one address. Over the limit, a credential that is not
 * known waits for its turn, so that a guesser delays others behind the same address, but does not lock them out.
 */
export class WrongCredentials {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #guesses: LRUCache<string, Guesses> = boundedCache(MAX_SOURCES);

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @returns 0 if the source may try another credential, else after how many milliseconds. */
  waitMs(source: string): number {
    const guesses = this.#current(source);
    if (guesses === undefined || this.#perMinute === 0) return 0;
    const excess = guesses.level + guesses.waiting + 1 - this.#perMinute;
    return excess <= 0 ? 0 : Math.round((excess * WINDOW_MS) / this.#perMinute);
  }

  /** Keeps a place in the queue of the source for as long as `work` takes. */
  async inQueue(source: string, work: () => Promise<void>): Promise<void> {
    const guesses = this.#current(source);
    if (guesses === undefined) return work();
    guesses.waiting += 1;
    try {
      await work();
    } finally {
      guesses.waiting -= 1;
    }
  }

  /** @param caller - Identifies the credential. */
  note(source: string, caller: string): void {
    const nowMs = this.#now();
    if (this.#perMinute === 0) return;
    const guesses = this.#current(source) ?? {
      level: 0,
      atMs: nowMs,
      waiting: 0,
      callers: new Set<string>(),
      sinceMs: nowMs,
    };
    this.#guesses.set(source, guesses);
    if (guesses.callers.has(caller)) return;
    // More are not remembered: each further one counts every time.
    if (guesses.callers.size < 2 * this.#perMinute) guesses.callers.add(caller);
    guesses.level = Math.min(guesses.level + 1, this.#perMinute);
  }

  #current(source: string): Guesses | undefined {
    const guesses = this.#guesses.get(source);
    if (guesses === undefined) return undefined;
    const nowMs = this.#now();
    guesses.level = Math.max(0, guesses.level - ((nowMs - guesses.atMs) * this.#perMinute) / WINDOW_MS);
    guesses.atMs = nowMs;
    if (nowMs >= guesses.sinceMs + WINDOW_MS) {
      guesses.callers.clear();
      guesses.sinceMs = nowMs;
    }
    return guesses;
  }
}

/**
 * Counts how often a source was refused with the same credential for the same repository within a minute. By all three: a source may
 * have many callers, a credential may be good for one repository, and other callers with the same credential must not suffer.
 */
export class RepeatedRefusals {
  readonly #windows: LRUCache<string, { count: number }>;

  constructor(now: () => number = Date.now) {
    this.#windows = minuteWindows(now);
  }

  /** Counts one. @returns How often before. */
  note(source: string, authorization: string, repository: string): number {
    const refused = createHash("sha256")
      .update(JSON.stringify([source, authorization, repository]))
      .digest("base64");
    const window = this.#windows.get(refused) ?? { count: 0 };
    if (window.count === 0) this.#windows.set(refused, window);
    window.count += 1;
    return window.count - 1;
  }
}
