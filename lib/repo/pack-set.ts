/**
 * The packs of one generation by their indexes: which objects there are, and where.
 *
 * An object's number is its number in its pack's index, plus the objects of all older packs. An object that is in
 * several places counts at the first: the oldest pack, the smallest offset. That is what keeps copied deltas free of
 * circles, see PackReader.
 */

import { CorruptPackError } from "../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdBytes } from "../git/object-id.ts";
import type { IndexNumber, ObjectNumber, PackNumber } from "../git/object-numbers.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import { lowerBound } from "../git/pack/sorted-numbers.ts";
import type { StreamBudget } from "../git/pack/stream-prefetch.ts";
import type { EntryExtent, EntryPlaces, PackReader } from "../git/ports.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobStore, ReadOptions } from "../store/blob-store.ts";
import type { BlobRange, BlockCache } from "../store/block-cache.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import { asRepositoryDamage, streamAsRepositoryDamage } from "./repository-damage.ts";
import { ReverseIndex } from "./reverse-index.ts";

/** Entries of an index that are checked in a step of `WorkSlices`. */
const CHECKED_A_STEP = 50;
/** From this share of all objects on, passing through all of them is faster than sorting the chosen ones. */
const SCAN_SHARE = 1 / 32;

interface OpenPack {
  readonly key: string;
  readonly index: PackIndex;
  readonly packBytes: number;
  /** Number of its first object. */
  readonly firstNumber: number;
  /** Whether some of its objects count elsewhere. */
  readonly hasRepeats: boolean;
  places: ReverseIndex | undefined;
}

export class PackSet implements PackReader {
  readonly objectCount: number;
  readonly #packs: readonly OpenPack[];
  readonly #firstNumbers: Uint32Array;
  readonly #blocks: BlockCache;
  readonly #reading: ReadOptions;

  private constructor(packs: readonly OpenPack[], blocks: BlockCache, reading: ReadOptions = {}) {
    this.#packs = packs;
    this.#firstNumbers = Uint32Array.from(packs, ({ firstNumber }) => firstNumber);
    this.#blocks = blocks;
    this.#reading = reading;
    const last = packs.at(-1);
    this.objectCount = last === undefined ? 0 : last.firstNumber + last.index.objectCount;
  }

  /**
   * Reads the indexes, all in one round.
   * @param packs - Of the manifest, oldest first.
   * @throws {CorruptPackError} An index is not what the manifest says.
   */
  static async open(
    { store, blocks }: { readonly store: BlobStore; readonly blocks: BlockCache },
    keys: RepositoryKeys,
    packs: readonly ManifestPack[],
    reading?: ReadOptions,
  ): Promise<PackSet> {
    const indexes = await Promise.all(packs.map(({ id }) => store.read(keys.packIndex(id), reading)));
    const open: OpenPack[] = [];
    let firstNumber = 0;
    const slices = new WorkSlices({ signal: reading?.signal });
    for (const [packNumber, pack] of packs.entries()) {
      if (slices.isDue(pack.objectCount / CHECKED_A_STEP)) await slices.pause();
      const opened = openPack(keys, pack, indexes[packNumber]?.bytes ?? new Uint8Array(0), firstNumber);
      opened.index.verifyChecksum();
      open.push(opened);
      firstNumber += opened.index.objectCount;
    }
    return new PackSet(open, blocks);
  }

  static empty(blocks: BlockCache): PackSet {
    return new PackSet([], blocks);
  }

