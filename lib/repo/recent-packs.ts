/**
 * The recent objects of all packs, see RecentObjects: read as through the packs' indexes. Numbers are in the order of packs and offsets.
 */
import { CorruptPackError } from "../errors.ts";
import type { CommitHistory } from "../git/history/commit-history.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../git/object-id.ts";
import type { ObjectNumber, PackNumber } from "../git/object-numbers.ts";
import { ascendingNumbers, lowerBound } from "../git/pack/sorted-numbers.ts";
import type { StreamBudget } from "../git/pack/stream-prefetch.ts";
import type { EntryExtent, EntryPlaces, PackReader } from "../git/ports.ts";
import type { ReadOptions } from "../store/blob-store.ts";
import { keysOf, type PackKeys, RecentEntries, type RecentEntriesOf } from "./recent-entries.ts";
import { asRepositoryDamage, streamAsRepositoryDamage } from "./repository-damage.ts";

interface OpenRecent extends RecentEntriesOf {
  readonly history: CommitHistory;
}

/** Made once for all readers. */
interface Tables {
  /** By pack: the number of its first object; and at the end, of the one after the last. */
  readonly firstNumbers: Uint32Array;
  /** By the first two bytes of an id: 1 + the number of an object whose id begins so; 0 if none does. */
  readonly heads: Uint32Array;
  /** By number: the same of the next one with these bytes. A tenth of the time that sorting takes. */
  readonly nexts: Uint32Array;
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
  readonly #entries: RecentEntries;

  private constructor(open: OpenRecent, tables: Tables, entries: RecentEntries, reading: ReadOptions = {}) {
    this.#open = open;
    this.#tables = tables;
    this.#entries = entries;
    this.#reading = reading;
  }

  static open(open: OpenRecent): RecentPacks {
    const { ids, crcs, packCounts } = open.recent;
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
    return new RecentPacks(open, { firstNumbers, heads, nexts }, RecentEntries.open(open, firstNumbers));
  }

  forReader(signal: AbortSignal): RecentPacks {
    return new RecentPacks(this.#open, this.#tables, this.#entries.forReader(signal), { signal });
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
    this.#entries.readAgain();
    const entries = this.#entriesBeside(packNumber, offsetBytes, offsetBytes + lengthBytes);
    const { pack } = this.#keysOf(packNumber);
    if (entries === undefined)
      return asRepositoryDamage(() => blocks.read(pack, offsetBytes, lengthBytes, this.#reading));
    const pieces: Uint8Array[] = [];
    for (const { number, lengthBytes: pieceBytes } of entries) {
      const entry = await this.#entries.read(number);
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
      if (number >= packEnd || offsets[number] !== next || !this.#entries.isBeside(number)) return undefined;
      const entryEnd = ends[number] as number;
      // The last one may be asked for with the byte behind it.
      const takenEnd = endBytes <= entryEnd + 1 ? endBytes : entryEnd;
      pieces.push({ number, lengthBytes: takenEnd - next });
      next = takenEnd;
    }
    return pieces;
  }

  /** Entries beside the pack are read one by one. */
  isApart(objectNumber: ObjectNumber, next: ObjectNumber): boolean {
    const { offsets, ends } = this.#open.recent;
    const isBeside = this.#entries.isBeside(objectNumber);
    return isBeside !== this.#entries.isBeside(next) || (isBeside && ends[objectNumber] !== offsets[next]);
  }

  readAhead(objectNumbers: Iterable<ObjectNumber>): void {
    this.#entries.readAhead(objectNumbers);
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

  #keysOf(packNumber: PackNumber): PackKeys {
    return keysOf(this.#open.packKeys, packNumber);
  }
}

function bucketOf(idBytes: Uint8Array, start: number): number {
  return ((idBytes[start] as number) << 8) | (idBytes[start + 1] as number);
}
