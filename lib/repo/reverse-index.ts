/** The entries of one pack by offset, as in git's `.rev` files. */

import { CorruptPackError } from "../errors.ts";
import type { EntryRank, IndexNumber } from "../git/object-numbers.ts";
import type { PackIndex } from "../git/pack/index-v2.ts";
import { PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import { ascendingNumbers, lowerBound, sortedByKey } from "../git/pack/sorted-numbers.ts";

/** From this share of a pack's entries on, passing through all of them is faster than sorting the chosen ones. */
const SCAN_SHARE = 1 / 32;
const TWO_TO_32 = 2 ** 32;

export class ReverseIndex {
  /** Ascending. */
  readonly #offsets: Float64Array;
  /** The number in the index of the entry at each of `#offsets`. */
  readonly #numbers: Uint32Array;
  /** The other way round: the place among `#offsets` of each number in the index. */
  readonly #ranks: Uint32Array;
  readonly #trailerOffsetBytes: number;

  constructor(index: PackIndex, packBytes: number) {
    const offsets = new Float64Array(index.objectCount);
    for (let number = 0; number < offsets.length; number++) offsets[number] = index.offsetBytes(number);
    this.#trailerOffsetBytes = packBytes - PACK_TRAILER_BYTES;
    this.#numbers = sortedByOffset(offsets);
    this.#offsets = new Float64Array(offsets.length);
    this.#ranks = new Uint32Array(offsets.length);
    for (let rank = 0; rank < offsets.length; rank++) {
      const number = this.#numbers[rank] as number;
      this.#offsets[rank] = offsets[number] as number;
      this.#ranks[number] = rank;
    }
  }

  /** The numbers in the index, in the order of the entries. */
  numbersInOrder(): Uint32Array {
    return this.#numbers;
  }

  /**
   * Puts objects into the order of their entries, in place.
   * @param objectNumbers - Index numbers of this pack plus `firstNumber`.
   */
  sortByPlace(objectNumbers: Uint32Array, firstNumber: number): void {
    const ranks = this.#ranksOf(objectNumbers, firstNumber);
    for (let i = 0; i < ranks.length; i++)
      objectNumbers[i] = firstNumber + (this.#numbers[ranks[i] as number] as number);
  }

  /** Ascending. */
  #ranksOf(objectNumbers: Uint32Array, firstNumber: number): Uint32Array {
    const ranks = new Uint32Array(objectNumbers.length);
    if (objectNumbers.length < this.#offsets.length * SCAN_SHARE) {
      return ranks.map((_, i) => this.#ranks[(objectNumbers[i] as number) - firstNumber] as number).sort();
    }
    const isChosen = new Uint8Array(this.#offsets.length);
    for (const objectNumber of objectNumbers) isChosen[objectNumber - firstNumber] = 1;
    let count = 0;
    for (let rank = 0; rank < this.#numbers.length; rank++) {
      if (isChosen[this.#numbers[rank] as number] === 1) ranks[count++] = rank;
    }
    return ranks;
  }

  /** @throws {CorruptPackError} No entry begins there. */
  numberAt(offsetBytes: number): IndexNumber {
    const rank = lowerBound(this.#offsets, offsetBytes);
    const number = this.#numbers[rank];
    if (number === undefined || this.#offsets[rank] !== offsetBytes)
      throw new CorruptPackError("no entry of the pack begins there", { offsetBytes });
    return number;
  }

  /** The place among all entries of the one with this number in the index. */
  rank(number: IndexNumber): EntryRank {
    return this.#ranks[number] as number;
  }

  /** Where the entry at this place begins; behind the last one, where it ends. */
  offsetBytes(rank: EntryRank): number {
    return this.#offsets[rank] ?? this.#trailerOffsetBytes;
  }
}

/** In loops: `Uint32Array.from` would take a tenth of a second for 400,000 entries. */
function sortedByOffset(offsets: Float64Array): Uint32Array {
  const low = new Uint32Array(offsets.length);
  let maxBytes = 0;
  for (let number = 0; number < offsets.length; number++) {
    const offsetBytes = offsets[number] as number;
    low[number] = offsetBytes % TWO_TO_32;
    if (offsetBytes > maxBytes) maxBytes = offsetBytes;
  }
  const sorted = sortedByKey(ascendingNumbers(offsets.length), low);
  if (maxBytes < TWO_TO_32) return sorted;
  const high = new Uint32Array(offsets.length);
  for (let number = 0; number < offsets.length; number++)
    high[number] = (offsets[number] as number) / TWO_TO_32;
  return sortedByKey(sorted, high);
}
