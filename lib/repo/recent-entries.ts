/**
 * Reads the entries of recent objects: from memory and from the sidecars of packs; from the packs themselves where both lack an entry, or
 * where a sidecar is missing or damaged.
 */
import { crc32 } from "node:zlib";
import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { ObjectNumber, PackNumber } from "../git/object-numbers.ts";
import { lowerBound } from "../git/pack/sorted-numbers.ts";
import type { RecentObjects } from "../git/recent/recent-objects.ts";
import type { ReadOptions } from "../store/blob-store.ts";
import type { BlobRange, BlockCache } from "../store/block-cache.ts";
import { asRepositoryDamage } from "./repository-damage.ts";

export interface PackKeys {
  readonly pack: string;
  /** Of the sidecar with entries. */
  readonly newest: string;
}

export interface RecentEntriesOf {
  readonly recent: RecentObjects;
  /** Of all packs, oldest first. */
  readonly packKeys: readonly PackKeys[];
  readonly blocks: BlockCache;
  /** Of a damaged sidecar, once for each: its pack is read instead. */
  readonly onDamage?: ((error: unknown, key: string) => void) | undefined;
}

/** Made once for all readers. */
interface Starts {
  /** By pack: the number of its first object; and at the end, of the one after the last. */
  readonly firstNumbers: Uint32Array;
  /** By number: 1 + where in the entries that are held its own begins; 0 if it is not held. */
  readonly heldStarts: Uint32Array;
  /** By number: where in the sidecar of its pack the entry begins; 0 if it is not there. */
  readonly placedStarts: Uint32Array;
  /** Packs whose sidecars are missing or damaged: all is read out of these packs. */
  readonly withoutSidecar: Set<PackNumber>;
}

export class RecentEntries {
  readonly #of: RecentEntriesOf;
  readonly #starts: Starts;
  readonly #reading: ReadOptions;
  /** Objects of the last two calls of `readAhead`: one is being used while the other comes. */
  #ahead: readonly (readonly ObjectNumber[])[] = [];
  /** How many of `withoutSidecar` this reader has read ahead out of the packs. */
  #readAgainCount = 0;

  private constructor(of: RecentEntriesOf, starts: Starts, reading: ReadOptions = {}) {
    this.#of = of;
    this.#starts = starts;
    this.#reading = reading;
  }

  /** @param firstNumbers - By pack; and at the end, of the object after the last. */
  static open(of: RecentEntriesOf, firstNumbers: Uint32Array): RecentEntries {
    const { crcs, placed, held, offsets, ends } = of.recent;
    const heldStarts = new Uint32Array(crcs.length);
    let heldStart = 1;
    for (const number of held) {
      heldStarts[number] = heldStart;
      heldStart += 1 + (ends[number] as number) - (offsets[number] as number);
    }
    const placedStarts = new Uint32Array(crcs.length);
    for (const [i, number] of placed.entries()) placedStarts[number] = of.recent.placedStarts[i] as number;
    return new RecentEntries(of, { firstNumbers, heldStarts, placedStarts, withoutSidecar: new Set() });
  }

