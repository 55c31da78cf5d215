/** Random numbers that are the same for the same seed, on every machine. */

export class Random {
  #state: number;

  /** @param stream - Another sequence of the same seed, so that one part's choices do not shift another's. */
  constructor(seed: number, stream = 0) {
    this.#state = (Math.imul(seed, 0x9e37_79b1) ^ Math.imul(stream + 1, 0x85eb_ca6b)) >>> 0;
    for (let i = 0; i < 4; i++) this.#next();
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32;
  }

  /** @throws {RangeError} There is none. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to pick from");
    return items[this.below(items.length)] as T;
  }

  /** One of the newest: the last item comes up most. @throws {RangeError} There is none. */
  pickLate<T>(items: readonly T[]): T {
    const back = Math.min(this.below(items.length), this.below(items.length), this.below(items.length));
    return this.pick(items.slice(items.length - 1 - back, items.length - back));
  }

  /** Different items, in random order; fewer if there are not so many. */
  sample<T>(items: readonly T[], count: number): T[] {
    const rest = [...items];
    const chosen: T[] = [];
    while (chosen.length < count && rest.length > 0) {
      chosen.push(...rest.splice(this.below(rest.length), 1));
    }
    return chosen;
  }

  shuffle<T>(items: readonly T[]): T[] {
    return this.sample(items, items.length);
  }

  bytes(lengthBytes: number): Uint8Array {
    return Uint8Array.from({ length: lengthBytes }, () => this.below(256));
  }

  hex(digits: number): string {
    return Array.from({ length: digits }, () => this.below(16).toString(16)).join("");
  }

  /** mulberry32. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
