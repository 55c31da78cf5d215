/**
 * Writes a pack of chosen objects by copying their entries: compressed bytes as they are, only the heads of deltas
 * change. An object whose base the client will not have is written whole.
 * Source: gitformat-pack(5).
 */
import { crc32, deflateSync } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";
import { objectIdBytes } from "../object-id.ts";
import type { EntryExtent, PackedObjects } from "../ports.ts";
import { EntryWindow } from "./entry-window.ts";
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
  /** Each once. Gets sorted. */
  readonly objectNumbers: Uint32Array;
  /** Whether the reader of the pack has the object, so that it may be a base without being in the pack. */
  readonly clientHas: (objectNumber: number) => boolean;
  /** Whether deltas may name their base by distance. */
  readonly ofsDelta: boolean;
  /** Told of each entry that was written: where, and the CRC-32 of its bytes. */
  readonly onEntry?: (objectNumber: number, offsetBytes: number, crc: number) => void;
}

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
  const { objects, objectNumbers, onEntry } = options;
  const { packs } = objects;
  packs.sortByPlace(objectNumbers);
  const writer = new EntryWriter(options);
  const window = new EntryWindow(packs, objectNumbers);
  for (let index = 0; index < objectNumbers.length; index++) {
    const objectNumber = objectNumbers[index] ?? -1;
    const extent = packs.extent(objectNumber);
    const entry = window.peek(extent) ?? (await window.read(index));
    const isWhole = entry.length === extent.endBytes - extent.offsetBytes;
    if (isWhole) checkCrc(objects, objectNumber, crc32(entry));
    const head = decodeEntryHead(entry, 0, entry.length);
    const { offsetBytes } = output;
    const newHead = writer.planHead(extent, entry, head, offsetBytes);
    writer.place(objectNumber, offsetBytes);
    if (newHead === undefined) {
      const whole = await writer.wholeEntry(objectNumber);
      onEntry?.(objectNumber, offsetBytes, crc32(whole));
      yield* output.write(whole);
      continue;
    }
    if (!output.tryWrite(newHead)) yield* output.write(newHead);
    const body = entry.subarray(head.headBytes);
    if (!output.tryWrite(body)) yield* output.write(body);
    // Without a listener there is nothing to sum up.
    let newCrc = onEntry === undefined ? 0 : crc32(body, crc32(newHead));
    if (!isWhole) {
      let crc = crc32(entry);
      for await (const piece of window.readRest(extent, entry.length)) {
        crc = crc32(piece, crc);
        if (onEntry !== undefined) newCrc = crc32(piece, newCrc);
        yield* output.write(piece);
      }
      checkCrc(objects, objectNumber, crc);
    }
    onEntry?.(objectNumber, offsetBytes, newCrc);
  }
}

function checkCrc(objects: PackedObjects, objectNumber: number, crc: number): void {
  if (crc !== objects.packs.crc(objectNumber)) {
    throw new CorruptPackError("entry does not match its checksum", { id: objects.objectId(objectNumber) });
  }
}

class EntryWriter {
  readonly #options: WritePackOptions;
  /** Where in the new pack each object lies, by object number; 0 for those not written. */
  readonly #places: Float64Array;

  constructor(options: WritePackOptions) {
    this.#options = options;
    this.#places = new Float64Array(options.objects.objectCount);
  }

  place(objectNumber: number, offsetBytes: number): void {
    this.#places[objectNumber] = offsetBytes;
  }

  /** @returns The head for the entry in the new pack; `undefined` if its base will not be at hand there. */
  planHead(
    extent: EntryExtent,
    entry: Uint8Array,
    head: EntryHead,
    offsetBytes: number,
  ): Uint8Array | undefined {
    if (head.type !== DELTA_TYPE.ofs && head.type !== DELTA_TYPE.ref)
      return entry.subarray(0, head.headBytes);
    const { objects, clientHas, ofsDelta } = this.#options;
    const baseNumber =
      head.type === DELTA_TYPE.ref
        ? objects.find(entry, head.baseIdIndex)
        : objects.packs.objectAt(extent.packNumber, extent.offsetBytes - head.baseDistanceBytes);
    if (baseNumber < 0) throw new CorruptPackError("delta's base is missing", { ...extent });
    const basePlace = this.#places[baseNumber] ?? 0;
    if (basePlace > 0 && ofsDelta) {
      return joined(
        encodeEntrySize(DELTA_TYPE.ofs, head.inflatedBytes),
        encodeOfsDeltaDistance(offsetBytes - basePlace),
      );
    }
    if (basePlace === 0 && !clientHas(baseNumber)) return undefined;
    return joined(
      encodeEntrySize(DELTA_TYPE.ref, head.inflatedBytes),
      objectIdBytes(objects.objectId(baseNumber)),
    );
  }

  async wholeEntry(objectNumber: number): Promise<Uint8Array> {
    const { type, bytes } = await this.#options.objects.read(objectNumber);
    return joined(encodeEntrySize(OBJECT_TYPE[type], bytes.length), deflateSync(bytes));
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
