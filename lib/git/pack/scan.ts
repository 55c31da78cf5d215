/**
 * Finds the entries of a pack, from any entry on, and resolves on the way the deltas whose base was seen shortly before:
 * most of them, and each is inflated once only. The others are left to resolve-deltas.ts.
 * Source: gitformat-pack(5), "pack-*.pack files have the following format".
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { CorruptPackError, LimitExceededError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { applyDelta, DeltaCopies, decodeDeltaSizes } from "./delta.ts";
import { EntryColumns, type ScannedEntries } from "./entry-columns.ts";
import type { EntryInflater } from "./inflate.ts";
import { LfsPointerCollector } from "./lfs-pointers.ts";
import type { PackLimits } from "./limits.ts";
import { type ObjectArena, writeDigest, writeObjectHead } from "./object-arena.ts";
import type { ObjectIdSet } from "./object-id-set.ts";
import { addCommitOrTagLinks } from "./object-links.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  type EntryHead,
  MAX_ENTRY_HEAD_BYTES,
  OBJECT_TYPE,
  PACK_HEADER_BYTES,
} from "./pack-format.ts";
import type { PackSource } from "./pack-source.ts";
import { addDeltifiedTreeLinks, addTreeLinks, treeIndexBytes } from "./tree-links.ts";

export interface ScanOptions {
  readonly limits: PackLimits;
  /** Keeps the objects seen last for the deltas to come; what it held before is lost. */
  readonly arena: ObjectArena;
  /** Receives what the objects refer to. */
  readonly links: ObjectIdSet;
  /** May be that of others, too, who are not at work at the same time. */
  readonly inflater: EntryInflater;
}

/** Objects at least this large are hashed in pieces; only commits, trees and tags must be whole to be read. */
const PIECE_BYTES = 2 ** 20;

