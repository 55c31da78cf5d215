/**
 * Who tries credentials out: how many different ones from one source the primary has not taken within a minute. One that has
 * expired counts once, however often it is shown: all jobs of a company may have it, behind one address.
 */
import { MinuteWindows } from "./minute-windows.ts";

/** Of some 100 bytes for each credential. */
const MAX_SOURCES = 5_000;

export class WrongCredentials {
  readonly #perMinute: number;
  readonly #windows: MinuteWindows<Set<string>>;

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#windows = new MinuteWindows(MAX_SOURCES, () => new Set(), now);
  }

  /** @returns 0 if the source may try another one, else after how many seconds. */
  waitSeconds(source: string): number {
    const callers = this.#windows.current(source);
    return callers === undefined || callers.size < this.#perMinute ? 0 : this.#windows.leftSeconds(source);
  }

  /** @param caller - Names the credential. */
  note(source: string, caller: string): void {
    if (this.#perMinute === 0) return;
    const callers = this.#windows.open(source);
    if (callers.size < this.#perMinute) callers.add(caller);
  }
}
