/** Spreads work over turns of the event loop: a thousand requests that arrive together would be one long block. */

/** What a request does before it first waits takes some 0.1 ms. */
const MAX_STARTS_A_TURN = 50;

/** Starts some in each turn, in the order in which they arrive. */
export class PacedStarts {
  readonly #waiting: (() => void)[] = [];
  readonly #maxATurn: number;
  #startedCount = 0;

  constructor(maxATurn = MAX_STARTS_A_TURN) {
    this.#maxATurn = maxATurn;
  }

  start(work: () => void): void {
    if (this.#startedCount === 0) setImmediate(() => this.#nextTurn());
    if (this.#startedCount >= this.#maxATurn) this.#waiting.push(work);
    else {
      this.#startedCount += 1;
      work();
    }
  }

  #nextTurn(): void {
    this.#startedCount = 0;
    for (const work of this.#waiting.splice(0, this.#maxATurn)) this.start(work);
  }
}
