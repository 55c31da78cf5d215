/**
 * Begins to read, all at once, what writing a pack will read piece by piece: with a store that takes 20 ms to answer, what is
 * read in turn is what takes the time.
 */
import type { ObjectNumber } from "../object-numbers.ts";
import { DeltaBaseSelection } from "./delta-base-selection.ts";
import type { EntryWriterOptions } from "./entry-writer.ts";

/** Examined between two pauses. */
const MAX_SLICE_OBJECTS = 16_384;

/** `isCached`: whether the entries are read through the cache of packs; reading ahead helps only then. */
type ReadAheadRequest = Pick<EntryWriterOptions, "objects" | "objectNumbers" | "clientHas" | "isThin"> & {
  readonly isCached: boolean;
};

/** Guesses: what it misses is read when it is needed. */
export class ReadAhead {
  readonly #request: ReadAheadRequest;
  /** One bit for each object: a slow client holds it. */
  readonly #begun: Uint8Array;
  readonly #choice: DeltaBaseSelection | undefined;
  /** How many of the objects reading was begun for, and before the last time. */
  #begunCount = 0;
  #sliceStart = 0;

  constructor(request: ReadAheadRequest) {
    const { objects, clientHas, isThin } = request;
    this.#request = request;
    this.#begun = new Uint8Array(Math.ceil(objects.objectCount / 8));
    // What was begun will have been written when the next one is.
    const isWritten = (objectNumber: ObjectNumber): boolean => this.#isBegun(objectNumber);
    const isAtHand = (objectNumber: ObjectNumber): boolean =>
      isWritten(objectNumber) || clientHas(objectNumber);
    this.#choice =
      objects.history && new DeltaBaseSelection({ ...objects.history, isWritten, isAtHand, isThin });
  }

  /**
   * Begins as much as is read ahead at once, and the same again when that comes to be written.
   * @param writtenCount - How many have been written.
   */
  advance(writtenCount: number): void {
    while (this.#begunCount < this.#request.objectNumbers.length && writtenCount >= this.#sliceStart) {
      while (this.#begunCount < writtenCount) this.#next();
      const start = this.#begunCount;
      this.#request.objects.packs.readAhead(this.#nextReads());
      // There was no room.
      if (this.#begunCount === start) return;
      this.#sliceStart = start;
      if (start > writtenCount) return;
    }
  }

  /** Counts as begun whatever is taken of it. */
  *#nextReads(): Generator<number, void> {
    const { objectNumbers, isCached } = this.#request;
    const end = Math.min(this.#begunCount + MAX_SLICE_OBJECTS, objectNumbers.length);
    const passed = new Set<number>();
    while (this.#begunCount < end) {
      const objectNumber = this.#next();
      if (isCached) yield objectNumber;
      yield* this.#chainsOfReencoded(objectNumber, passed);
    }
  }

  #next(): number {
    const objectNumber = this.#request.objectNumbers[this.#begunCount++] as number;
    const place = objectNumber >>> 3;
    this.#begun[place] = (this.#begun[place] as number) | (1 << (objectNumber & 7));
    return objectNumber;
  }

  /**
   * What is needed for an object that is to become a delta of another.
   * @param passed - Where the chains of others have been, which end in the same.
   */
  *#chainsOfReencoded(objectNumber: ObjectNumber, passed: Set<number>): Generator<number, void> {
    const { objects, clientHas, isThin } = this.#request;
    const bases = objects.history?.deltaForest.parents;
    if (bases === undefined) return;
    const base = bases[objectNumber] as number;
    if (base < 0 ? !isThin : this.#isBegun(base) || clientHas(base)) return;
    for (const start of [objectNumber, this.#choice?.choose(objectNumber) ?? -1]) {
      for (let next = start; next >= 0 && !passed.has(next); next = bases[next] as number) {
        passed.add(next);
        yield next;
      }
    }
  }

  #isBegun(objectNumber: ObjectNumber): boolean {
    return ((this.#begun[objectNumber >>> 3] as number) & (1 << (objectNumber & 7))) !== 0;
  }
}
