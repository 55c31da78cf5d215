/** The objects of one generation: content read out of the packs, deltas resolved. */

import { LRUCache } from "lru-cache";
import { CorruptPackError, LimitExceededError } from "../errors.ts";
import type { CommitHistory } from "../git/history/commit-history.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { ObjectNumber } from "../git/object-numbers.ts";
import { applyDelta, decodeDeltaSizes } from "../git/pack/delta.ts";
import { EntryInflater } from "../git/pack/inflate.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  type EntryHead,
  MAX_ENTRY_HEAD_BYTES,
  type ObjectType,
  objectTypeName,
} from "../git/pack/pack-format.ts";
import { BytesPackSource } from "../git/pack/pack-source.ts";
import type { GitObject, ObjectReader, PackReader } from "../git/ports.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { PackSet } from "./pack-set.ts";

/** What reading one object may take. */
export type ObjectLimits = Readonly<typeof DEFAULT_OBJECT_LIMITS>;

export const DEFAULT_OBJECT_LIMITS = {
  /** The object, each of its bases and all deltas between them are held at once. As git's core.bigFileThreshold. */
  maxObjectBytes: 512 * 1024 * 1024,
  /** git writes at most 4,095. */
  maxDeltaDepth: 4095,
  /** Of objects kept for the next read. */
  maxCachedBytes: 32 * 1024 * 1024,
};

export interface ObjectDatabaseOptions {
  readonly limits?: ObjectLimits;
  /** Of all packs. */
  readonly history?: CommitHistory | undefined;
  /** Shared with other databases of the same packs. */
  readonly cache?: ObjectCache;
  /** Aborts when the reader has gone. */
  readonly signal?: AbortSignal | undefined;
}

/** Recently read objects: the bases of deltas, and trees that neighbouring commits share. */
type ObjectCache = LRUCache<number, GitObject>;

/** One object may take this share of the cache; larger ones would evict everything else. */
const LARGEST_CACHED_SHARE = 1 / 8;
/** Approximate memory of an entry beside its bytes. */
const CACHE_ENTRY_BYTES = 200;

function objectCache({ maxCachedBytes }: ObjectLimits): ObjectCache {
  return new LRUCache({
    maxSize: Math.max(1, maxCachedBytes),
    maxEntrySize: Math.max(1, Math.floor(maxCachedBytes * LARGEST_CACHED_SHARE)),
    sizeCalculation: ({ bytes }) => bytes.length + CACHE_ENTRY_BYTES,
  });
}

interface ReadEntry extends EntryHead {
  readonly bytes: Uint8Array;
  /** -1 if it is no delta. */
  readonly baseNumber: ObjectNumber;
}

/** Packs with what their indexes say. */
interface IndexedPacks<Self>
  extends PackReader,
    Pick<ObjectReader, "objectCount" | "find" | "findId" | "objectId"> {
  /** The same packs; their bytes are read until `signal` aborts. */
  forReader(signal: AbortSignal): Self;
}

export class ObjectDatabase<Packs extends IndexedPacks<Packs> = PackSet> implements ObjectReader {
  readonly packs: Packs;
  readonly history: CommitHistory | undefined;
  readonly #limits: ObjectLimits;
  readonly #cache: ObjectCache;
  readonly slices: WorkSlices;
  readonly #inflater = new EntryInflater();

  constructor(
    packs: Packs,
    {
      limits = DEFAULT_OBJECT_LIMITS,
      history,
      cache = objectCache(limits),
      signal,
    }: ObjectDatabaseOptions = {},
  ) {
    this.slices = new WorkSlices({ signal });
    this.packs = packs;
    this.history = history;
    this.#limits = limits;
    this.#cache = cache;
  }

