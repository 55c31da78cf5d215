/** Requests that wait for the primary's answer about a caller: each holds a connection, and some hang for many seconds. */
import { type RunningLimits, RunningTasks } from "../http/running-tasks.ts";

/** Fewer than connections: those who are known find some. An address block may have two thirds of what there is. */
const LIMITS: RunningLimits = { maxRunning: 800, maxRunningOfCaller: 600, shareOfFree: 2 };
/** In which a question ends. */
export const NEWCOMERS_RETRY_SECONDS = 15;

export class Newcomers {
  readonly #waiting: RunningTasks;

  constructor(limits = LIMITS) {
    this.#waiting = new RunningTasks(limits);
  }

  /**
   * @param isKnown - Whether the request may wait beyond the limits.
   * @returns `undefined`: too many wait, or too many of this address.
   */
  async run<Answer>(
    block: string,
    isKnown: () => boolean,
    ask: () => Promise<Answer>,
  ): Promise<Answer | undefined> {
    const place = this.#waiting.take({ caller: block, weight: 1, groups: [] });
    if (place === undefined) return isKnown() ? ask() : undefined;
    try {
      return await ask();
    } finally {
      this.#waiting.resize(place, 0);
    }
  }
}
