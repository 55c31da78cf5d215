/**
 * Copies the entries of chosen objects into a pack: compressed bytes as they are. Adjacent entries whose bases
 * move with them are copied together; of other deltas the head changes. An object whose base the reader will not have becomes
 * a delta of a relative, or is written whole.
 * Source: gitformat-pack(5).
 */

import { crc32 } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";
import { objectIdBytes } from "../object-id.ts";
import type { ObjectNumber, PackNumber } from "../object-numbers.ts";
import type { PackedObjects } from "../ports.ts";
import type { PackOutput } from "./chunk-collector.ts";
import { DeltaBaseSelection, DeltaBudget } from "./delta-base-selection.ts";
import { type EntryWindow, entryAt } from "./entry-window.ts";
import { readRest } from "./entry-windows.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  type EntryHead,
  encodeEntrySize,
  encodeOfsDeltaDistance,
  isDelta,
  OBJECT_TYPE,
} from "./pack-format.ts";
import type { RecipeRecorder } from "./recipe-recorder.ts";
import { EntryReencoder } from "./reencoded-entry.ts";
import { WrittenEntries } from "./written-entries.ts";

/** What is written, and for whom. */
export interface EntryWriterOptions {
  readonly objects: PackedObjects;
  /** Each once. Gets sorted. */
  readonly objectNumbers: Uint32Array;
  /** Longest chain of deltas; deeper ones are re-encoded. Without it, copied deltas keep their depth. */
  readonly maxDepth?: number;
  /** Whether the reader of the pack has the object, so that it may be a base without being in the pack. */
  readonly clientHas: (objectNumber: ObjectNumber) => boolean;
  /** Whether deltas may name their base by distance. */
  readonly ofsDelta: boolean;
  /** Whether the client may have anything: whether `clientHas` is worth being asked. */
  readonly isThin: boolean;
  /** Called for each entry that was written: where, the CRC-32 of its bytes, and what it is a delta of, or -1. */
  readonly onEntry?: (
    objectNumber: ObjectNumber,
    offsetBytes: number,
    crc: number,
    baseNumber: ObjectNumber,
  ) => void;
  /** Whether the pack is stored for others: then every entry is verified here, not by the client. */
  readonly isKept?: boolean;
  /** Records what the pack is made of. */
  readonly recorder?: RecipeRecorder | undefined;
}

/** What an entry, or the beginning of a large one, is made of. */
interface PlannedEntry {
  readonly head: Uint8Array;
  readonly stream: Uint8Array;
  /** Of a large object made anew, what follows. */
  readonly rest?: AsyncIterable<Uint8Array> | undefined;
  readonly baseNumber: ObjectNumber;
}

/** As git's: each reader of the object has to apply all deltas below it. */
const MAX_REENCODED_DEPTH = 50;
/** Below this, a delta would hardly be shorter. */
const MIN_THINNED_BYTES = 256;

export class EntryWriter {
  readonly #output: PackOutput;
  readonly #options: EntryWriterOptions;
  readonly #written: WrittenEntries;
  readonly #choice: DeltaBaseSelection | undefined;
  readonly #reencoder: EntryReencoder;
  readonly #budget = new DeltaBudget();

  constructor(output: PackOutput, options: EntryWriterOptions) {
    const { objects, objectNumbers, clientHas, isThin } = options;
    this.#output = output;
    this.#options = options;
    this.#written = new WrittenEntries(objects.objectCount, objectNumbers.length);
    const { history } = objects;
    const isWritten = (objectNumber: ObjectNumber): boolean => this.#written.has(objectNumber);
    const isAtHand = (objectNumber: ObjectNumber): boolean =>
      (isWritten(objectNumber) || clientHas(objectNumber)) &&
      this.#depthOf(objectNumber) < MAX_REENCODED_DEPTH;
    this.#choice = history && new DeltaBaseSelection({ ...history, isWritten, isAtHand, isThin });
    this.#reencoder = new EntryReencoder(objects);
  }

