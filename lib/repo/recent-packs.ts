/**
 * The recent objects of all packs, see RecentObjects: read as through the packs' indexes. Numbers are in the order of packs and offsets.
 */
import { crc32 } from "node:zlib";
import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { CommitHistory } from "../git/history/commit-history.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../git/object-id.ts";
import type { ObjectNumber, PackNumber } from "../git/object-numbers.ts";
import { ascendingNumbers, lowerBound } from "../git/pack/sorted-numbers.ts";
import type { StreamBudget } from "../git/pack/stream-prefetch.ts";
import type { EntryExtent, EntryPlaces, PackReader } from "../git/ports.ts";
import type { RecentObjects } from "../git/recent/recent-objects.ts";
import type { ReadOptions } from "../store/blob-store.ts";
import type { BlobRange, BlockCache } from "../store/block-cache.ts";
import { asRepositoryDamage, streamAsRepositoryDamage } from "./repository-damage.ts";

interface OpenRecent {
  readonly recent: RecentObjects;
  readonly history: CommitHistory;
  /** Of all packs, oldest first, and of the sidecars with entries. */
  readonly packKeys: readonly { readonly pack: string; readonly newest: string }[];
  readonly blocks: BlockCache;
  /** Of a damaged sidecar, once for each: its pack is read instead. */
  readonly onDamage?: ((error: unknown, key: string) => void) | undefined;
}

/** Made once for all readers. */
interface Tables {
  /** By pack: the number of its first object; and at the end, of the one after the last. */
  readonly firstNumbers: Uint32Array;
  /** By the first two bytes of an id: 1 + the number of an object whose id begins so; 0 if none does. */
  readonly heads: Uint32Array;
  /** By number: the same of the next one with these bytes. A tenth of the time that sorting takes. */
  readonly nexts: Uint32Array;
  /** By number: 1 + where in the entries that are held its own begins; 0 if it is not held. */
  readonly heldStarts: Uint32Array;
  /** By number: where in the sidecar of its pack the entry begins; 0 if it is not there. */
  readonly placedStarts: Uint32Array;
  /** Packs whose sidecars are missing or damaged: all is read out of these packs. */
  readonly withoutSidecar: Set<PackNumber>;
}

/** The beginning of an entry, or all of it. */
interface EntryPiece {
  readonly number: ObjectNumber;
  readonly lengthBytes: number;
}

export class RecentPacks implements PackReader {
  readonly #open: OpenRecent;
  readonly #tables: Tables;
  readonly #reading: ReadOptions;
  /** Objects of the last two calls of `readAhead`: one is being used while the other comes. */
  #ahead: readonly (readonly ObjectNumber[])[] = [];
  /** How many of `withoutSidecar` this reader has read ahead out of the packs. */
  #readAgainCount = 0;

  private constructor(open: OpenRecent, tables: Tables, reading: ReadOptions = {}) {
    this.#open = open;
    this.#tables = tables;
    this.#reading = reading;
  }

  static open(open: OpenRecent): RecentPacks {
    const { ids, crcs, packCounts, placed, held, offsets, ends } = open.recent;
    const firstNumbers = new Uint32Array(packCounts.length + 1);
    for (const [pack, count] of packCounts.entries())
      firstNumbers[pack + 1] = (firstNumbers[pack] as number) + count;
    const heads = new Uint32Array(0x10000);
    const nexts = new Uint32Array(crcs.length);
    for (let number = 0; number < nexts.length; number++) {
      const bucket = bucketOf(ids, number * OBJECT_ID_BYTES);
      nexts[number] = heads[bucket] as number;
      heads[bucket] = number + 1;
    }
    const heldStarts = new Uint32Array(crcs.length);
    let heldStart = 1;
    for (const number of held) {
      heldStarts[number] = heldStart;
      heldStart += 1 + (ends[number] as number) - (offsets[number] as number);
    }
    const placedStarts = new Uint32Array(crcs.length);
    for (const [i, number] of placed.entries()) placedStarts[number] = open.recent.placedStarts[i] as number;
    const withoutSidecar = new Set<PackNumber>();
    return new RecentPacks(open, { firstNumbers, heads, nexts, heldStarts, placedStarts, withoutSidecar });
  }

