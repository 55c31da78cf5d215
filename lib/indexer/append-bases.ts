/** Completes a thin pack with the bases it lacks, as `git index-pack --fix-thin` does. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { crc32, deflate, type ZlibOptions } from "node:zlib";
import { CorruptPackError, DamagedRepositoryError } from "../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../git/object-id.ts";
import type { EntryTable } from "../git/pack/entry-table.ts";
import {
  encodeEntrySize,
  encodePackHeader,
  OBJECT_TYPE,
  type ObjectType,
  PACK_TRAILER_BYTES,
} from "../git/pack/pack-format.ts";
import type { PackFileProgress } from "./file-pack-source.ts";
import { hashFile } from "./hash-file.ts";
import { writeAt } from "./write-at.ts";

interface BaseObject {
  readonly type: ObjectType;
  readonly bytes: Uint8Array;
}

/** @returns The object, or `undefined` if the repository does not hold it. */
export type ReadBase = (id: ObjectId) => Promise<BaseObject | undefined>;

export interface PackInFile {
  readonly file: FileHandle;
  readonly progress: PackFileProgress;
  readonly readBase: ReadBase | undefined;
  /** Called with all that will be read. */
  readonly readBasesAhead?: ((baseIds: readonly ObjectId[]) => void) | undefined;
}

/**
 * Writes the bases that the repository holds over the trailer, as whole objects, then header and trailer anew.
 * @param baseIds - Some may be objects of the pack that are not resolved yet.
 * @returns The new entry count.
 * @throws {CorruptPackError} The repository holds none of them, or one that is broken.
 */
export async function appendBases(
  table: EntryTable,
  count: number,
  baseIds: readonly ObjectId[],
  { file, progress, readBase, readBasesAhead }: PackInFile,
): Promise<number> {
  readBasesAhead?.(baseIds);
  let offsetBytes = progress.availableBytes - PACK_TRAILER_BYTES;
  let number = count;
  for await (const { baseId, type, sizeBytes, head, stream, crc } of deflatedBases(baseIds, readBase)) {
    await writeAt(file, head, offsetBytes);
    await writeAt(file, stream, offsetBytes + head.length);
    table.offsets[number] = offsetBytes;
    table.types[number] = type;
    table.sizes[number] = sizeBytes;
    table.crcs[number] = crc;
    table.ids.set(objectIdBytes(baseId), number * OBJECT_ID_BYTES);
    table.bases[number] = -1;
    table.firstChildren[number] = -1;
    number++;
    offsetBytes += head.length + stream.length;
  }
  if (number === count)
    throw new CorruptPackError("pack has a delta whose base is nowhere", { baseId: baseIds[0] });
  const header = encodePackHeader(number);
  await writeAt(file, header, 0);
  progress.complete(offsetBytes);
  const trailer = await hashFile(file, progress, offsetBytes);
  await writeAt(file, trailer, offsetBytes);
  progress.complete(offsetBytes + trailer.length);
  return number;
}

interface DeflatedBase {
  readonly baseId: ObjectId;
  /** As in an entry's head. */
  readonly type: number;
  readonly sizeBytes: number;
  readonly head: Uint8Array;
  readonly stream: Uint8Array;
  /** CRC-32 of both. */
  readonly crc: number;
}

const deflateInPool = promisify(deflate) as (bytes: Uint8Array, options: ZlibOptions) => Promise<Uint8Array>;

/** Objects that the thread pool deflates at a time; above the bytes it is one. Sets the memory that thin packs need. */
const MAX_DEFLATED_AT_ONCE = 4;
const MAX_BYTES_AT_ONCE = 64 * 1024 * 1024;
/** Hashed in a row, some 10 ms; also what a deflated object grows by. */
const SLICE_BYTES = 8 * 1024 * 1024;
/** A third of the time of zlib's default, a fifth more bytes; a compaction drops these copies. */
const DEFLATE_LEVEL = 1;

/**
 * Reads bases and deflates them in the thread pool: one may have 512 MiB, and other work shares this thread.
 * @returns In the order of `baseIds`, without those that the repository does not hold.
 */
async function* deflatedBases(
  baseIds: readonly ObjectId[],
  readBase: ReadBase | undefined,
): AsyncGenerator<DeflatedBase, void> {
  const waiting: Promise<DeflatedBase>[] = [];
  let waitingBytes = 0;
  for (const baseId of baseIds) {
    const base = await readBase?.(baseId);
    if (base === undefined) continue;
    while (waiting.length >= MAX_DEFLATED_AT_ONCE || waitingBytes + base.bytes.length > MAX_BYTES_AT_ONCE) {
      const next = await waiting.shift();
      if (next === undefined) break;
      waitingBytes -= next.sizeBytes;
      yield next;
    }
    const deflated = deflateBase(baseId, base);
    deflated.catch(() => undefined); // thrown when its turn comes, unless another one failed before
    waiting.push(deflated);
    waitingBytes += base.bytes.length;
  }
  for (const deflated of waiting) yield await deflated;
}

async function deflateBase(baseId: ObjectId, base: BaseObject): Promise<DeflatedBase> {
  await checkId(baseId, base);
  const type = OBJECT_TYPE[base.type];
  const sizeBytes = base.bytes.length;
  const head = encodeEntrySize(type, sizeBytes);
  const chunkSize = Math.min(Math.max(sizeBytes, 1024), SLICE_BYTES);
  const stream = await deflateInPool(base.bytes, { chunkSize, level: DEFLATE_LEVEL });
  let crc = crc32(head);
  for await (const slice of slicesOf(stream)) crc = crc32(slice, crc);
  return { baseId, type, sizeBytes, head, stream, crc };
}

/** Damage in the repository must not spread into a new pack. */
async function checkId(baseId: ObjectId, { type, bytes }: BaseObject): Promise<void> {
  const hash = createHash("sha1").update(`${type} ${bytes.length}\0`);
  for await (const slice of slicesOf(bytes)) hash.update(slice);
  const id = objectIdAt(hash.digest(), 0);
  if (id !== baseId)
    throw new DamagedRepositoryError("the repository's copy of a delta's base is broken", { baseId, id });
}

/** Lets other work run between two slices. */
async function* slicesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    if (start > 0) await setImmediate();
    yield bytes.subarray(start, start + SLICE_BYTES);
  }
}