/** Scans one stretch of a pack after another; one per thread. */
export class PackScanner {
  readonly #options: ScanOptions;
  readonly #arena: ObjectArena;
  readonly #lfsPointers = new LfsPointerCollector();
  readonly #copies = new DeltaCopies();
  #deltaBytes = new Uint8Array(2 ** 16);
  readonly #columns = new EntryColumns();
  #totalInflatedBytes = 0;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#arena = options.arena;
  }

  /**
   * Scans from the entry at `startOffsetBytes` through the last one that begins before `stopOffsetBytes`.
   * @throws {CorruptPackError} @throws {LimitExceededError}
   */
  scan(source: PackSource, startOffsetBytes: number, stopOffsetBytes: number): ScannedEntries {
    this.#columns.clear();
    let offsetBytes = startOffsetBytes;
    while (offsetBytes < stopOffsetBytes && source.hasEntryAt(offsetBytes)) {
      offsetBytes += this.#scanEntry(source, offsetBytes);
    }
    return {
      ...this.#columns.finish(startOffsetBytes, offsetBytes),
      lfsPointers: this.#lfsPointers.take(),
    };
  }

  /** @returns The entry's length in the pack. */
  #scanEntry(source: PackSource, offsetBytes: number): number {
    const window = source.window(offsetBytes, MAX_ENTRY_HEAD_BYTES);
    const head = decodeEntryHead(window, 0, window.length);
    const isDelta = head.type === DELTA_TYPE.ofs || head.type === DELTA_TYPE.ref;
    this.#checkSize(head, isDelta, offsetBytes);
    const columns = this.#columns;
    const number = columns.add(offsetBytes, head.type);
    const crc = crc32(window.subarray(0, head.headBytes));
    const baseId =
      head.type === DELTA_TYPE.ref
        ? window.slice(head.baseIdIndex, head.baseIdIndex + OBJECT_ID_BYTES)
        : undefined;
    const stream = {
      source,
      offsetBytes: offsetBytes + head.headBytes,
      inflatedBytes: head.inflatedBytes,
      crc,
    };
    let inflated: { readonly compressedBytes: number; readonly crc: number };
    if (isDelta) {
      if (this.#deltaBytes.length <= head.inflatedBytes)
        this.#deltaBytes = new Uint8Array(head.inflatedBytes * 2);
      inflated = this.#options.inflater.inflate(stream, this.#deltaBytes, 0);
      this.#takeDelta(number, head, baseId);
    } else if (head.inflatedBytes <= this.#arena.maxObjectBytes) {
      const position = this.#reserve(head.inflatedBytes, head.type);
      inflated = this.#options.inflater.inflate(stream, this.#arena.bytes, this.#arena.index(position));
      this.#finishObject(number, position, head.inflatedBytes, head.type);
      if (head.type === OBJECT_TYPE.tree) addTreeLinks(this.#tree(number), this.#options.links);
    } else {
      inflated = this.#hashLargeObject(number, head, stream);
    }
    columns.crcs[number] = inflated.crc;
    return head.headBytes + inflated.compressedBytes;
  }

  #checkSize({ inflatedBytes }: EntryHead, isDelta: boolean, offsetBytes: number): void {
    const { maxDeltifiedBytes, maxObjectBytes } = this.#options.limits;
    const limitBytes = isDelta ? maxDeltifiedBytes : maxObjectBytes;
    if (inflatedBytes > limitBytes) {
      throw new LimitExceededError(`pack declares an object of more than ${limitBytes} bytes`, {
        offsetBytes,
        inflatedBytes,
      });
    }
    this.#countInflated(inflatedBytes);
  }

  #countInflated(bytes: number): void {
    this.#totalInflatedBytes += bytes;
    if (this.#totalInflatedBytes > this.#options.limits.maxTotalInflatedBytes) {
      throw new LimitExceededError(
        `pack inflates to more than ${this.#options.limits.maxTotalInflatedBytes} bytes`,
      );
    }
  }

  /** Resolves the delta in `#deltaBytes` if its base is in the arena. */
  #takeDelta(number: number, head: EntryHead, baseId: Uint8Array | undefined): void {
    const columns = this.#columns;
    const baseOffsetBytes =
      baseId === undefined ? (columns.offsets[number] as number) - head.baseDistanceBytes : -1;
    if (baseId === undefined && baseOffsetBytes < PACK_HEADER_BYTES)
      throw new CorruptPackError("delta names a base before the pack's first entry", { baseOffsetBytes });
    const base = baseId === undefined ? columns.numberAt(baseOffsetBytes) : -1;
    const sizes = decodeDeltaSizes(this.#deltaBytes, 0, head.inflatedBytes);
    if (base < 0 || !this.#applyDelta(number, base, head.inflatedBytes, sizes)) {
      columns.addPending(number, baseOffsetBytes, baseId);
    }
  }

  #applyDelta(
    number: number,
    base: number,
    deltaBytes: number,
    { baseBytes, resultBytes, instructionsIndex }: ReturnType<typeof decodeDeltaSizes>,
  ): boolean {
    const columns = this.#columns;
    const arena = this.#arena;
    const basePosition = columns.positions[base] as number;
    if (basePosition < 0 || resultBytes > arena.maxObjectBytes) return false;
    const type = columns.types[base] as number;
    const position = this.#reserve(resultBytes, type);
    // Asked after the reservation, which may have been made over the base.
    if (!arena.holds(basePosition)) return false;
    if (baseBytes !== columns.sizes[base]) throw new CorruptPackError("delta expects a base of another size");
    this.#countInflated(resultBytes);
    const depth = (columns.depths[base] as number) + 1;
    if (depth > this.#options.limits.maxDeltaDepth)
      throw new LimitExceededError(`delta chain is longer than ${this.#options.limits.maxDeltaDepth}`);
    const delta = { bytes: this.#deltaBytes, start: instructionsIndex, end: deltaBytes };
    const from = { bytes: arena.bytes, start: arena.index(basePosition), sizeBytes: baseBytes };
    applyDelta(
      delta,
      from,
      { bytes: arena.bytes, start: arena.index(position), sizeBytes: resultBytes },
      this.#copies,
    );
    columns.depths[number] = depth;
    columns.bases[number] = base;
    this.#finishObject(number, position, resultBytes, type);
    if (type === OBJECT_TYPE.tree)
      addDeltifiedTreeLinks(this.#tree(base), this.#tree(number), this.#copies, this.#options.links);
    return true;
  }

  #reserve(objectBytes: number, type: number): number {
    return this.#arena.reserve(objectBytes, type === OBJECT_TYPE.tree ? treeIndexBytes(objectBytes) : 0);
  }

  #tree(number: number): Parameters<typeof addTreeLinks>[0] {
    const { bytes, words } = this.#arena;
    const start = this.#arena.index(this.#columns.positions[number] as number);
    return { bytes, words, start, sizeBytes: this.#columns.sizes[number] as number };
  }

  #finishObject(number: number, position: number, objectBytes: number, type: number): void {
    const columns = this.#columns;
    const arena = this.#arena;
    columns.types[number] = type;
    columns.positions[number] = position;
    columns.sizes[number] = objectBytes;
    arena.writeObjectId(position, objectBytes, type, columns.ids, number * OBJECT_ID_BYTES);
    const start = arena.index(position);
    const end = start + objectBytes;
    if (type === OBJECT_TYPE.blob) this.#lfsPointers.addBlob(arena.bytes, start, end, number);
    else addCommitOrTagLinks(type, arena.bytes, start, end, this.#options.links);
  }

  #hashLargeObject(
    number: number,
    head: EntryHead,
    stream: Parameters<EntryInflater["inflate"]>[0],
  ): ReturnType<EntryInflater["inflate"]> {
    const columns = this.#columns;
    if (head.type !== OBJECT_TYPE.blob && head.inflatedBytes > this.#options.limits.maxDeltifiedBytes) {
      throw new LimitExceededError(
        `pack has a tree, commit or tag of more than ${this.#options.limits.maxDeltifiedBytes} bytes`,
      );
    }
    const objectHead = new Uint8Array(32);
    const sha1 = createHash("sha1").update(
      objectHead.subarray(writeObjectHead(objectHead, 32, head.type, head.inflatedBytes)),
    );
    const isBlob = head.type === OBJECT_TYPE.blob;
    const whole = isBlob
      ? undefined
      : new Uint8Array(4 * Math.ceil(head.inflatedBytes / 4) + treeIndexBytes(head.inflatedBytes) + 4);
    let lengthBytes = 0;
    const inflated = this.#options.inflater.inflatePieces(stream, new Uint8Array(PIECE_BYTES), (piece) => {
      sha1.update(piece);
      whole?.set(piece, lengthBytes);
      lengthBytes += piece.length;
    });
    columns.sizes[number] = head.inflatedBytes;
    writeDigest(sha1.digest("binary"), columns.ids, number * OBJECT_ID_BYTES);
    if (whole === undefined) return inflated;
    addCommitOrTagLinks(head.type, whole, 0, head.inflatedBytes, this.#options.links);
    if (head.type === OBJECT_TYPE.tree) {
      addTreeLinks(
        { bytes: whole, words: new Uint32Array(whole.buffer), start: 0, sizeBytes: head.inflatedBytes },
        this.#options.links,
      );
    }
    return inflated;
  }
}
