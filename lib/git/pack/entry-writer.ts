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
import { DeltaBaseSelection } from "./delta-base-selection.ts";
import type { EntryWindow } from "./entry-windows.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  type EntryHead,
  encodeEntrySize,
  encodeOfsDeltaDistance,
  isDelta,
  OBJECT_TYPE,
} from "./pack-format.ts";
import type { RecipeRecorder } from "./pack-recipe.ts";
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

/** An entry of a window. */
interface SourceEntry {
  readonly objectNumber: ObjectNumber;
  readonly packNumber: PackNumber;
  readonly offsetBytes: number;
  readonly endBytes: number;
  /** What the window has of it. */
  readonly bytes: Uint8Array;
  readonly isWhole: boolean;
  /** The same with its new head; `undefined` if its base will not be at hand in the new pack. */
  readonly moved: PlannedEntry | undefined;
  /** Whether a delta of what the client has may be shorter. */
  readonly mayBeThinned: boolean;
}

/** As git's: each reader of the object has to apply all deltas below it. */
const MAX_REENCODED_DEPTH = 50;
/** Below this, a delta would hardly be shorter. */
const MIN_THINNED_BYTES = 256;

export class EntryWriter {
  readonly #output: PackOutput;
  readonly #options: EntryWriterOptions;
  readonly #written: WrittenEntries;
  readonly #reencoder: EntryReencoder;

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
    const selection = history && new DeltaBaseSelection({ ...history, isWritten, isAtHand, isThin });
    this.#reencoder = new EntryReencoder(objects, selection);
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
        const entry = this.#entryAt(window, place++);
        const { moved, isWhole, mayBeThinned } = entry;
        // Most entries: without a generator for each.
        if (moved !== undefined && isWhole && !mayBeThinned) this.#writeMoved(entry, moved);
        else yield* this.#writeEntry(entry);
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