  async *copyWindow(window: EntryWindow): AsyncGenerator<Uint8Array, void> {
    const { offsets, ends } = window.places;
    for (let place = window.first; place < window.end; ) {
      const runEnd = this.#copiedAsTheyAre(window, place);
      if (runEnd > place) {
        const start = (offsets[place] as number) - window.offsetBytes;
        const run = window.bytes.subarray(start, (ends[runEnd - 1] as number) - window.offsetBytes);
        this.#output.pass(run);
        this.#options.recorder?.copy(window.packNumber, offsets[place] as number, run);
        place = runEnd;
      } else {
        if (!this.#moveEntry(window, place)) yield* this.#writeEntry(window, place);
        place++;
      }
      if (this.#output.isFull) yield* this.#output.take();
    }
  }

  /**
   * Takes entries that follow one another and whose bases were moved as far as they are, so that no byte changes.
   * @returns The place after the last of them.
   */
  #copiedAsTheyAre(window: EntryWindow, place: number): number {
    const { places, first, end, packNumber, offsetBytes, bytes, isUnchecked } = window;
    const { offsets, ends, objectNumbers } = places;
    const { objects, ofsDelta, isThin, isKept, onEntry, maxDepth = Number.POSITIVE_INFINITY } = this.#options;
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
      const isInPlace =
        base < 0 ? !isThin : ofsDelta && this.#written.displacementBytes(base) === displacementBytes;
      const depth = base < 0 ? 0 : this.#written.depth(base) + 1;
      if (!isInPlace || depth > maxDepth || (base >= 0 && objects.packs.packNumberOf(base) !== packNumber))
        break;
      this.#written.set(objectNumber, displacementBytes, depth);
      if (isUnchecked && !isKept && onEntry === undefined) continue;
      const start = (offsets[next] as number) - offsetBytes;
      const crc = crc32(bytes.subarray(start, endBytes - offsetBytes));
      checkCrc(objects, objectNumber, crc);
      onEntry?.(objectNumber, displacementBytes + offsetBytes + start, crc, base);
    }
    return next;
  }

  /**
   * Writes an entry whose stream goes over as it is.
   * @returns Whether that is so: there is all of it, its base is at hand, and it need not be tried to make it smaller.
   */
  #moveEntry(window: EntryWindow, place: number): boolean {
    const { bytes, isWhole, objectNumber, offsetBytes } = entryAt(window, place);
    if (!isWhole) return false;
    const head = decodeEntryHead(bytes, 0, bytes.length);
    if (this.#mayBeThinned(bytes.length, head)) return false;
    const moved = this.#movedEntry(window.packNumber, offsetBytes, bytes, head);
    if (moved === undefined) return false;
    const { objects, onEntry } = this.#options;
    checkCrc(objects, objectNumber, crc32(bytes));
    const newOffsetBytes = this.#begin(window, place, moved, true);
    if (onEntry !== undefined)
      onEntry(objectNumber, newOffsetBytes, crc32(moved.stream, crc32(moved.head)), moved.baseNumber);
    return true;
  }

  async *#writeEntry(window: EntryWindow, place: number): AsyncGenerator<Uint8Array, void> {
    const { objects, onEntry } = this.#options;
    const { bytes, isWhole, objectNumber, offsetBytes, endBytes } = entryAt(window, place);
    let crc = crc32(bytes);
    if (isWhole) checkCrc(objects, objectNumber, crc);
    const head = decodeEntryHead(bytes, 0, bytes.length);
    const moved = this.#movedEntry(window.packNumber, offsetBytes, bytes, head);
    const mayBeThinned = isWhole && this.#mayBeThinned(bytes.length, head);
    const fresh =
      moved === undefined || mayBeThinned ? await this.#reencodedEntry(objectNumber, moved) : undefined;
    const written = fresh ?? moved;
    if (written === undefined) throw new CorruptPackError("entry can be written in no way", { offsetBytes });
    const newOffsetBytes = this.#begin(window, place, written, fresh === undefined);
    // Without a listener there is nothing to sum up.
    let newCrc = onEntry === undefined ? 0 : crc32(written.stream, crc32(written.head));
    const isCutOff = !isWhole && fresh === undefined;
    const rest = isCutOff ? readRest(objects.packs, window, endBytes) : (written.rest ?? []);
    for await (const piece of rest) {
      if (isCutOff) crc = crc32(piece, crc);
      if (onEntry !== undefined) newCrc = crc32(piece, newCrc);
      this.#output.write(piece);
      if (this.#output.isFull) yield* this.#output.take();
    }
    if (isCutOff) checkCrc(objects, objectNumber, crc);
    onEntry?.(objectNumber, newOffsetBytes, newCrc, written.baseNumber);
  }

