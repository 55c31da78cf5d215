/** Spreads work over turns of the event loop: a thousand requests that arrive together would be one long block. */

/** What a request does before it first waits takes some 0.1 ms. */
const MAX_STARTS_A_TURN = 50;

/** Whose a request is. Both may be claimed by anyone; the address is the client's as far as proxies are trusted. */
export interface StartOwner {
  readonly address: string;
  readonly credential: string;
}

/** Starts some in each turn: addresses take turns, within one its credentials, and those of one in the order in which they arrive. */
export class PacedStarts {
  readonly #waiting = new Map<string, Map<string, (() => void)[]>>();
  readonly #maxATurn: number;
  #startedCount = 0;

  constructor(maxATurn = MAX_STARTS_A_TURN) {
    this.#maxATurn = maxATurn;
  }

  /** @param ownerOf - Called only if it has to wait. */
  start(work: () => void, ownerOf: () => StartOwner): void {
    if (this.#startedCount === 0) setImmediate(() => this.#nextTurn());
    if (this.#startedCount < this.#maxATurn) {
      this.#startedCount += 1;
      work();
      return;
    }
    const { address, credential } = ownerOf();
    const ofAddress = this.#waiting.get(address) ?? new Map<string, (() => void)[]>();
    this.#waiting.set(address, ofAddress);
    const ofCredential = ofAddress.get(credential);
    if (ofCredential === undefined) ofAddress.set(credential, [work]);
    else ofCredential.push(work);
  }

  /** Resolves when it is this one's turn. */
  turn(ownerOf: () => StartOwner): Promise<void> {
    return new Promise((resolve) => {
      this.start(resolve, ownerOf);
    });
  }

  #nextTurn(): void {
    this.#startedCount = 0;
    if (this.#waiting.size > 0) setImmediate(() => this.#nextTurn());
    for (; this.#startedCount < this.#maxATurn; this.#startedCount += 1) {
      const work = this.#takeNext();
      if (work === undefined) return;
      work();
    }
  }

  #takeNext(): (() => void) | undefined {
    const [next] = this.#waiting;
    if (next === undefined) return undefined;
    const [address, ofAddress] = next;
    this.#waiting.delete(address);
    const [first] = ofAddress;
    if (first === undefined) return undefined;
    const [credential, works] = first;
    const work = works.shift();
    ofAddress.delete(credential);
    if (works.length > 0) ofAddress.set(credential, works);
    if (ofAddress.size > 0) this.#waiting.set(address, ofAddress);
    return work;
  }
}