  forReader(signal: AbortSignal): RecentEntries {
    return new RecentEntries(this.#of, this.#starts, { signal });
  }

  /** Whether the entry is held or in a sidecar. */
  isBeside(number: ObjectNumber): boolean {
    return this.#starts.heldStarts[number] !== 0 || this.#placedStart(number) !== 0;
  }

  /** With the byte behind it. */
  async read(number: ObjectNumber): Promise<Uint8Array> {
    return this.#heldEntry(number) ?? this.#placedEntry(number);
  }

  /** 0: read it out of its pack. */
  #placedStart(number: ObjectNumber): number {
    const start = this.#starts.placedStarts[number] as number;
    const { withoutSidecar } = this.#starts;
    const isUseless = start > 0 && withoutSidecar.size > 0 && withoutSidecar.has(this.#packNumberOf(number));
    return isUseless ? 0 : start;
  }

  /** With the byte behind it. */
  #heldEntry(number: ObjectNumber): Uint8Array | undefined {
    const { offsets, ends, entries } = this.#of.recent;
    const start = (this.#starts.heldStarts[number] as number) - 1;
    if (start < 0) return undefined;
    return entries.subarray(start, start + 1 + (ends[number] as number) - (offsets[number] as number));
  }

  /** The same out of the sidecar, or out of the pack where that is missing or damaged. */
  async #placedEntry(number: ObjectNumber): Promise<Uint8Array> {
    const { blocks } = this.#of;
    const { offsetBytes, lengthBytes } = this.#placeInPack(number);
    const start = this.#placedStart(number);
    if (start > 0) {
      const entry = await this.#sidecarEntry(number, start, lengthBytes);
      if (entry !== undefined) return entry;
      this.readAgain();
    }
    const { pack } = keysOf(this.#of.packKeys, this.#packNumberOf(number));
    return asRepositoryDamage(() => blocks.read(pack, offsetBytes, lengthBytes, this.#reading));
  }

  /** @returns `undefined` where the sidecar is of no use; it is not read again then. */
  async #sidecarEntry(
    number: ObjectNumber,
    start: number,
    lengthBytes: number,
  ): Promise<Uint8Array | undefined> {
    const { withoutSidecar } = this.#starts;
    const { blocks, onDamage } = this.#of;
    const packNumber = this.#packNumberOf(number);
    const { newest } = keysOf(this.#of.packKeys, packNumber);
    let failure: unknown = new CorruptPackError("newest entry does not match its checksum");
    try {
      const entry = await blocks.read(newest, start, lengthBytes, this.#reading);
      if (crc32(entry.subarray(0, -1)) === this.#of.recent.crcs[number]) return entry;
    } catch (error) {
      if (!(error instanceof NotFoundError || error instanceof RangeError)) throw error;
      failure = error;
    }
    // It may be deleted at any time.
    if (!withoutSidecar.has(packNumber) && !(failure instanceof NotFoundError)) onDamage?.(failure, newest);
    withoutSidecar.add(packNumber);
    return undefined;
  }

  /** Reads ahead out of packs what was read ahead out of sidecars that turned out to be of no use. */
  readAgain(): void {
    const { withoutSidecar } = this.#starts;
    if (withoutSidecar.size === this.#readAgainCount) return;
    const packNumbers = [...withoutSidecar].slice(this.#readAgainCount);
    this.#readAgainCount = withoutSidecar.size;
    const numbers = this.#ahead
      .flat()
      .filter(
        (number) =>
          this.#starts.placedStarts[number] !== 0 && packNumbers.includes(this.#packNumberOf(number)),
      );
    this.#of.blocks.readAhead(this.#rangesOf(numbers), this.#reading);
  }

  readAhead(objectNumbers: Iterable<ObjectNumber>): void {
    this.readAgain();
    const begun: ObjectNumber[] = [];
    this.#ahead = [...this.#ahead.slice(-1), begun];
    this.#of.blocks.readAhead(this.#rangesOf(noted(objectNumbers, begun)), this.#reading);
  }

  *#rangesOf(objectNumbers: Iterable<ObjectNumber>): Generator<BlobRange, void, undefined> {
    for (const objectNumber of objectNumbers) {
      if (this.#starts.heldStarts[objectNumber] !== 0) continue;
      const { pack, newest } = keysOf(this.#of.packKeys, this.#packNumberOf(objectNumber));
      const { offsetBytes, lengthBytes } = this.#placeInPack(objectNumber);
      const start = this.#placedStart(objectNumber);
      yield start === 0
        ? { key: pack, offsetBytes, endBytes: offsetBytes + lengthBytes }
        : { key: newest, offsetBytes: start, endBytes: start + lengthBytes };
    }
  }

  /** Objects are read with a byte more than their entry. */
  #placeInPack(number: ObjectNumber): { readonly offsetBytes: number; readonly lengthBytes: number } {
    const { offsets, ends } = this.#of.recent;
    const offsetBytes = offsets[number] as number;
    return { offsetBytes, lengthBytes: (ends[number] as number) + 1 - offsetBytes };
  }

  #packNumberOf(number: ObjectNumber): PackNumber {
    return lowerBound(this.#starts.firstNumbers, number + 1) - 1;
  }
}

export function keysOf(packKeys: readonly PackKeys[], packNumber: PackNumber): PackKeys {
  const keys = packKeys[packNumber];
  if (keys === undefined) throw new RangeError(`no pack has the number ${packNumber}`);
  return keys;
}

/** @param taken - Gets those that are taken: callers count these as begun. */
function* noted(
  objectNumbers: Iterable<ObjectNumber>,
  taken: ObjectNumber[],
): Generator<ObjectNumber, void, undefined> {
  for (const objectNumber of objectNumbers) {
    taken.push(objectNumber);
    yield objectNumber;
  }
}
