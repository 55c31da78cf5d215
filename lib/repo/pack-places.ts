/** Where the entries of one pack lie: its index, turned around. */
import { CorruptPackError } from "../errors.ts";
import type { PackIndex } from "../git/pack/index-v2.ts";
import { PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";

export class PackPlaces {
  /** Ascending. */
  readonly #offsets: Float64Array;
  /** The number in the index of the entry at each of `#offsets`. */
  readonly #numbers: Uint32Array;
  readonly #trailerOffsetBytes: number;

  constructor(index: PackIndex, packBytes: number) {
    const offsets = new Float64Array(index.objectCount);
    for (let number = 0; number < offsets.length; number++) offsets[number] = index.offsetBytes(number);
    this.#offsets = offsets.slice().sort();
    this.#numbers = new Uint32Array(offsets.length);
    this.#trailerOffsetBytes = packBytes - PACK_TRAILER_BYTES;
    for (let number = 0; number < offsets.length; number++) {
      this.#numbers[this.#rank(offsets[number] ?? 0)] = number;
    }
  }

  /** The numbers in the index, in the order of the entries. */
  numbersInOrder(): Uint32Array {
    return this.#numbers;
  }

  /** @throws {CorruptPackError} No entry begins there. */
  numberAt(offsetBytes: number): number {
    const number = this.#numbers[this.#rank(offsetBytes)];
    if (number === undefined) throw noEntry(offsetBytes);
    return number;
  }

  /** Where the entry that begins at `offsetBytes` ends. @throws {CorruptPackError} No entry begins there. */
  endBytes(offsetBytes: number): number {
    return this.#offsets[this.#rank(offsetBytes) + 1] ?? this.#trailerOffsetBytes;
  }

  #rank(offsetBytes: number): number {
    const offsets = this.#offsets;
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((offsets[middle] as number) < offsetBytes) low = middle + 1;
      else high = middle;
    }
    if (offsets[low] !== offsetBytes) throw noEntry(offsetBytes);
    return low;
  }
}

function noEntry(offsetBytes: number): CorruptPackError {
  return new CorruptPackError("no entry of the pack begins there", { offsetBytes });
}
