/**
 * Writes a pack of chosen objects by copying their entries: compressed bytes as they are. Entries that lie together and
 * whose bases move with them are copied together; of other deltas the head changes. An object whose base the reader will
 * not have becomes a delta of a relative, or is written whole.
 * Source: gitformat-pack(5).
 */
import { crc32 } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";
import { objectIdBytes } from "../object-id.ts";
import type { EntryPlaces, PackedObjects } from "../ports.ts";
import { BaseChoice } from "./base-choice.ts";
import { Displacements } from "./displacements.ts";
import { type EntryWindow, readEntryWindows, readRest } from "./entry-windows.ts";
import { FreshEntries } from "./fresh-entry.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  type EntryHead,
  encodeEntrySize,
  encodeOfsDeltaDistance,
  encodePackHeader,
  OBJECT_TYPE,
} from "./pack-format.ts";
import { PackOutput } from "./pack-output.ts";

export interface WritePackOptions {
  readonly objects: PackedObjects;
  /** Each once. */
  readonly objectNumbers: Uint32Array;
  /** Whether the reader of the pack has the object, so that it may be a base without being in the pack. */
  readonly clientHas: (objectNumber: number) => boolean;
  /** Whether deltas may name their base by distance. */
  readonly ofsDelta: boolean;
  /** Whether the client may have anything: whether `clientHas` is worth being asked. */
  readonly isThin: boolean;
}

/**
 * Of whole objects that are made deltas of what the client has, contents and bases: what takes about a tenth of a second.
 * Past it they are copied, which costs nothing but the client's bandwidth.
 */
const MAX_THINNED_BYTES = 16 * 1024 * 1024;
/** Below this, a delta would hardly be shorter. */
const MIN_THINNED_BYTES = 256;

/** @throws {CorruptPackError} While iterating: an entry is broken. */
export async function* writePack(options: WritePackOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const output = new PackOutput();
  yield* output.write(encodePackHeader(options.objectNumbers.length));
  yield* writeEntries(output, options);
  yield* output.end();
}

/** A part of a pack: bases by distance are only those of the same part. @throws {CorruptPackError} As `writePack`. */
export async function* writeEntries(
  output: PackOutput,
  options: WritePackOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { packs } = options.objects;
  const places = packs.locate(options.objectNumbers);
  const writer = new EntryWriter(output, options, places);
  for await (const window of readEntryWindows(packs, places)) yield* writer.copyWindow(window);
}

class EntryWriter {
  readonly #output: PackOutput;
  readonly #options: WritePackOptions;
  readonly #places: EntryPlaces;
  readonly #moved: Displacements;
  readonly #choice: BaseChoice | undefined;
  readonly #fresh: FreshEntries;
  #leftThinnedBytes = MAX_THINNED_BYTES;

  constructor(output: PackOutput, options: WritePackOptions, places: EntryPlaces) {
    const { objects, clientHas, isThin } = options;
    this.#output = output;
    this.#options = options;
    this.#places = places;
    this.#moved = new Displacements(objects.objectCount, places.offsets.length);
    const { history } = objects;
    const isWritten = (objectNumber: number): boolean => this.#moved.has(objectNumber);
    this.#choice = history && new BaseChoice({ ...history, isWritten, clientHas, isThin });
    this.#fresh = new FreshEntries(objects);
  }

