/**
 * Indexes a pack in a local file, while it is still arriving, over worker threads: finds and names every object,
 * appends the bases a thin pack lacks, and says which objects the pack refers to but does not hold.
 * Source: gitformat-pack(5), git-index-pack(1).
 */
import type { FileHandle } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { assertNotStopped, CorruptPackError, LimitExceededError } from "../errors.ts";
import type { HistoryLimits } from "../git/history/history-budget.ts";
import { NONE } from "../git/history/pack-history.ts";
import { OBJECT_ID_BYTES, type ObjectId } from "../git/object-id.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { encodePackIndex, sortedByObjectId } from "../git/pack/index-v2.ts";
import { type CollectedPointers, collectedLfsPointers } from "../git/pack/lfs-pointers.ts";
import { DEFAULT_PACK_LIMITS, type PackLimits } from "../git/pack/limits.ts";
import {
  decodePackHeader,
  MIN_ENTRY_BYTES,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
} from "../git/pack/pack-format.ts";
import type { ReadBase } from "./append-bases.ts";
import { type BuiltHistory, buildHistory } from "./build-history.ts";
import type { PackFileProgress } from "./file-pack-source.ts";
import { verifyTrailer } from "./hash-file.ts";
import type { OpenLinks } from "./index-tasks.ts";
import { type IndexThread, startIndexThreads } from "./index-threads.ts";
import { resolvePending } from "./resolve-pending.ts";
import { scanPack } from "./scan-pack.ts";
import { inShared, sharedBytes } from "./shared-memory.ts";

export interface IndexPackOptions {
  /** The pack, readable and writable: bases may be appended. */
  readonly file: FileHandle;
  /** Of the file; complete at once for a file that is. */
  readonly progress: PackFileProgress;
  /** Reads an object that a thin pack's delta builds on. Without it, a thin pack is an error. */
  readonly readBase?: ReadBase;
  /** Called with all bases that a thin pack lacks, before they are read. */
  readonly readBasesAhead?: (baseIds: readonly ObjectId[]) => void;
  /** By default one per processor, none for a small pack. 0 uses this thread, once the whole pack is there. */
  readonly threadCount?: number;
  /** How much of the pack a thread takes at a time. */
  readonly stretchBytes?: number;
  readonly limits?: PackLimits;
  /** `"none"` leaves the history out. */
  readonly historyLimits?: HistoryLimits | "none";
  readonly onProgress?: (progress: IndexProgress) => void;
  /** Ends the threads, whatever they are at. */
  readonly signal?: AbortSignal | undefined;
}

export interface IndexProgress {
  readonly phase: "scanning" | "resolving" | "reading-history";
  readonly objects: number;
  readonly totalObjects: number;
}

export interface IndexedPack {
  /** With the appended bases. */
  readonly objectCount: number;
  /** As the pack came. */
  readonly sentObjectCount: number;
  /** Where the entries that came end. */
  readonly sentEndBytes: number;
  readonly packBytes: number;
  /** Header of the pack as it is now; another than it came with if bases were appended. */
  readonly header: Uint8Array;
  /** Bytes of a version 2 index, in shared memory. */
  readonly index: Uint8Array;
  /** Entries whose object an earlier entry of the pack holds as well. */
  readonly repeatedObjectCount: number;
  readonly openLinks: OpenLinks;
  /** The sidecar of its pointers of git-lfs, without those of the appended bases. */
  readonly lfsPointers: Uint8Array;
  /** Absent where working it out would take more than it is worth. */
  readonly built: BuiltHistory | undefined;
}

/** A pack up to this size is indexed before a thread would have started. */
const SMALL_PACK_BYTES = 2 ** 20;
/** Large enough that few delta families are cut, small enough that the threads end together. */
const STRETCH_BYTES = 2 ** 24;
/** Each takes some 60 MB: an arena, a heap of its own, a set of links. More would hardly be faster than the network. */
const MAX_THREADS = 4;
const ARENA_BYTES = 2 ** 24;
/** Of a small pack: room for what it inflates to, mostly, since a push has some KB, and memory has to be cleared first. */
const SMALL_ARENA_BYTES = { min: 2 ** 16, max: 2 ** 23, perPackByte: 16 } as const;

/**
 * @throws {CorruptPackError} The pack contradicts itself, or a delta's base is nowhere.
 * @throws {LimitExceededError} @throws {StoppedError}
 */
