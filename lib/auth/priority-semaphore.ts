/** Lets so many do something at a time; the others wait in line. */

export class PrioritySemaphore {
  #free: number;
  readonly #urgent = new Set<() => void>();
  readonly #line = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * @param isUrgent - Goes before all who are not.
   * @returns Whether it is the caller's turn, who then has to call `release`; `false` if the signal aborted before.
   */
  async take(signal: AbortSignal, isUrgent: boolean): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    const line = isUrgent ? this.#urgent : this.#line;
    return new Promise((resolve) => {
      const leave = (isTurn: boolean) => {
        line.delete(onTurn);
        signal.removeEventListener("abort", onAbort);
        resolve(isTurn);
      };
      const onTurn = () => leave(true);
      const onAbort = () => leave(false);
      line.add(onTurn);
      signal.addEventListener("abort", onAbort);
    });
  }

  release(): void {
    const [next] = this.#urgent.size > 0 ? this.#urgent : this.#line;
    if (next === undefined) this.#free += 1;
    else next();
  }
}
