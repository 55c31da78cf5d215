/** Completes a thin pack with the bases it lacks, as `git index-pack --fix-thin` does. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { crc32, deflateSync } from "node:zlib";
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
  { file, progress, readBase }: PackInFile,
): Promise<number> {
  let offsetBytes = progress.availableBytes - PACK_TRAILER_BYTES;
  let number = count;
  for (const baseId of baseIds) {
    const base = await readBase?.(baseId);
    if (base === undefined) continue;
    checkId(baseId, base);
    const type = OBJECT_TYPE[base.type];
    const head = encodeEntrySize(type, base.bytes.length);
    const stream = deflateSync(base.bytes);
    await writeAt(file, head, offsetBytes);
    await writeAt(file, stream, offsetBytes + head.length);
    table.offsets[number] = offsetBytes;
    table.types[number] = type;
    table.sizes[number] = base.bytes.length;
    table.crcs[number] = crc32(stream, crc32(head));
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

/** What is broken in the repository must not spread into a new pack. */
function checkId(baseId: ObjectId, { type, bytes }: BaseObject): void {
  const digest = createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes).digest();
  const id = objectIdAt(digest, 0);
  if (id !== baseId)
    throw new DamagedRepositoryError("the repository's copy of a delta's base is broken", { baseId, id });
}