export async function indexPack(options: IndexPackOptions): Promise<IndexedPack> {
  const { progress, signal } = options;
  assertNotStopped(signal);
  const threads: IndexThread[] = [];
  const stop = (): void => {
    progress.fail();
    for (const thread of threads) void thread.close();
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    return await indexWith(threads, options);
  } catch (error) {
    // What fails after the stop fails because of it.
    assertNotStopped(signal);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

/** @param threads - Gets the threads that it starts. */
async function indexWith(threads: IndexThread[], options: IndexPackOptions): Promise<IndexedPack> {
  const { file, progress, limits = DEFAULT_PACK_LIMITS } = options;
  await progress.untilAvailable(SMALL_PACK_BYTES);
  const isSmall = progress.availableBytes < SMALL_PACK_BYTES;
  const threadCount = options.threadCount ?? (isSmall ? 0 : Math.min(availableParallelism(), MAX_THREADS));
  // To wait for more would block the thread that writes it.
  if (threadCount === 0) await progress.untilAvailable(Number.POSITIVE_INFINITY);
  const arenaBytes = isSmall ? smallArenaBytes(progress.availableBytes) : ARENA_BYTES;
  await progress.untilAvailable(PACK_HEADER_BYTES);
  const { objectCount } = decodePackHeader(await readBytes(file, 0, PACK_HEADER_BYTES));
  if (objectCount > limits.maxObjectCount) {
    throw new LimitExceededError(`pack has more than ${limits.maxObjectCount} objects`, { objectCount });
  }
  const taskOptions = { fileDescriptor: file.fd, progress: progress.shared, limits, arenaBytes };
  threads.push(...startIndexThreads(threadCount, taskOptions));
  return indexOver(threads, file, objectCount, options);
}

function smallArenaBytes(packBytes: number): number {
  const { min, max, perPackByte } = SMALL_ARENA_BYTES;
  return 2 ** Math.ceil(Math.log2(Math.min(max, Math.max(min, packBytes * perPackByte))));
}

/** @returns Less at the file's end. */
async function readBytes(file: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(new Uint8Array(lengthBytes), 0, lengthBytes, offsetBytes);
  return buffer.subarray(0, bytesRead);
}

async function indexOver(
  threads: readonly IndexThread[],
  file: FileHandle,
  declaredCount: number,
  {
    progress,
    readBase,
    readBasesAhead,
    onProgress,
    historyLimits,
    stretchBytes = STRETCH_BYTES,
  }: IndexPackOptions,
): Promise<IndexedPack> {
  const [stretches] = await Promise.all([
    scanPack({ threads, progress, stretchBytes }, (objects) =>
      onProgress?.({ phase: "scanning", objects, totalObjects: declaredCount }),
    ),
    verifyTrailer(file, progress),
  ]);
  const scannedCount = countScanned(stretches, declaredCount, progress);
  const sentEndBytes = endOf(stretches);
  const scannedPointers = takeScannedPointers(stretches);
  const { table, entryCount } = await resolvePending(
    threads,
    stretches,
    { file, progress, readBase, readBasesAhead },
    // Bases that a thin pack lacks come on top.
    (objects) =>
      onProgress?.({
        phase: "resolving",
        objects: Math.min(objects, declaredCount),
        totalObjects: declaredCount,
      }),
  );
  const entries = { objectCount: entryCount, ids: table.ids, offsets: table.offsets, crcs: table.crcs };
  const order = inShared(sortedByObjectId(entries));
  const header = await readBytes(file, 0, PACK_HEADER_BYTES);
  const trailer = await readBytes(file, progress.availableBytes - PACK_TRAILER_BYTES, PACK_TRAILER_BYTES);
  const index = await encodePackIndex(entries, order, trailer, sharedBytes);
  const types = typesInOrder(table.types, order);
  const indexNumbers = indexNumbersOf(order);
  const pointers = await takePointers(threads, scannedPointers);
  const checkAndRead = async () => {
    const openLinks = await checkLinks(threads, index, types);
    if (historyLimits === "none") return { openLinks, built: undefined };
    onProgress?.({ phase: "reading-history", objects: entryCount, totalObjects: entryCount });
    const indexedTable = {
      table: table.shared,
      entryCount,
      index,
      order,
      types,
      sizes: order.map((number) => table.sizes[number] as number),
      deltaBases: deltaBasesInOrder(table.bases, order, indexNumbers),
      sentCount: scannedCount,
    };
    return { openLinks, built: await buildHistory(threads, indexedTable, historyLimits) };
  };
  // The pointers on this thread, while the others do the rest.
  const [{ openLinks, built }, lfsPointers] = await Promise.all([
    checkAndRead(),
    collectedLfsPointers(pointers, indexNumbers),
  ]);
  return {
    objectCount: entryCount,
    sentObjectCount: scannedCount,
    sentEndBytes,
    packBytes: progress.availableBytes,
    header,
    index,
    repeatedObjectCount: countRepeats(table.ids, order),
    openLinks,
    lfsPointers,
    built,
  };
}

/** @throws {CorruptPackError} The pack has more or fewer entries than its header says. */
function countScanned(
  stretches: readonly ScannedEntries[],
  declaredCount: number,
  progress: PackFileProgress,
): number {
  const scannedCount = stretches.reduce((sum, stretch) => sum + stretch.count, 0);
  const sentEndBytes = endOf(stretches);
  if (sentEndBytes !== progress.availableBytes - PACK_TRAILER_BYTES) {
    throw new CorruptPackError("pack ends inside an entry", {
      sentEndBytes,
      packBytes: progress.availableBytes,
    });
  }
  if (scannedCount !== declaredCount) {
    throw new CorruptPackError("pack holds another number of objects than its header says", {
      declaredCount,
      scannedCount,
      mostPossible: Math.floor(progress.availableBytes / MIN_ENTRY_BYTES),
    });
  }
  return scannedCount;
}

function endOf(stretches: readonly ScannedEntries[]): number {
  return stretches.at(-1)?.endOffsetBytes ?? PACK_HEADER_BYTES;
}

/** In shared memory. */
function typesInOrder(types: Uint8Array, order: Uint32Array): Uint8Array {
  const inOrder = sharedBytes(order.length);
  for (let i = 0; i < order.length; i++) inOrder[i] = types[order[i] as number] as number;
  return inOrder;
}

/** By entry: its number in the index. */
function indexNumbersOf(order: Uint32Array): Uint32Array {
  const indexNumbers = new Uint32Array(order.length);
  for (let number = 0; number < order.length; number++) indexNumbers[order[number] as number] = number;
  return indexNumbers;
}

/** The bases of entries, which are entry numbers, as numbers in the index. */
function deltaBasesInOrder(bases: Int32Array, order: Uint32Array, indexNumbers: Uint32Array): Uint32Array {
  return order.map((entry) => {
    const base = bases[entry] as number;
    return base < 0 ? NONE : (indexNumbers[base] as number);
  });
}

function countRepeats(ids: Uint8Array, order: Uint32Array): number {
  let repeats = 0;
  for (let i = 1; i < order.length; i++) {
    const a = (order[i - 1] as number) * OBJECT_ID_BYTES;
    const b = (order[i] as number) * OBJECT_ID_BYTES;
    let same = 0;
    while (same < OBJECT_ID_BYTES && ids[a + same] === ids[b + same]) same++;
    if (same === OBJECT_ID_BYTES) repeats++;
  }
  return repeats;
}

async function checkLinks(
  threads: readonly IndexThread[],
  index: Uint8Array,
  types: Uint8Array,
): Promise<OpenLinks> {
  const parts = await Promise.all(threads.map((thread) => thread.run("checkLinks", { index, types })));
  return {
    ids: Buffer.concat(parts.map(({ ids }) => ids)),
    flags: Buffer.concat(parts.map(({ flags }) => flags)),
  };
}

function takeScannedPointers(stretches: readonly ScannedEntries[]): CollectedPointers[] {
  let firstEntry = 0;
  return stretches.map(({ lfsPointers: records, count }) => {
    const collected = { records, firstEntry };
    firstEntry += count;
    return collected;
  });
}

/** @returns What the scan has found, and what the deltas have that were resolved after it. */
async function takePointers(
  threads: readonly IndexThread[],
  scanned: readonly CollectedPointers[],
): Promise<CollectedPointers[]> {
  const resolved = await Promise.all(threads.map((thread) => thread.run("takeLfsPointers")));
  return [...scanned, ...resolved.map((records) => ({ records, firstEntry: 0 }))];
}
