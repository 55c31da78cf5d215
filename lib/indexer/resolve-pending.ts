/** Resolves the deltas that the scan left, in rounds, and completes a thin pack with the bases it lacks. */
import type { FileHandle } from "node:fs/promises";
import { crc32, deflateSync } from "node:zlib";
import { CorruptPackError } from "../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../git/object-id.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { EntryTable } from "../git/pack/entry-table.ts";
import {
  DELTA_TYPE,
  encodeEntrySize,
  encodePackHeader,
  OBJECT_TYPE,
  type ObjectType,
  PACK_TRAILER_BYTES,
} from "../git/pack/pack-format.ts";
import type { PackFileProgress } from "./file-pack-source.ts";
import { hashFile } from "./hash-file.ts";
import type { IndexThread } from "./index-threads.ts";

/** @returns The object, or `undefined` if the repository does not hold it. */
export type ReadBase = (
  id: ObjectId,
) => Promise<{ readonly type: ObjectType; readonly bytes: Uint8Array } | undefined>;

export interface PackInFile {
  readonly file: FileHandle;
  readonly progress: PackFileProgress;
  readonly readBase: ReadBase | undefined;
}

export interface ResolvedPack {
  readonly table: EntryTable;
  /** With the appended bases. */
  readonly entryCount: number;
}

/**
 * @param stretches - Emptied.
 * @throws {CorruptPackError} A base is neither in the pack nor in the repository. @throws {LimitExceededError}
 */
export async function resolvePending(
  threads: readonly IndexThread[],
  stretches: ScannedEntries[],
  pack: PackInFile,
  onResolved: (objects: number) => void,
): Promise<ResolvedPack> {
  const scannedCount = stretches.reduce((sum, { count }) => sum + count, 0);
  const refDeltaCount = stretches.reduce(
    (sum, { pending }) => sum + pending.baseOffsets.filter((offset) => offset < 0).length,
    0,
  );
  const table = new EntryTable(scannedCount + refDeltaCount);
  const waiting = new WaitingRefDeltas();
  let roots = fillTable(table, stretches, scannedCount, waiting);
  // The table holds all of it now, and they are as large.
  stretches.length = 0;
  let entryCount = scannedCount;
  let basesAppended = false;
  let namedCount = 0;
  for (;;) {
    roots = [...new Set([...roots, ...waiting.release(table, namedCount, entryCount)])];
    if (roots.length > 0) {
      await resolveRoots(threads, table, entryCount, roots);
      onResolved(entryCount);
      for (const root of roots) table.firstChildren[root] = -1;
      // Every entry may have got its name just now.
      namedCount = 0;
    } else if (waiting.size > 0 && !basesAppended) {
      namedCount = entryCount;
      entryCount = await appendBases(table, entryCount, waiting.baseIds(), pack);
      basesAppended = true;
    } else break;
    roots = [];
  }
  const unresolved = table.types
    .subarray(0, entryCount)
    .findIndex((type) => type === DELTA_TYPE.ofs || type === DELTA_TYPE.ref);
  if (waiting.size > 0 || unresolved >= 0) {
    throw new CorruptPackError("pack has a delta whose base is nowhere", { baseId: waiting.baseIds()[0] });
  }
  return { table, entryCount };
}

/** Fills the table and hangs each delta whose base is known by offset below it. @returns Resolved entries with deltas below. */
function fillTable(
  table: EntryTable,
  stretches: readonly ScannedEntries[],
  count: number,
  waiting: WaitingRefDeltas,
): number[] {
  let first = 0;
  for (const stretch of stretches) {
    table.fill(first, stretch);
    first += stretch.count;
  }
  const roots: number[] = [];
  first = 0;
  for (const { pending, count: stretchCount } of stretches) {
    pending.numbers.forEach((localNumber, i) => {
      const number = first + localNumber;
      const baseOffsetBytes = pending.baseOffsets[i] as number;
      if (baseOffsetBytes < 0) {
        waiting.add(objectIdAt(pending.baseIds, i * OBJECT_ID_BYTES), number);
        return;
      }
      const base = table.numberAt(baseOffsetBytes, count);
      if (table.firstChildren[base] === -1 && isResolved(table, base)) roots.push(base);
      table.addChild(base, number);
    });
    first += stretchCount;
  }
  return roots;
}

