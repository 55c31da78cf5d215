/**
 * Begins to read, all at once, what writing a pack will read piece by piece: with a store that takes 20 ms to answer, what is
 * read in turn is what takes the time.
 */
import type { PackedObjects } from "../ports.ts";

/** The entries of more lie together, or in more blocks than are read ahead. */
const MAX_ENTRIES = 20_000;
/** As git's. */
const MAX_CHAIN = 50;

export interface ReadAheadRequest {
  readonly objects: PackedObjects;
  readonly objectNumbers: Uint32Array;
  readonly clientHas: (objectNumber: number) => boolean;
  readonly isThin: boolean;
  /** Whether the entries are read out of what is kept at hand; else what is read ahead of them is read for nothing. */
  readonly isCached: boolean;
}

/** Guesses: what it misses is read when it is needed. */
export class ReadAhead {
  readonly #request: ReadAheadRequest;
  /** One bit for each object: a slow client holds it. */
  readonly #sent: Uint8Array;

  constructor(request: ReadAheadRequest) {
    this.#request = request;
    this.#sent = new Uint8Array(Math.ceil(request.objects.objectCount / 8));
    for (const number of request.objectNumbers)
      this.#sent[number >>> 3] = (this.#sent[number >>> 3] as number) | (1 << (number & 7));
  }

  /** @param objectNumbers - Those that are to be written next. */
  begin(objectNumbers: Uint32Array): void {
    const { objects, objectNumbers: all, isCached } = this.#request;
    const entries = isCached && all.length <= MAX_ENTRIES ? objectNumbers : [];
    objects.packs.readAhead([...entries, ...this.#chainsOfFresh(objectNumbers)]);
  }

  /** What is needed for the objects that are to become deltas of others. */
  *#chainsOfFresh(objectNumbers: Uint32Array): Generator<number, void, undefined> {
    const { objects, clientHas, isThin } = this.#request;
    const { history } = objects;
    if (history === undefined) return;
    const bases = history.deltaForest.parents;
    for (const objectNumber of objectNumbers) {
      const base = bases[objectNumber] as number;
      if (base < 0 ? !isThin : this.#isSent(base) || clientHas(base)) continue;
      for (const start of [objectNumber, this.#versionAtHand(history.versionForest.parents, objectNumber)]) {
        let next = start;
        for (let depth = 0; next >= 0 && depth <= MAX_CHAIN; depth++) {
          yield next;
          next = bases[next] as number;
        }
      }
    }
  }

  /** @returns The version before that is likely to become the base, or -1. */
  #versionAtHand(before: Int32Array, objectNumber: number): number {
    let version = before[objectNumber] as number;
    for (let step = 0; version >= 0 && step < MAX_CHAIN; step++) {
      if (this.#isSent(version) || this.#request.clientHas(version)) return version;
      version = before[version] as number;
    }
    return -1;
  }

  #isSent(objectNumber: number): boolean {
    return ((this.#sent[objectNumber >>> 3] as number) & (1 << (objectNumber & 7))) !== 0;
  }
}
