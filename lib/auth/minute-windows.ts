/** What came from each source within a minute, from the first on. The sources seen longest ago are forgotten. */
import { RecentMap } from "./recent-map.ts";

const WINDOW_MS = 60_000;

interface Window<Content> {
  readonly startMs: number;
  readonly content: Content;
}

export class MinuteWindows<Content> {
  readonly #windows: RecentMap<Window<Content>>;
  readonly #begin: () => Content;
  readonly #now: () => number;

  /** @param begin - Makes what a new minute holds. */
  constructor(maxSources: number, begin: () => Content, now: () => number) {
    this.#windows = new RecentMap(maxSources);
    this.#begin = begin;
    this.#now = now;
  }

  /** What the source's minute holds; `undefined` if none has begun, or it is over. */
  current(source: string): Content | undefined {
    return this.#window(source)?.content;
  }

  /** The same; if there is none, one begins. */
  open(source: string): Content {
    const window = this.#window(source) ?? { startMs: this.#now(), content: this.#begin() };
    this.#windows.set(source, window);
    return window.content;
  }

  /** @returns Until the source's minute is over; 0 if there is none. */
  leftSeconds(source: string): number {
    const window = this.#window(source);
    return window === undefined ? 0 : Math.ceil((window.startMs + WINDOW_MS - this.#now()) / 1000);
  }

  #window(source: string): Window<Content> | undefined {
    const window = this.#windows.get(source);
    return window !== undefined && this.#now() < window.startMs + WINDOW_MS ? window : undefined;
  }
}
