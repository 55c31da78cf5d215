/** Bounds what runs at a time, by number and by the bytes that it holds. Those who wait go in order. */

export class TransferQueue {
  readonly #maxBytes: number;
  readonly #maxCount: number;
  #usedBytes = 0;
  #count = 0;
  readonly #waiting: { readonly bytes: number; readonly start: () => void }[] = [];

  constructor(maxBytes: number, maxCount: number) {
    this.#maxBytes = maxBytes;
    this.#maxCount = maxCount;
  }

  /** @param bytes - What `work` holds; more than there is counts as all. */
  async run<Result>(bytes: number, work: () => Promise<Result>): Promise<Result> {
    const heldBytes = Math.min(bytes, this.#maxBytes);
    await new Promise<void>((start) => {
      this.#waiting.push({ bytes: heldBytes, start });
      this.#startNext();
    });
    try {
      return await work();
    } finally {
      this.#usedBytes -= heldBytes;
      this.#count -= 1;
      this.#startNext();
    }
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#count >= this.#maxCount || this.#usedBytes + next.bytes > this.#maxBytes) return;
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      this.#count += 1;
      next.start();
    }
  }
}