function isResolved(table: EntryTable, number: number): boolean {
  return (table.types[number] as number) <= OBJECT_TYPE.tag;
}

/** REF_DELTAs whose base has no known place yet. */
class WaitingRefDeltas {
  readonly #byBaseId = new Map<ObjectId, number[]>();

  get size(): number {
    return this.#byBaseId.size;
  }

  add(baseId: ObjectId, number: number): void {
    const numbers = this.#byBaseId.get(baseId);
    if (numbers === undefined) this.#byBaseId.set(baseId, [number]);
    else numbers.push(number);
  }

  baseIds(): ObjectId[] {
    return [...this.#byBaseId.keys()];
  }

  /** Hangs the deltas below those of their bases that are among entries `from` to `to` and resolved. @returns These bases. */
  release(table: EntryTable, from: number, to: number): number[] {
    const bases: number[] = [];
    for (let number = from; number < to && this.#byBaseId.size > 0; number++) {
      if (!isResolved(table, number)) continue;
      const id = objectIdAt(table.ids, number * OBJECT_ID_BYTES);
      const deltas = this.#byBaseId.get(id);
      if (deltas === undefined) continue;
      this.#byBaseId.delete(id);
      for (const delta of deltas) {
        table.refBases[delta] = number;
        table.addChild(number, delta);
      }
      bases.push(number);
    }
    return bases;
  }
}

async function resolveRoots(
  threads: readonly IndexThread[],
  table: EntryTable,
  entryCount: number,
  roots: readonly number[],
): Promise<void> {
  const shared = new SharedArrayBuffer(roots.length * 4);
  new Uint32Array(shared).set(roots);
  const task = {
    kind: "resolve",
    table: table.shared,
    entryCount,
    roots: shared,
    nextRoot: new SharedArrayBuffer(4),
  } as const;
  await Promise.all(threads.map((thread) => thread.run(task)));
}

/** Writes the bases over the trailer, as whole objects, then header and trailer anew. @returns The new entry count. */
async function appendBases(
  table: EntryTable,
  count: number,
  baseIds: readonly ObjectId[],
  pack: PackInFile,
): Promise<number> {
  const { file, progress, readBase } = pack;
  let offsetBytes = progress.availableBytes - PACK_TRAILER_BYTES;
  let number = count;
  for (const baseId of baseIds) {
    const base = await readBase?.(baseId);
    if (base === undefined) throw new CorruptPackError("pack has a delta whose base is nowhere", { baseId });
    const type = OBJECT_TYPE[base.type];
    const head = encodeEntrySize(type, base.bytes.length);
    const stream = deflateSync(base.bytes);
    await file.write(head, 0, head.length, offsetBytes);
    await file.write(stream, 0, stream.length, offsetBytes + head.length);
    table.offsets[number] = offsetBytes;
    table.types[number] = type;
    table.crcs[number] = crc32(stream, crc32(head));
    table.ids.set(objectIdBytes(baseId), number * OBJECT_ID_BYTES);
    table.refBases[number] = -1;
    table.firstChildren[number] = -1;
    number++;
    offsetBytes += head.length + stream.length;
  }
  const header = encodePackHeader(number);
  await file.write(header, 0, header.length, 0);
  progress.complete(offsetBytes);
  const trailer = await hashFile(file, progress, offsetBytes);
  await file.write(trailer, 0, trailer.length, offsetBytes);
  progress.complete(offsetBytes + trailer.length);
  return number;
}