  forReader(signal: AbortSignal): RecentPacks {
    return new RecentPacks(this.#open, this.#tables, { signal });
  }

  get objectCount(): number {
    return this.#open.recent.crcs.length;
  }

  find(idBytes: Uint8Array, start: number): ObjectNumber {
    const { ids } = this.#open.recent;
    const { heads, nexts } = this.#tables;
    let next = heads[bucketOf(idBytes, start)] as number;
    for (; next > 0; next = nexts[next - 1] as number) {
      const at = (next - 1) * OBJECT_ID_BYTES;
      let i = 2;
      while (i < OBJECT_ID_BYTES && ids[at + i] === idBytes[start + i]) i++;
      if (i === OBJECT_ID_BYTES) return next - 1;
    }
    return -1;
  }

  /**
   * Only of commits and tags that refs reach: what is here as the base of a delta need not be reachable, so a client that names it gets the
   * answer to an id that is not here.
   */
  findId(id: ObjectId): ObjectNumber {
    const number = this.find(objectIdBytes(id), 0);
    const { history } = this.#open;
    return number >= 0 && (history.rowOf(number) >= 0 || (history.tagTargets[number] ?? -1) >= 0)
      ? number
      : -1;
  }

  objectId(objectNumber: ObjectNumber): ObjectId {
    return objectIdAt(this.#open.recent.ids, objectNumber * OBJECT_ID_BYTES);
  }

  crc(objectNumber: ObjectNumber): number {
    return this.#open.recent.crcs[objectNumber] as number;
  }

  extent(objectNumber: ObjectNumber): EntryExtent {
    const { offsets, ends } = this.#open.recent;
    const packNumber = this.packNumberOf(objectNumber);
    return {
      packNumber,
      offsetBytes: offsets[objectNumber] as number,
      endBytes: ends[objectNumber] as number,
    };
  }

  /** By what the sidecars say: an object at an offset may be one that counts elsewhere. */
  objectAt(packNumber: PackNumber, offsetBytes: number, delta: ObjectNumber): ObjectNumber {
    const base = this.#open.history.deltaForest.parents[delta] ?? -1;
    if (base < 0)
      throw new CorruptPackError("a recent object's base is missing", { packNumber, offsetBytes });
    return base;
  }

  allObjects(): Uint32Array {
    return ascendingNumbers(this.objectCount);
  }

  firstNumber(packNumber: PackNumber): ObjectNumber {
    return this.#tables.firstNumbers[packNumber] as number;
  }

  ownObjects(packNumber: PackNumber): Uint32Array {
    return this.allObjects().subarray(
      this.#tables.firstNumbers[packNumber],
      this.#tables.firstNumbers[packNumber + 1],
    );
  }

  sortByPlace(objectNumbers: Uint32Array): void {
    objectNumbers.sort();
  }

  locate(objectNumbers: Uint32Array): EntryPlaces {
    const { offsets, ends } = this.#open.recent;
    return {
      objectNumbers,
      packNumbers: objectNumbers.map((number) => this.packNumberOf(number)),
      offsets: Float64Array.from(objectNumbers, (number) => offsets[number] as number),
      ends: Float64Array.from(objectNumbers, (number) => ends[number] as number),
    };
  }

  packNumberOf(objectNumber: ObjectNumber): PackNumber {
    return lowerBound(this.#tables.firstNumbers, objectNumber + 1) - 1;
  }

  async readPackRange(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const { blocks } = this.#open;
    this.#readAgain();
    const entries = this.#entriesBeside(packNumber, offsetBytes, offsetBytes + lengthBytes);
    const key = this.#keysOf(packNumber).pack;
    if (entries === undefined)
      return asRepositoryDamage(() => blocks.read(key, offsetBytes, lengthBytes, this.#reading));
    const pieces: Uint8Array[] = [];
    for (const { number, lengthBytes: pieceBytes } of entries) {
      const entry = this.#heldEntry(number) ?? (await this.#placedEntry(number));
      pieces.push(entry.subarray(0, pieceBytes));
    }
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }

  /** @returns The pieces of entries that the range consists of; `undefined` unless all of these are at hand beside the pack. */
  #entriesBeside(packNumber: PackNumber, offsetBytes: number, endBytes: number): EntryPiece[] | undefined {
    const { offsets, ends } = this.#open.recent;
    const { firstNumbers } = this.#tables;
    const packEnd = firstNumbers[packNumber + 1] as number;
    const pieces: EntryPiece[] = [];
    let number = lowerBound(offsets, offsetBytes, firstNumbers[packNumber], packEnd);
    for (let next = offsetBytes; next < endBytes; number++) {
      if (number >= packEnd || offsets[number] !== next || !this.#isBeside(number)) return undefined;
      const entryEnd = ends[number] as number;
      // The last one may be asked for with the byte behind it.
      const takenEnd = endBytes <= entryEnd + 1 ? endBytes : entryEnd;
      pieces.push({ number, lengthBytes: takenEnd - next });
      next = takenEnd;
    }
    return pieces;
  }

  #isBeside(number: ObjectNumber): boolean {
    return this.#tables.heldStarts[number] !== 0 || this.#placedStart(number) !== 0;
  }

  /** 0: read it out of its pack. */
  #placedStart(number: ObjectNumber): number {
    const start = this.#tables.placedStarts[number] as number;
    const { withoutSidecar } = this.#tables;
    const isUseless = start > 0 && withoutSidecar.size > 0 && withoutSidecar.has(this.packNumberOf(number));
    return isUseless ? 0 : start;
  }

  /** With the byte behind it. */
  #heldEntry(number: ObjectNumber): Uint8Array | undefined {
    const { offsets, ends, entries } = this.#open.recent;
    const start = (this.#tables.heldStarts[number] as number) - 1;
    if (start < 0) return undefined;
    return entries.subarray(start, start + 1 + (ends[number] as number) - (offsets[number] as number));
  }

  /** The same out of the sidecar, or out of the pack where that is missing or damaged. */
  async #placedEntry(number: ObjectNumber): Promise<Uint8Array> {
    const { blocks } = this.#open;
    const { packNumber, offsetBytes, endBytes } = this.extent(number);
    const lengthBytes = endBytes + 1 - offsetBytes;
    const start = this.#placedStart(number);
    if (start > 0) {
      const entry = await this.#sidecarEntry(number, start, lengthBytes);
      if (entry !== undefined) return entry;
      this.#readAgain();
    }
    const { pack } = this.#keysOf(packNumber);
    return asRepositoryDamage(() => blocks.read(pack, offsetBytes, lengthBytes, this.#reading));
  }

  /** @returns `undefined` where the sidecar is of no use; it is not read again then. */
  async #sidecarEntry(
    number: ObjectNumber,
    start: number,
    lengthBytes: number,
  ): Promise<Uint8Array | undefined> {
    const { withoutSidecar } = this.#tables;
    const { blocks, onDamage } = this.#open;
    const packNumber = this.packNumberOf(number);
    const { newest } = this.#keysOf(packNumber);
    let failure: unknown = new CorruptPackError("newest entry does not match its checksum");
    try {
      const entry = await blocks.read(newest, start, lengthBytes, this.#reading);
      if (crc32(entry.subarray(0, -1)) === this.crc(number)) return entry;
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
  #readAgain(): void {
    const { withoutSidecar } = this.#tables;
    if (withoutSidecar.size === this.#readAgainCount) return;
    const packNumbers = [...withoutSidecar].slice(this.#readAgainCount);
    this.#readAgainCount = withoutSidecar.size;
    const numbers = this.#ahead
      .flat()
      .filter(
        (number) =>
          this.#tables.placedStarts[number] !== 0 && packNumbers.includes(this.packNumberOf(number)),
      );
    this.#open.blocks.readAhead(this.#rangesOf(numbers), this.#reading);
  }

  /** Entries beside the pack are read one by one. */
  isApart(objectNumber: ObjectNumber, next: ObjectNumber): boolean {
    const { offsets, ends } = this.#open.recent;
    const isBeside = this.#isBeside(objectNumber);
    return isBeside !== this.#isBeside(next) || (isBeside && ends[objectNumber] !== offsets[next]);
  }

  readAhead(objectNumbers: Iterable<ObjectNumber>): void {
    this.#readAgain();
    const begun: ObjectNumber[] = [];
    this.#ahead = [...this.#ahead.slice(-1), begun];
    this.#open.blocks.readAhead(this.#rangesOf(noted(objectNumbers, begun)), this.#reading);
  }

  *#rangesOf(objectNumbers: Iterable<ObjectNumber>): Generator<BlobRange, void, undefined> {
    for (const objectNumber of objectNumbers) {
      if (this.#tables.heldStarts[objectNumber] !== 0) continue;
      const { packNumber, offsetBytes, endBytes } = this.extent(objectNumber);
      const { pack, newest } = this.#keysOf(packNumber);
      // Objects are read with a byte more than their entry.
      const lengthBytes = endBytes + 1 - offsetBytes;
      const start = this.#placedStart(objectNumber);
      yield start === 0
        ? { key: pack, offsetBytes, endBytes: endBytes + 1 }
        : { key: newest, offsetBytes: start, endBytes: start + lengthBytes };
    }
  }

  get streamBudget(): StreamBudget {
    return this.#open.blocks.streamBudget;
  }

  streamPackRange(
    packNumber: PackNumber,
    offsetBytes: number,
    lengthBytes: number,
  ): AsyncIterable<Uint8Array> {
    const { blocks } = this.#open;
    return streamAsRepositoryDamage(
      blocks.stream(this.#keysOf(packNumber).pack, offsetBytes, lengthBytes, this.#reading),
    );
  }

  #keysOf(packNumber: PackNumber): { readonly pack: string; readonly newest: string } {
    const keys = this.#open.packKeys[packNumber];
    if (keys === undefined) throw new RangeError(`no pack has the number ${packNumber}`);
    return keys;
  }
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

function bucketOf(idBytes: Uint8Array, start: number): number {
  return ((idBytes[start] as number) << 8) | (idBytes[start + 1] as number);
}
