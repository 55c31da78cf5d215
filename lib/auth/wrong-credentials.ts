/**
 * Who tries credentials out: how many different ones from one source the primary has not taken within a minute. One that has
 * expired counts once, however often it is shown: all jobs of a company may have it, behind one address.
 */
import { RecentMap } from "./recent-map.ts";

const WINDOW_MS = 60_000;
/** Of some 100 bytes for each credential. */
const MAX_SOURCES = 5_000;

interface Window {
  readonly startMs: number;
  readonly callers: Set<string>;
}

export class WrongCredentials {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #windows = new RecentMap<Window>(MAX_SOURCES);

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @returns 0 if the source may try another one, else after how many seconds. */
  waitSeconds(source: string): number {
    const window = this.#window(source);
    if (window === undefined || window.callers.size < this.#perMinute) return 0;
    return Math.ceil((window.startMs + WINDOW_MS - this.#now()) / 1000);
  }

  /** @param caller - Names the credential. */
  note(source: string, caller: string): void {
    if (this.#perMinute === 0) return;
    const window = this.#window(source) ?? { startMs: this.#now(), callers: new Set() };
    if (window.callers.size < this.#perMinute) window.callers.add(caller);
    this.#windows.set(source, window);
  }

  #window(source: string): Window | undefined {
    const window = this.#windows.get(source);
    return window !== undefined && this.#now() < window.startMs + WINDOW_MS ? window : undefined;
  }
}
