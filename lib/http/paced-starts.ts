/** Spreads the starts of requests over turns of the event loop: a thousand that arrive together would be one long block. */

/** What a request does before it first waits takes some 0.1 ms. */
const MAX_STARTS_A_TURN = 50;

/** Starts some in each turn, in the order in which they arrive. */
export class PacedStarts {
  readonly #waiting: (() => void)[] = [];
  #startedCount = 0;

  start(serveRequest: () => void): void {
    if (this.#startedCount === 0) setImmediate(() => this.#nextTurn());
    if (this.#startedCount >= MAX_STARTS_A_TURN) this.#waiting.push(serveRequest);
    else {
      this.#startedCount += 1;
      serveRequest();
    }
  }

  #nextTurn(): void {
    this.#startedCount = 0;
    for (const serveRequest of this.#waiting.splice(0, MAX_STARTS_A_TURN)) this.start(serveRequest);
  }
}
