/**
 * Resolves the deltas that a scan left pending: from each base down its tree of deltas, depth first, so that what a
 * delta needs was made just before. What the arena has lost is made again from the pack. Memory does not depend on the
 * tree's shape.
 */
import { hash } from "node:crypto";
import { CorruptPackError, LimitExceededError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { applyDelta, DeltaCopies, decodeDeltaSizes, type ObjectBody } from "./delta.ts";
import type { EntryTable } from "./entry-table.ts";
import type { EntryInflater } from "./inflate.ts";
import type { LfsPointerCollector } from "./lfs-pointers.ts";
import { type ArenaPosition, type ObjectArena, writeDigest, writeObjectHead } from "./object-arena.ts";
import { addCommitOrTagLinks } from "./object-links.ts";
import { decodeEntryHead, type EntryHead, MAX_ENTRY_HEAD_BYTES, OBJECT_TYPE } from "./pack-format.ts";
import type { PackSource } from "./pack-source.ts";
import type { ScanOptions } from "./scan.ts";
import { addDeltifiedTreeLinks, markNotIndexed, treeIndexBytes } from "./tree-links.ts";

const HEAD_ROOM_BYTES = 32;

interface ResolveOptions extends ScanOptions {
  /** Receives the pointers of git-lfs among the resolved deltas. */
  readonly lfsPointers: LfsPointerCollector;
}

/** An object's bytes, with room before them for its head and, for a tree, behind them for its index. */
interface Body extends ObjectBody {
  readonly words: Uint32Array;
}

export class DeltaResolver {
  readonly #table: EntryTable;
  /** Entries of the table in use, ascending by offset. */
  readonly entryCount: number;
  readonly #source: PackSource;
  readonly #options: ResolveOptions;
  readonly #arena: ObjectArena;
  readonly #inflater: EntryInflater;
  readonly #positions: Float64Array;
  readonly #sizes: Uint32Array;
  readonly #copies = new DeltaCopies();
  #deltaBytes = new Uint8Array(2 ** 16);
  /** Objects too large for the arena: the last base and the last result. */
  readonly #large = new Map<number, Body>();
  #totalInflatedBytes = 0;

  constructor(table: EntryTable, entryCount: number, source: PackSource, options: ResolveOptions) {
    this.#table = table;
    this.entryCount = entryCount;
    this.#source = source;
    this.#options = options;
    this.#arena = options.arena;
    this.#inflater = options.inflater;
    this.#positions = new Float64Array(entryCount).fill(-1);
    this.#sizes = new Uint32Array(entryCount);
  }

  /** Resolves every delta on the lists below `root`, which itself is resolved. */
  resolveBelow(root: number): void {
    const { firstChildren, nextSiblings } = this.#table;
    const waiting = [root];
    for (let base = waiting.pop(); base !== undefined; base = waiting.pop()) {
      for (let child = firstChildren[base] as number; child >= 0; child = nextSiblings[child] as number) {
        this.#resolve(child, base);
        if ((firstChildren[child] as number) >= 0) waiting.push(child);
      }
    }
  }

  #resolve(number: number, base: number): void {
    const table = this.#table;
    const type = table.types[base] as number;
    const depth = (table.depths[base] as number) + 1;
    const { maxDeltaDepth } = this.#options.limits;
    if (depth > maxDeltaDepth) throw new LimitExceededError(`delta chain is longer than ${maxDeltaDepth}`);
    const baseBody = this.#object(base);
    const body = this.#applyOnto(baseBody, number, type);
    const { bytes, start, sizeBytes } = body;
    const headStart = writeObjectHead(bytes, start, type, sizeBytes);
    const idStart = number * OBJECT_ID_BYTES;
    writeDigest(hash("sha1", bytes.subarray(headStart, start + sizeBytes), "binary"), table.ids, idStart);
    table.types[number] = type;
    table.depths[number] = depth;
    table.sizes[number] = sizeBytes;
    const { links, lfsPointers } = this.#options;
    if (type === OBJECT_TYPE.blob) lfsPointers.addBlob(bytes, start, start + sizeBytes, number);
    else addCommitOrTagLinks(type, bytes, start, start + sizeBytes, links);
    if (type === OBJECT_TYPE.tree) addDeltifiedTreeLinks(baseBody, body, this.#copies, links);
  }

  /**
   * The objects of resolved entries, all valid until the next call.
   * @throws {CorruptPackError} @throws {LimitExceededError}
   */
  read(numbers: readonly number[]): readonly ObjectBody[] {
    const bodies = numbers.map((number) => this.#object(number));
    const isWhole = bodies.every((body, i) => {
      const kept = this.#kept(numbers[i] as number);
      return kept === undefined
        ? body.bytes !== this.#arena.bytes
        : kept.bytes === body.bytes && kept.start === body.start;
    });
    if (isWhole) return bodies;
    // Reading the later ones has overwritten an earlier one.
    return numbers.map((number) => {
      const { bytes, start, sizeBytes } = this.#object(number);
      return { bytes: bytes.slice(start, start + sizeBytes), start: 0, sizeBytes };
    });
  }

  /** The entry's object, from the arena or made again. */
  #object(number: number): Body {
    const chain: number[] = [];
    let current = number;
    let body = this.#kept(current);
    while (body === undefined) {
      const base = this.#table.bases[current] as number;
      if (base < 0) {
        body = this.#inflateWhole(current, this.#head(current));
        break;
      }
      chain.push(current);
      current = base;
      body = this.#kept(current);
    }
    const type = this.#table.types[number] as number;
    for (let next = chain.pop(); next !== undefined; next = chain.pop())
      body = this.#applyOnto(body, next, type);
    return body;
  }

  #kept(number: number): Body | undefined {
    const position = this.#positions[number] as ArenaPosition;
    if (position < 0 || !this.#arena.holds(position)) return this.#large.get(number);
    return {
      bytes: this.#arena.bytes,
      words: this.#arena.words,
      start: this.#arena.index(position),
      sizeBytes: this.#sizes[number] as number,
    };
  }

  #head(number: number): EntryHead {
    const window = this.#source.window(this.#table.offsets[number] as number, MAX_ENTRY_HEAD_BYTES);
    return decodeEntryHead(window, 0, window.length);
  }

  #inflateWhole(number: number, head: EntryHead): Body {
    const { limits } = this.#options;
    if (head.inflatedBytes > limits.maxDeltifiedBytes) {
      throw new LimitExceededError(`pack has a delta base of more than ${limits.maxDeltifiedBytes} bytes`);
    }
    const body = this.#makeRoom(number, head.inflatedBytes, head.type);
    this.#inflater.inflate(this.#stream(number, head), body.bytes, body.start);
    return body;
  }

  #stream(number: number, head: EntryHead): Parameters<EntryInflater["inflate"]>[0] {
    const offsetBytes = (this.#table.offsets[number] as number) + head.headBytes;
    return { source: this.#source, offsetBytes, inflatedBytes: head.inflatedBytes };
  }

  /** Makes the object of a delta entry out of its base's. */
  #applyOnto(base: Body, number: number, type: number): Body {
    const head = this.#head(number);
    if (this.#deltaBytes.length <= head.inflatedBytes)
      this.#deltaBytes = new Uint8Array(head.inflatedBytes * 2);
    this.#inflater.inflate(this.#stream(number, head), this.#deltaBytes, 0);
    const { baseBytes, resultBytes, instructionsIndex } = decodeDeltaSizes(
      this.#deltaBytes,
      0,
      head.inflatedBytes,
    );
    if (baseBytes !== base.sizeBytes) throw new CorruptPackError("delta expects a base of another size");
    const { maxDeltifiedBytes } = this.#options.limits;
    if (resultBytes > maxDeltifiedBytes)
      throw new LimitExceededError(`delta makes an object of more than ${maxDeltifiedBytes} bytes`);
    const result = this.#makeRoom(number, resultBytes, type, base);
    applyDelta(
      { bytes: this.#deltaBytes, start: instructionsIndex, end: head.inflatedBytes },
      base,
      result,
      this.#copies,
    );
    return result;
  }

  /** Room in the arena that does not touch `base`, or memory of its own. */
  #makeRoom(number: number, sizeBytes: number, type: number, base?: Body): Body {
    this.#totalInflatedBytes += sizeBytes;
    const { maxTotalInflatedBytes } = this.#options.limits;
    if (this.#totalInflatedBytes > maxTotalInflatedBytes) {
      throw new LimitExceededError(`pack inflates to more than ${maxTotalInflatedBytes} bytes`);
    }
    this.#sizes[number] = sizeBytes;
    const extraBytes = type === OBJECT_TYPE.tree ? treeIndexBytes(sizeBytes) : 0;
    const body =
      this.#arenaRoom(number, sizeBytes, extraBytes, base) ?? this.#ownRoom(number, sizeBytes, extraBytes);
    if (type === OBJECT_TYPE.tree) markNotIndexed(body);
    return body;
  }

  #arenaRoom(
    number: number,
    sizeBytes: number,
    extraBytes: number,
    base: Body | undefined,
  ): Body | undefined {
    const arena = this.#arena;
    if (sizeBytes > arena.maxObjectBytes) return undefined;
    const position = arena.reserve(sizeBytes, extraBytes);
    const start = arena.index(position);
    const isOverBase =
      base !== undefined &&
      base.bytes === arena.bytes &&
      base.start < start + sizeBytes + 1 + extraBytes &&
      start - HEAD_ROOM_BYTES < base.start + base.sizeBytes + 1 + treeIndexBytes(base.sizeBytes);
    if (isOverBase) return undefined;
    this.#positions[number] = position;
    return { bytes: arena.bytes, words: arena.words, start, sizeBytes };
  }

  #ownRoom(number: number, sizeBytes: number, extraBytes: number): Body {
    const bytes = new Uint8Array(4 * Math.ceil((HEAD_ROOM_BYTES + sizeBytes + 1 + extraBytes) / 4));
    const body: Body = { bytes, words: new Uint32Array(bytes.buffer), start: HEAD_ROOM_BYTES, sizeBytes };
    this.#positions[number] = -1;
    this.#large.set(number, body);
    if (this.#large.size > 2) this.#large.delete(this.#large.keys().next().value as number);
    return body;
  }
}
