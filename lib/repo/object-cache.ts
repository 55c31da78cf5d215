/** Objects read lately: the bases of deltas, and trees that neighbouring commits share. Bounded in bytes. */
import type { GitObject } from "../git/ports.ts";

/** One object may take this share of the cache; larger ones would push out everything else. */
const LARGEST_SHARE = 1 / 8;
/** What an entry costs beside its bytes, about. */
const OVERHEAD_BYTES = 200;

export class ObjectCache {
  readonly #maxBytes: number;
  /** In the order of their last use. */
  readonly #objects = new Map<number, GitObject>();
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(objectNumber: number): GitObject | undefined {
    const object = this.#objects.get(objectNumber);
    if (object === undefined) return undefined;
    this.#objects.delete(objectNumber);
    this.#objects.set(objectNumber, object);
    return object;
  }

  set(objectNumber: number, object: GitObject): void {
    if (object.bytes.length > this.#maxBytes * LARGEST_SHARE || this.#objects.has(objectNumber)) return;
    this.#objects.set(objectNumber, object);
    this.#usedBytes += object.bytes.length + OVERHEAD_BYTES;
    for (const [oldestNumber, oldest] of this.#objects) {
      if (this.#usedBytes <= this.#maxBytes) return;
      this.#objects.delete(oldestNumber);
      this.#usedBytes -= oldest.bytes.length + OVERHEAD_BYTES;
    }
  }
}