  #entryAt(
    { places, packNumber, offsetBytes: windowBytes, bytes: held }: EntryWindow,
    place: number,
  ): SourceEntry {
    const objectNumber = places.objectNumbers[place] as number;
    const offsetBytes = places.offsets[place] as number;
    const endBytes = places.ends[place] as number;
    const bytes = held.subarray(offsetBytes - windowBytes, endBytes - windowBytes);
    const isWhole = bytes.length === endBytes - offsetBytes;
    const head = decodeEntryHead(bytes, 0, bytes.length);
    const mayBeThinned =
      this.#options.isThin &&
      isWhole &&
      !isDelta(head) &&
      bytes.length >= MIN_THINNED_BYTES &&
      this.#reencoder.allowsThinning;
    const moved = this.#movedEntry(objectNumber, { packNumber, offsetBytes }, bytes, head);
    return { objectNumber, packNumber, offsetBytes, endBytes, bytes, isWhole, moved, mayBeThinned };
  }

  #writeMoved(entry: SourceEntry, moved: PlannedEntry): void {
    const { objects, onEntry } = this.#options;
    const { bytes, objectNumber } = entry;
    checkCrc(objects, objectNumber, crc32(bytes));
    const newOffsetBytes = this.#begin(entry, moved);
    // Without a listener there is nothing to sum up.
    if (onEntry !== undefined)
      onEntry(objectNumber, newOffsetBytes, crc32(moved.stream, crc32(moved.head)), moved.baseNumber);
  }

  async *#writeEntry(entry: SourceEntry): AsyncGenerator<Uint8Array, void> {
    const { objects, onEntry } = this.#options;
    const { objectNumber, packNumber, offsetBytes, endBytes, bytes, isWhole, moved, mayBeThinned } = entry;
    let crc = crc32(bytes);
    if (isWhole) checkCrc(objects, objectNumber, crc);
    const written =
      moved === undefined || mayBeThinned ? await this.#reencodedEntry(objectNumber, moved) : moved;
    const newOffsetBytes = this.#begin(entry, written);
    let newCrc = onEntry === undefined ? 0 : crc32(written.stream, crc32(written.head));
    const isCutOff = !isWhole && written === moved;
    const restStart = offsetBytes + bytes.length;
    const rest = isCutOff
      ? objects.packs.streamPackRange(packNumber, restStart, endBytes - restStart)
      : (written.rest ?? []);
    for await (const piece of rest) {
      if (isCutOff) crc = crc32(piece, crc);
      if (onEntry !== undefined) newCrc = crc32(piece, newCrc);
      this.#output.write(piece);
      if (this.#output.isFull) yield* this.#output.take();
    }
    if (isCutOff) checkCrc(objects, objectNumber, crc);
    onEntry?.(objectNumber, newOffsetBytes, newCrc, written.baseNumber);
  }

  /** @returns Its offset in the new pack. */
  #begin(entry: SourceEntry, written: PlannedEntry): number {
    const { packNumber, offsetBytes, endBytes, bytes } = entry;
    const { head, stream, rest, baseNumber } = written;
    const newOffsetBytes = this.#output.offsetBytes;
    const depth = baseNumber < 0 ? 0 : this.#depthOf(baseNumber) + 1;
    this.#written.set(entry.objectNumber, newOffsetBytes - offsetBytes, depth);
    this.#output.write(head);
    this.#output.write(stream);
    const { recorder } = this.#options;
    recorder?.literal(head);
    if (written === entry.moved) {
      // With what is to follow of a large one.
      const heldEndBytes = offsetBytes + bytes.length;
      recorder?.copy(packNumber, heldEndBytes - stream.length, stream);
      if (heldEndBytes < endBytes) recorder?.copyRange(packNumber, heldEndBytes, endBytes - heldEndBytes);
    } else {
      recorder?.literal(stream);
      if (rest !== undefined) recorder?.giveUp();
    }
    return newOffsetBytes;
  }

  #movedEntry(
    objectNumber: ObjectNumber,
    { packNumber, offsetBytes }: Pick<SourceEntry, "packNumber" | "offsetBytes">,
    entry: Uint8Array,
    head: EntryHead,
  ): PlannedEntry | undefined {
    const stream = entry.subarray(head.headBytes);
    if (!isDelta(head)) return { head: entry.subarray(0, head.headBytes), stream, baseNumber: -1 };
    const { objects, clientHas, maxDepth = Number.POSITIVE_INFINITY } = this.#options;
    const baseNumber =
      head.type === DELTA_TYPE.ref
        ? objects.find(entry, head.baseIdIndex)
        : objects.packs.objectAt(packNumber, offsetBytes - head.baseDistanceBytes, objectNumber);
    if (baseNumber < 0) throw new CorruptPackError("delta's base is missing", { packNumber, offsetBytes });
    const isTooDeep = maxDepth < Number.POSITIVE_INFINITY && this.#depthOf(baseNumber) >= maxDepth;
    if (isTooDeep || !(this.#written.has(baseNumber) || clientHas(baseNumber))) return undefined;
    return { head: this.#deltaHead(baseNumber, head.inflatedBytes), stream, baseNumber };
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

  /** @param baseNumber - Written, or the client's. */
  #deltaHead(baseNumber: ObjectNumber, inflatedBytes: number): Uint8Array {
    const { objects, ofsDelta } = this.#options;
    if (!ofsDelta || !this.#written.has(baseNumber)) {
      const baseId = objectIdBytes(objects.objectId(baseNumber));
      return Buffer.concat([encodeEntrySize(DELTA_TYPE.ref, inflatedBytes), baseId]);
    }
    const baseOffsetBytes =
      objects.packs.extent(baseNumber).offsetBytes + this.#written.displacementBytes(baseNumber);
    const distance = encodeOfsDeltaDistance(this.#output.offsetBytes - baseOffsetBytes);
    return Buffer.concat([encodeEntrySize(DELTA_TYPE.ofs, inflatedBytes), distance]);
  }

  /** @returns `moved` if nothing better can be made. */
  async #reencodedEntry(objectNumber: ObjectNumber, moved: PlannedEntry | undefined): Promise<PlannedEntry> {
    const delta = await this.#reencoder.delta(objectNumber, moved !== undefined);
    if (delta !== undefined) {
      const { baseNumber, inflatedBytes, stream } = delta;
      return { head: this.#deltaHead(baseNumber, inflatedBytes), stream, baseNumber };
    }
    if (moved !== undefined) return moved;
    const { type, stream, rest, inflatedBytes } = await this.#reencoder.whole(objectNumber);
    return { head: encodeEntrySize(OBJECT_TYPE[type], inflatedBytes), stream, rest, baseNumber: -1 };
  }
}

function checkCrc(objects: PackedObjects, objectNumber: ObjectNumber, crc: number): void {
  if (crc !== objects.packs.crc(objectNumber)) {
    throw new CorruptPackError("entry does not match its checksum", { id: objects.objectId(objectNumber) });
  }
}