  /**
   * @param isMoved - Whether the stream is the entry's own.
   * @returns Its offset in the new pack.
   */
  #begin(
    { packNumber, places, offsetBytes: windowBytes, bytes }: EntryWindow,
    place: number,
    { head, stream, rest, baseNumber }: PlannedEntry,
    isMoved: boolean,
  ): number {
    const newOffsetBytes = this.#output.offsetBytes;
    const depth = baseNumber < 0 ? 0 : this.#depthOf(baseNumber) + 1;
    const offsetBytes = places.offsets[place] as number;
    this.#written.set(places.objectNumbers[place] as number, newOffsetBytes - offsetBytes, depth);
    this.#output.write(head);
    this.#output.write(stream);
    const { recorder } = this.#options;
    if (recorder === undefined) return newOffsetBytes;
    recorder.literal(head);
    if (isMoved) {
      // With what is to follow of a large one.
      const endBytes = places.ends[place] as number;
      const heldEndBytes = Math.min(endBytes, windowBytes + bytes.length);
      recorder.copy(packNumber, heldEndBytes - stream.length, stream);
      if (heldEndBytes < endBytes) recorder.copyRange(packNumber, heldEndBytes, endBytes - heldEndBytes);
    } else {
      recorder.literal(stream);
      if (rest !== undefined) recorder.giveUp();
    }
    return newOffsetBytes;
  }

  /** @returns The entry with its new head; `undefined` if its base will not be at hand in the new pack. */
  #movedEntry(
    packNumber: PackNumber,
    offsetBytes: number,
    entry: Uint8Array,
    head: EntryHead,
  ): PlannedEntry | undefined {
    const stream = entry.subarray(head.headBytes);
    if (!isDelta(head)) return { head: entry.subarray(0, head.headBytes), stream, baseNumber: -1 };
    const { objects, maxDepth = Number.POSITIVE_INFINITY } = this.#options;
    const baseNumber =
      head.type === DELTA_TYPE.ref
        ? objects.find(entry, head.baseIdIndex)
        : objects.packs.objectAt(packNumber, offsetBytes - head.baseDistanceBytes);
    if (baseNumber < 0) throw new CorruptPackError("delta's base is missing", { packNumber, offsetBytes });
    const isTooDeep = maxDepth < Number.POSITIVE_INFINITY && this.#depthOf(baseNumber) >= maxDepth;
    const newHead = isTooDeep ? undefined : this.#deltaHead(baseNumber, head.inflatedBytes);
    return newHead && { head: newHead, stream, baseNumber };
  }

  /** A client completes a thin pack with whole bases; where depth matters, they have the depth of their own packs. */
  #depthOf(objectNumber: ObjectNumber): number {
    if (this.#written.has(objectNumber)) return this.#written.depth(objectNumber);
    const { objects, maxDepth } = this.#options;
    const bases = objects.history?.deltaForest.parents;
    if (bases === undefined || maxDepth === undefined) return 0;
    let depth = 0;
    for (let base = bases[objectNumber] ?? -1; base >= 0 && depth < maxDepth; base = bases[base] as number)
      depth++;
    return depth;
  }

  /** @returns `undefined` if the base is neither written nor the client's. */
  #deltaHead(baseNumber: ObjectNumber, inflatedBytes: number): Uint8Array | undefined {
    const { objects, ofsDelta, clientHas } = this.#options;
    const isWritten = this.#written.has(baseNumber);
    if (isWritten && ofsDelta) {
      const baseOffsetBytes =
        objects.packs.extent(baseNumber).offsetBytes + this.#written.displacementBytes(baseNumber);
      return Buffer.concat([
        encodeEntrySize(DELTA_TYPE.ofs, inflatedBytes),
        encodeOfsDeltaDistance(this.#output.offsetBytes - baseOffsetBytes),
      ]);
    }
    if (!isWritten && !clientHas(baseNumber)) return undefined;
    return Buffer.concat([
      encodeEntrySize(DELTA_TYPE.ref, inflatedBytes),
      objectIdBytes(objects.objectId(baseNumber)),
    ]);
  }

  #mayBeThinned(entryBytes: number, head: EntryHead): boolean {
    const { isThin } = this.#options;
    return isThin && !isDelta(head) && entryBytes >= MIN_THINNED_BYTES && this.#budget.allowsThinning;
  }

  /**
   * @param moved - What it is to be better than.
   * @returns `undefined` if it is not.
   */
  async #reencodedEntry(
    objectNumber: ObjectNumber,
    moved: PlannedEntry | undefined,
  ): Promise<PlannedEntry | undefined> {
    const baseNumber = this.#choice?.choose(objectNumber) ?? -1;
    const costBytes = baseNumber < 0 ? undefined : this.#reencoder.deltaCostBytes(objectNumber, baseNumber);
    if (costBytes !== undefined && this.#budget.take(costBytes, moved !== undefined)) {
      const delta = await this.#reencoder.delta(objectNumber, baseNumber);
      const head = delta && this.#deltaHead(baseNumber, delta.inflatedBytes);
      if (delta !== undefined && head !== undefined) return { head, stream: delta.stream, baseNumber };
    }
    if (moved !== undefined) return undefined;
    const { type, stream, rest, inflatedBytes } = await this.#reencoder.whole(objectNumber);
    return { head: encodeEntrySize(OBJECT_TYPE[type], inflatedBytes), stream, rest, baseNumber: -1 };
  }
}

function checkCrc(objects: PackedObjects, objectNumber: ObjectNumber, crc: number): void {
  if (crc !== objects.packs.crc(objectNumber)) {
    throw new CorruptPackError("entry does not match its checksum", { id: objects.objectId(objectNumber) });
  }
}
