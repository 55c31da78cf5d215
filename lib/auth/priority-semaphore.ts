/**
 * Limits how many tasks run at a time; urgent ones start before others, and owners of waiting tasks take turns. Not p-queue: a place is taken and released around code
 * that is not one function, and an abort while queued is a result here, not an error; wrapping its `add` is no shorter.
 */

/** The waiting tasks of each owner; the owner whose turn is next comes first. */
type Queue = Map<string, Set<() => void>>;

export class PrioritySemaphore {
  #free: number;
  readonly #urgent: Queue = new Map();
  readonly #normal: Queue = new Map();

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * @param owner - Another owner's tasks do not wait behind all of this one's.
   * @returns `true`: the task may run, and calls `release` afterwards. `false`: the signal aborted first.
   */
  async take(signal: AbortSignal, isUrgent: boolean, owner = ""): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    const queue = isUrgent ? this.#urgent : this.#normal;
    const waiting = queue.get(owner) ?? new Set();
    queue.set(owner, waiting);
    return new Promise((resolve) => {
      const leave = (isTurn: boolean) => {
        waiting.delete(onTurn);
        if (waiting.size === 0) queue.delete(owner);
        signal.removeEventListener("abort", onAbort);
        resolve(isTurn);
      };
      const onTurn = () => leave(true);
      const onAbort = () => leave(false);
      waiting.add(onTurn);
      signal.addEventListener("abort", onAbort);
    });
  }

  release(): void {
    const queue = this.#urgent.size > 0 ? this.#urgent : this.#normal;
    const [owner = "", waiting = new Set<() => void>()] = queue.entries().next().value ?? [];
    const [next] = waiting;
    queue.delete(owner);
    if (waiting.size > 1) queue.set(owner, waiting);
    if (next === undefined) this.#free += 1;
    else next();
  }
}

/** @param change - Of the semaphore, by one task. */
export type LeaveSemaphore = (change?: "grow" | "shrink") => void;

/** A semaphore for each key, for as long as it is used. */
export class KeyedSemaphores {
  readonly #count: number;
  readonly #maxCount: number;
  readonly #used = new Map<string, { readonly semaphore: PrioritySemaphore; users: number; count: number }>();

  /** @param count - At first. @param maxCount - Once it has grown. */
  constructor(count: number, maxCount = count) {
    this.#count = count;
    this.#maxCount = maxCount;
  }

  /** @returns What to call afterwards; `undefined`: the signal aborted first. */
  async take(key: string, signal: AbortSignal): Promise<LeaveSemaphore | undefined> {
    const used = this.#used.get(key) ?? {
      ...{ semaphore: new PrioritySemaphore(this.#count), users: 0, count: this.#count },
    };
    this.#used.set(key, used);
    used.users += 1;
    const leave = () => {
      used.users -= 1;
      if (used.users === 0) this.#used.delete(key);
    };
    if (!(await used.semaphore.take(signal, false))) {
      leave();
      return undefined;
    }
    return (change) => {
      if (change === "grow" && used.count < this.#maxCount) {
        used.count += 1;
        used.semaphore.release();
      }
      if (change === "shrink" && used.count > 1) used.count -= 1;
      else used.semaphore.release();
      leave();
    };
  }
}