  /** The same objects, with what is cached of them, for one reader: its reads end when `signal` aborts. */
  forReader(signal: AbortSignal | undefined): ObjectDatabase<Packs> {
    if (signal === undefined) return this;
    const { history } = this;
    const options = { limits: this.#limits, history, cache: this.#cache, signal };
    return new ObjectDatabase(this.packs.forReader(signal), options);
  }

  get objectCount(): number {
    return this.packs.objectCount;
  }

  find(idBytes: Uint8Array, start: number): ObjectNumber {
    return this.packs.find(idBytes, start);
  }

  findId(id: ObjectId): ObjectNumber {
    return this.packs.findId(id);
  }

  objectId(objectNumber: ObjectNumber): ObjectId {
    return this.packs.objectId(objectNumber);
  }

  async read(objectNumber: ObjectNumber): Promise<GitObject> {
    const deltas: { readonly objectNumber: ObjectNumber; readonly instructions: Uint8Array }[] = [];
    let object = this.#cache.get(objectNumber);
    let heldBytes = 0;
    for (let nextNumber = objectNumber; object === undefined; ) {
      const entry = await this.#readEntry(nextNumber, Number.POSITIVE_INFINITY);
      heldBytes += entry.inflatedBytes;
      this.#assertHoldable(objectNumber, heldBytes, deltas.length);
      const content = this.#inflate(entry);
      if (entry.baseNumber < 0) {
        object = { type: objectTypeName(entry.type), bytes: content };
        this.#cache.set(nextNumber, object);
      } else {
        deltas.push({ objectNumber: nextNumber, instructions: content });
        nextNumber = entry.baseNumber;
        object = this.#cache.get(nextNumber);
      }
    }
    for (let delta = deltas.pop(); delta !== undefined; delta = deltas.pop()) {
      object = this.#applyDelta(object, delta.instructions, objectNumber);
      this.#cache.set(delta.objectNumber, object);
    }
    return object;
  }

  async readType(objectNumber: ObjectNumber): Promise<ObjectType> {
    const knownType = this.history?.types[objectNumber] ?? 0;
    if (knownType !== 0) return objectTypeName(knownType);
    let nextNumber = objectNumber;
    for (let depth = 0; ; depth++) {
      const cached = this.#cache.get(nextNumber);
      if (cached !== undefined) return cached.type;
      const entry = await this.#readEntry(nextNumber, MAX_ENTRY_HEAD_BYTES);
      if (entry.baseNumber < 0) return objectTypeName(entry.type);
      this.#assertHoldable(objectNumber, 0, depth);
      nextNumber = entry.baseNumber;
    }
  }

  async readSize(objectNumber: ObjectNumber): Promise<number> {
    const cached = this.#cache.get(objectNumber);
    if (cached !== undefined) return cached.bytes.length;
    const head = await this.#readEntry(objectNumber, MAX_ENTRY_HEAD_BYTES);
    if (head.baseNumber < 0) return head.inflatedBytes;
    const entry = await this.#readEntry(objectNumber, Number.POSITIVE_INFINITY);
    this.#assertHoldable(objectNumber, entry.inflatedBytes, 0);
    return decodeDeltaSizes(this.#inflate(entry), 0, entry.inflatedBytes).resultBytes;
  }

  readAhead(objectNumbers: Iterable<number>): void {
    this.packs.readAhead(withBases(objectNumbers, this.history?.deltaForest.parents));
  }

  /** @param maxBytes - How much of the entry is needed. */
  async #readEntry(objectNumber: ObjectNumber, maxBytes: number): Promise<ReadEntry> {
    const { packNumber, offsetBytes, endBytes } = this.packs.extent(objectNumber);
    // A byte more than the entry: the inflater knows a stream's end by what it leaves. The trailer follows at the least.
    const lengthBytes = Math.min(maxBytes, endBytes + 1 - offsetBytes);
    this.#assertHoldable(objectNumber, lengthBytes, 0);
    const bytes = await this.packs.readPackRange(packNumber, offsetBytes, lengthBytes);
    const head = decodeEntryHead(bytes, 0, bytes.length);
    let baseNumber = -1;
    if (head.type === DELTA_TYPE.ofs) {
      baseNumber = this.packs.objectAt(packNumber, offsetBytes - head.baseDistanceBytes, objectNumber);
    } else if (head.type === DELTA_TYPE.ref) {
      baseNumber = this.find(bytes, head.baseIdIndex);
      if (baseNumber < 0) throw new CorruptPackError("delta's base is missing", { packNumber, offsetBytes });
    }
    return { ...head, bytes, baseNumber };
  }

  #inflate({ bytes, headBytes, inflatedBytes }: ReadEntry): Uint8Array {
    const output = new Uint8Array(inflatedBytes + 1);
    const source = new BytesPackSource(bytes);
    this.#inflater.inflate({ source, offsetBytes: headBytes, inflatedBytes }, output, 0);
    return output.subarray(0, inflatedBytes);
  }

  #applyDelta(base: GitObject, instructions: Uint8Array, objectNumber: ObjectNumber): GitObject {
    const { baseBytes, resultBytes, instructionsIndex } = decodeDeltaSizes(
      instructions,
      0,
      instructions.length,
    );
    if (baseBytes !== base.bytes.length) {
      throw new CorruptPackError("delta is for a base of another size", { id: this.objectId(objectNumber) });
    }
    this.#assertHoldable(objectNumber, resultBytes, 0);
    const bytes = new Uint8Array(resultBytes);
    applyDelta(
      { bytes: instructions, start: instructionsIndex, end: instructions.length },
      { bytes: base.bytes, start: 0, sizeBytes: baseBytes },
      { bytes, start: 0, sizeBytes: resultBytes },
    );
    return { type: base.type, bytes };
  }

  #assertHoldable(objectNumber: ObjectNumber, heldBytes: number, deltaDepth: number): void {
    const { maxObjectBytes, maxDeltaDepth } = this.#limits;
    if (heldBytes > maxObjectBytes) {
      throw new LimitExceededError("object is too large to be read whole", {
        id: this.objectId(objectNumber),
      });
    }
    if (deltaDepth > maxDeltaDepth) {
      throw new CorruptPackError("delta chain is too long", { id: this.objectId(objectNumber) });
    }
  }
}

/** @param bases - What each object is a delta of, or -1, if that is known. */
function* withBases(
  objectNumbers: Iterable<number>,
  bases: Int32Array | undefined,
): Generator<number, void, undefined> {
  const seen = new Set<number>();
  for (const objectNumber of objectNumbers) {
    for (let next = objectNumber; next >= 0 && !seen.has(next); next = bases?.[next] ?? -1) {
      seen.add(next);
      yield next;
    }
  }
}
