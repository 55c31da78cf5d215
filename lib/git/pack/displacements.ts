/** How far each object of a pack being written has moved: its offset in the new pack, less that in its old one. */

/** From this share of all objects on, an array takes less than a map. */
const ARRAY_SHARE = 1 / 16;

export class Displacements {
  readonly #array: Float64Array | undefined;
  readonly #map = new Map<number, number>();

  /** @param objectCount - Above every object number. */
  constructor(objectCount: number, expectedCount: number) {
    if (expectedCount >= objectCount * ARRAY_SHARE)
      this.#array = new Float64Array(objectCount).fill(Number.NaN);
  }

  set(objectNumber: number, bytes: number): void {
    if (this.#array === undefined) this.#map.set(objectNumber, bytes);
    else this.#array[objectNumber] = bytes;
  }

  /** @returns NaN, which equals nothing, for what is not written. */
  get(objectNumber: number): number {
    if (this.#array !== undefined) return this.#array[objectNumber] as number;
    return this.#map.get(objectNumber) ?? Number.NaN;
  }

  has(objectNumber: number): boolean {
    return !Number.isNaN(this.get(objectNumber));
  }
}