  async *copyWindow(window: EntryWindow): AsyncGenerator<Uint8Array, void, undefined> {
    const { offsets, ends } = this.#places;
    for (let place = window.first; place < window.end; ) {
      const start = (offsets[place] as number) - window.offsetBytes;
      const runEnd = this.#copiedAsTheyAre(window, place);
      if (runEnd > place) {
        yield* this.#output.write(
          window.bytes.subarray(start, (ends[runEnd - 1] as number) - window.offsetBytes),
        );
        place = runEnd;
      } else {
        yield* this.#writeEntry(
          window,
          place,
          window.bytes.subarray(start, (ends[place] as number) - window.offsetBytes),
        );
        place++;
      }
    }
  }

  /**
   * Takes entries that follow one another and whose bases were moved as far as they are, so that no byte changes.
   * @returns The place after the last of them.
   */
  #copiedAsTheyAre({ first, end, packNumber, offsetBytes, bytes }: EntryWindow, place: number): number {
    const { offsets, ends, objectNumbers } = this.#places;
    const { objects, ofsDelta, isThin } = this.#options;
    const bases = objects.history?.deltaForest.parents;
    if (bases === undefined) return place;
    const displacementBytes = this.#output.offsetBytes - (offsets[place] as number);
    let next = place;
    for (; next < end; next++) {
      const objectNumber = objectNumbers[next] as number;
      const endBytes = ends[next] as number;
      if (next > place && offsets[next] !== ends[next - 1]) break;
      if (next === first && endBytes - offsetBytes > bytes.length) break;
      const base = bases[objectNumber] as number;
      const isInPlace = base < 0 ? !isThin : ofsDelta && this.#moved.get(base) === displacementBytes;
      if (!isInPlace || (base >= 0 && objects.packs.packNumberOf(base) !== packNumber)) break;
      const start = (offsets[next] as number) - offsetBytes;
      checkCrc(objects, objectNumber, crc32(bytes.subarray(start, endBytes - offsetBytes)));
      this.#moved.set(objectNumber, displacementBytes);
    }
    return next;
  }

  async *#writeEntry(
    window: EntryWindow,
    place: number,
    entry: Uint8Array,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { objects } = this.#options;
    const objectNumber = this.#places.objectNumbers[place] as number;
    const endBytes = this.#places.ends[place] as number;
    const offsetBytes = this.#places.offsets[place] as number;
    const isWhole = entry.length === endBytes - offsetBytes;
    if (isWhole) checkCrc(objects, objectNumber, crc32(entry));
    const head = decodeEntryHead(entry, 0, entry.length);
    const newOffsetBytes = this.#output.offsetBytes;
    const newHead = this.#planHead(window.packNumber, offsetBytes, entry, head);
    if (newHead === undefined || (isWhole && this.#mayBeThinned(entry.length, head))) {
      const made = await this.#freshEntry(objectNumber, newHead === undefined);
      if (made !== undefined) {
        this.#moved.set(objectNumber, newOffsetBytes - offsetBytes);
        yield* this.#output.write(made.head);
        yield* this.#output.write(made.stream);
        return;
      }
    }
    this.#moved.set(objectNumber, newOffsetBytes - offsetBytes);
    yield* this.#output.write(newHead ?? entry.subarray(0, head.headBytes));
    yield* this.#output.write(entry.subarray(head.headBytes));
    if (isWhole) return;
    let crc = crc32(entry);
    for await (const piece of readRest(objects.packs, window, endBytes)) {
      crc = crc32(piece, crc);
      yield* this.#output.write(piece);
    }
    checkCrc(objects, objectNumber, crc);
  }

  /** @returns The head for the entry in the new pack; `undefined` if its base will not be at hand there. */
  #planHead(
    packNumber: number,
    offsetBytes: number,
    entry: Uint8Array,
    head: EntryHead,
  ): Uint8Array | undefined {
    if (head.type !== DELTA_TYPE.ofs && head.type !== DELTA_TYPE.ref)
      return entry.subarray(0, head.headBytes);
    const { objects } = this.#options;
    const baseNumber =
      head.type === DELTA_TYPE.ref
        ? objects.find(entry, head.baseIdIndex)
        : objects.packs.objectAt(packNumber, offsetBytes - head.baseDistanceBytes);
    if (baseNumber < 0) throw new CorruptPackError("delta's base is missing", { packNumber, offsetBytes });
    return this.#deltaHead(baseNumber, head.inflatedBytes);
  }

  /** @returns `undefined` if the base is neither written nor the client's. */
  #deltaHead(baseNumber: number, inflatedBytes: number): Uint8Array | undefined {
    const { objects, ofsDelta, clientHas } = this.#options;
    const isWritten = this.#moved.has(baseNumber);
    if (isWritten && ofsDelta) {
      const baseOffsetBytes = objects.packs.extent(baseNumber).offsetBytes + this.#moved.get(baseNumber);
      return joined(
        encodeEntrySize(DELTA_TYPE.ofs, inflatedBytes),
        encodeOfsDeltaDistance(this.#output.offsetBytes - baseOffsetBytes),
      );
    }
    if (!isWritten && !clientHas(baseNumber)) return undefined;
    return joined(
      encodeEntrySize(DELTA_TYPE.ref, inflatedBytes),
      objectIdBytes(objects.objectId(baseNumber)),
    );
  }

  #mayBeThinned(entryBytes: number, { type }: EntryHead): boolean {
    const isDelta = type === DELTA_TYPE.ofs || type === DELTA_TYPE.ref;
    return this.#options.isThin && !isDelta && entryBytes >= MIN_THINNED_BYTES && this.#leftThinnedBytes > 0;
  }

  /** @returns `undefined` if the entry may be copied as it is and nothing is gained by another. */
  async #freshEntry(
    objectNumber: number,
    isNeeded: boolean,
  ): Promise<{ readonly head: Uint8Array; readonly stream: Uint8Array } | undefined> {
    const baseNumber = this.#choice?.choose(objectNumber) ?? -1;
    if (baseNumber >= 0) {
      if (!isNeeded) this.#leftThinnedBytes -= 2 * (this.#options.objects.history?.sizes[objectNumber] ?? 0);
      const delta = await this.#fresh.delta(objectNumber, baseNumber);
      const head = delta && this.#deltaHead(baseNumber, delta.inflatedBytes);
      if (delta !== undefined && head !== undefined) return { head, stream: delta.stream };
    }
    if (!isNeeded) return undefined;
    const { type, stream, inflatedBytes } = await this.#fresh.whole(objectNumber);
    return { head: encodeEntrySize(OBJECT_TYPE[type], inflatedBytes), stream };
  }
}

function checkCrc(objects: PackedObjects, objectNumber: number, crc: number): void {
  if (crc !== objects.packs.crc(objectNumber)) {
    throw new CorruptPackError("entry does not match its checksum", { id: objects.objectId(objectNumber) });
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
