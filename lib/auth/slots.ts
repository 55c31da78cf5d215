/** Lets so many do something at a time; the others wait in line. */

export class Slots {
  #free: number;
  readonly #line = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** @returns Whether it is the caller's turn, who then has to call `release`; `false` if the signal aborted before. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    return new Promise((resolve) => {
      const leave = (isTurn: boolean) => {
        this.#line.delete(onTurn);
        signal.removeEventListener("abort", onAbort);
        resolve(isTurn);
      };
      const onTurn = () => leave(true);
      const onAbort = () => leave(false);
      this.#line.add(onTurn);
      signal.addEventListener("abort", onAbort);
    });
  }

  release(): void {
    const [next] = this.#line;
    if (next === undefined) this.#free += 1;
    else next();
  }
}