  /** The same packs; their bytes are read until `signal` aborts. */
  forReader(signal: AbortSignal): PackSet {
    return new PackSet(this.#packs, this.#blocks, { signal });
  }

  /** The set with one newer pack. @param indexBytes - Of that pack. */
  withPack(keys: RepositoryKeys, pack: ManifestPack, indexBytes: Uint8Array): PackSet {
    return new PackSet([...this.#packs, openPack(keys, pack, indexBytes, this.objectCount)], this.#blocks);
  }

  /** The repository's numbers of the objects in a pack's index, in its order. */
  numbersOf(packNumber: PackNumber): Uint32Array {
    const { index, firstNumber, hasRepeats } = this.#packAt(packNumber);
    const ids = index.objectIds();
    const numbers = new Uint32Array(index.objectCount);
    for (let number = 0; number < numbers.length; number++)
      numbers[number] = hasRepeats ? this.find(ids, number * OBJECT_ID_BYTES) : firstNumber + number;
    return numbers;
  }

  find(idBytes: Uint8Array, start: number): ObjectNumber {
    for (const pack of this.#packs) {
      const number = pack.index.findBytes(idBytes, start);
      if (number >= 0) return pack.firstNumber + (pack.hasRepeats ? firstInPack(pack.index, number) : number);
    }
    return -1;
  }

  findId(id: ObjectId): ObjectNumber {
    return this.find(objectIdBytes(id), 0);
  }

  objectId(objectNumber: ObjectNumber): ObjectId {
    const pack = this.#packOf(objectNumber);
    return pack.index.objectId(objectNumber - pack.firstNumber);
  }

  crc(objectNumber: ObjectNumber): number {
    const pack = this.#packOf(objectNumber);
    return pack.index.crc(objectNumber - pack.firstNumber);
  }

  extent(objectNumber: ObjectNumber): EntryExtent {
    const packNumber = this.packNumberOf(objectNumber);
    const pack = this.#packAt(packNumber);
    const places = placesOf(pack);
    const rank = places.rank(objectNumber - pack.firstNumber);
    return { packNumber, offsetBytes: places.offsetBytes(rank), endBytes: places.offsetBytes(rank + 1) };
  }

  objectAt(packNumber: PackNumber, offsetBytes: number): ObjectNumber {
    const pack = this.#packAt(packNumber);
    const number = placesOf(pack).numberAt(offsetBytes);
    return pack.hasRepeats ? this.findId(pack.index.objectId(number)) : pack.firstNumber + number;
  }

  allObjects(): Uint32Array {
    const numbers = new Uint32Array(this.objectCount);
    let count = 0;
    for (const packNumber of this.#packs.keys()) {
      const own = this.ownObjects(packNumber);
      numbers.set(own, count);
      count += own.length;
    }
    return numbers.subarray(0, count);
  }

  firstNumber(packNumber: PackNumber): ObjectNumber {
    return this.#packAt(packNumber).firstNumber;
  }

  ownObjects(packNumber: PackNumber): Uint32Array {
    const pack = this.#packAt(packNumber);
    const numbers = new Uint32Array(pack.index.objectCount);
    let count = 0;
    for (const number of placesOf(pack).numbersInOrder()) {
      const objectNumber = pack.firstNumber + number;
      if (!pack.hasRepeats || this.findId(pack.index.objectId(number)) === objectNumber) {
        numbers[count++] = objectNumber;
      }
    }
    return numbers.subarray(0, count);
  }

  sortByPlace(objectNumbers: Uint32Array): void {
    if (objectNumbers.length >= this.objectCount * SCAN_SHARE) {
      this.#sortByScan(objectNumbers);
      return;
    }
    // Sorted by number they are grouped by pack.
    objectNumbers.sort();
    for (let first = 0; first < objectNumbers.length; ) {
      const pack = this.#packOf(objectNumbers[first] as number);
      const end = lowerBound(objectNumbers, pack.firstNumber + pack.index.objectCount, first);
      placesOf(pack).sortByPlace(objectNumbers.subarray(first, end), pack.firstNumber);
      first = end;
    }
  }

  #sortByScan(objectNumbers: Uint32Array): void {
    const isChosen = new Uint8Array(this.objectCount);
    for (const objectNumber of objectNumbers) isChosen[objectNumber] = 1;
    let count = 0;
    for (const pack of this.#packs) {
      for (const number of placesOf(pack).numbersInOrder()) {
        if (isChosen[pack.firstNumber + number] === 1) objectNumbers[count++] = pack.firstNumber + number;
      }
    }
  }

  locate(objectNumbers: Uint32Array): EntryPlaces {
    const count = objectNumbers.length;
    const packNumbers = new Uint32Array(count);
    const offsets = new Float64Array(count);
    const ends = new Float64Array(count);
    for (let first = 0; first < count; ) {
      const packNumber = this.packNumberOf(objectNumbers[first] as number);
      const { firstNumber, index } = this.#packAt(packNumber);
      const places = placesOf(this.#packAt(packNumber));
      let i = first;
      for (; i < count; i++) {
        const number = (objectNumbers[i] as number) - firstNumber;
        if (number < 0 || number >= index.objectCount) break;
        const rank = places.rank(number);
        packNumbers[i] = packNumber;
        offsets[i] = places.offsetBytes(rank);
        ends[i] = places.offsetBytes(rank + 1);
      }
      first = i;
    }
    return { objectNumbers, packNumbers, offsets, ends };
  }

  async readPackRange(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const { key } = this.#packAt(packNumber);
    return asRepositoryDamage(() => this.#blocks.read(key, offsetBytes, lengthBytes, this.#reading));
  }

  readAhead(objectNumbers: Iterable<number>): void {
    this.#blocks.readAhead(this.#rangesOf(objectNumbers), this.#reading);
  }

  *#rangesOf(objectNumbers: Iterable<number>): Generator<BlobRange, void, undefined> {
    for (const objectNumber of objectNumbers) {
      const { packNumber, offsetBytes, endBytes } = this.extent(objectNumber);
      // Objects are read with a byte more than their entry.
      yield { key: this.#packAt(packNumber).key, offsetBytes, endBytes: endBytes + 1 };
    }
  }

  get streamBudget(): StreamBudget {
    return this.#blocks.streamBudget;
  }

  streamPackRange(
    packNumber: PackNumber,
    offsetBytes: number,
    lengthBytes: number,
  ): AsyncIterable<Uint8Array> {
    const { key } = this.#packAt(packNumber);
    return streamAsRepositoryDamage(this.#blocks.stream(key, offsetBytes, lengthBytes, this.#reading));
  }

  packNumberOf(objectNumber: ObjectNumber): PackNumber {
    return lowerBound(this.#firstNumbers, objectNumber + 1) - 1;
  }

  #packOf(objectNumber: ObjectNumber): OpenPack {
    return this.#packAt(this.packNumberOf(objectNumber));
  }

  #packAt(packNumber: PackNumber): OpenPack {
    const pack = this.#packs[packNumber];
    if (pack === undefined) throw new RangeError(`no pack has the number ${packNumber}`);
    return pack;
  }
}

function openPack(
  keys: RepositoryKeys,
  pack: ManifestPack,
  indexBytes: Uint8Array,
  firstNumber: number,
): OpenPack {
  const index = new PackIndex(indexBytes);
  if (index.objectCount !== pack.objectCount) {
    throw new CorruptPackError("pack index and manifest disagree", { packId: pack.id });
  }
  return {
    key: keys.pack(pack.id),
    index,
    packBytes: pack.packBytes,
    firstNumber,
    hasRepeats: pack.repeatedObjectCount > 0 || pack.objectCount > pack.sentObjectCount,
    places: undefined,
  };
}

function placesOf(pack: OpenPack): ReverseIndex {
  pack.places ??= new ReverseIndex(pack.index, pack.packBytes);
  return pack.places;
}

/** Of the entries with this object, which are neighbours in the index, the one with the smallest offset. */
function firstInPack(index: PackIndex, number: IndexNumber): number {
  const id = index.objectId(number);
  let first = number;
  for (const step of [-1, 1]) {
    for (let next = number + step; next >= 0 && next < index.objectCount; next += step) {
      if (index.objectId(next) !== id) break;
      if (index.offsetBytes(next) < index.offsetBytes(first)) first = next;
    }
  }
  return first;
}
