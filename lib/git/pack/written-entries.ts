/** What a pack being written holds so far: how far each entry has moved from its old pack, and how long its chain is. */
import type { ObjectNumber } from "../object-numbers.ts";

/** From this share of all objects on, arrays take less than maps. */
const ARRAY_SHARE = 1 / 16;
const MAX_RECORDED_DEPTH = 255;

export class WrittenEntries {
  /** By object number: 1 + the place in `#displacements`; 0 for what is not written. */
  readonly #slots: Int32Array | Map<number, number>;
  readonly #depths: Uint8Array | Map<number, number>;
  /** Adjacent entries move together, so there are few. */
  readonly #displacements: number[] = [];

  /** @param objectCount - Above every object number. */
  constructor(objectCount: number, expectedCount: number) {
    const isArray = expectedCount >= objectCount * ARRAY_SHARE;
    this.#slots = isArray ? new Int32Array(objectCount) : new Map();
    this.#depths = isArray ? new Uint8Array(objectCount) : new Map();
  }

  /**
   * @param displacementBytes - Offset in the new pack, less that in the old one.
   * @param depth - 0 for a whole object, else 1 more than its base's.
   */
  set(objectNumber: ObjectNumber, displacementBytes: number, depth: number): void {
    if (this.#displacements.at(-1) !== displacementBytes) this.#displacements.push(displacementBytes);
    put(this.#slots, objectNumber, this.#displacements.length);
    put(this.#depths, objectNumber, Math.min(depth, MAX_RECORDED_DEPTH));
  }

  has(objectNumber: ObjectNumber): boolean {
    return valueIn(this.#slots, objectNumber) > 0;
  }

  /** @returns NaN, which equals nothing, for what is not written. */
  displacementBytes(objectNumber: ObjectNumber): number {
    return this.#displacements[valueIn(this.#slots, objectNumber) - 1] ?? Number.NaN;
  }

  /** Of what is written; 255 stands for that and more. */
  depth(objectNumber: ObjectNumber): number {
    return valueIn(this.#depths, objectNumber);
  }
}

function put(column: Int32Array | Uint8Array | Map<number, number>, key: number, value: number): void {
  if (column instanceof Map) column.set(key, value);
  else column[key] = value;
}

function valueIn(column: Int32Array | Uint8Array | Map<number, number>, key: number): number {
  return (column instanceof Map ? column.get(key) : column[key]) ?? 0;
}
