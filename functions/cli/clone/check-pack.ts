/** Checks a downloaded pack and its index: each by its own checksum, and against each other. Source: gitformat-pack(5). */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { CorruptPackError } from "../../../lib/errors.ts";
import { decodePackHeader, PACK_HEADER_BYTES } from "../../../lib/git/pack/pack-format.ts";

const HASH_BYTES = 20;
const INDEX_MAGIC = "ff744f6300000002";
const FAN_OUT_END_BYTES = 8 + 256 * 4;
/** An object's id, checksum and offset. */
const INDEX_ENTRY_BYTES = 20 + 4 + 4;
const READ_BYTES = 1024 * 1024;

export interface ExpectedPack {
  readonly objectCount: number;
  readonly packBytes: number;
  readonly indexBytes: number;
}

/** @returns The checksum at the pack's end, by which git names it. @throws {CorruptPackError} They are damaged. */
export async function checkPack(
  packPath: string,
  indexPath: string,
  expected: ExpectedPack,
): Promise<string> {
  const [pack, index] = await Promise.all([
    readEnds(packPath, expected.packBytes, PACK_HEADER_BYTES, HASH_BYTES),
    readEnds(indexPath, expected.indexBytes, FAN_OUT_END_BYTES, 2 * HASH_BYTES),
  ]);
  const checksum = pack.end.toString("hex");
  if (decodePackHeader(pack.start).objectCount !== expected.objectCount)
    throw damaged("the pack holds another number of objects than the mirror says", checksum);
  const minIndexBytes = FAN_OUT_END_BYTES + expected.objectCount * INDEX_ENTRY_BYTES + 2 * HASH_BYTES;
  if (
    index.start.subarray(0, 8).toString("hex") !== INDEX_MAGIC ||
    index.start.readUInt32BE(FAN_OUT_END_BYTES - 4) !== expected.objectCount ||
    expected.indexBytes < minIndexBytes
  )
    throw damaged("the index is not one of the pack's objects", checksum);
  if (!index.end.subarray(0, HASH_BYTES).equals(pack.end))
    throw damaged("the index is another pack's", checksum);
  if ((await hashStart(packPath, expected.packBytes)) !== checksum)
    throw damaged("the pack is damaged: it is not what its checksum says", checksum);
  if ((await hashStart(indexPath, expected.indexBytes)) !== index.end.subarray(HASH_BYTES).toString("hex"))
    throw damaged("the index is damaged: it is not what its checksum says", checksum);
  return checksum;
}

function damaged(message: string, pack: string): CorruptPackError {
  return new CorruptPackError(`${message}; nothing was installed`, { pack });
}

async function readEnds(path: string, bytes: number, startBytes: number, endBytes: number) {
  if (bytes < startBytes + endBytes)
    throw new CorruptPackError("the pack or its index is too short", { path });
  await using file = await open(path, "r");
  const [start, end] = await Promise.all([
    file.read(Buffer.alloc(startBytes), 0, startBytes, 0),
    file.read(Buffer.alloc(endBytes), 0, endBytes, bytes - endBytes),
  ]);
  return { start: start.buffer, end: end.buffer };
}

/** SHA-1 of all but the checksum at the end. */
async function hashStart(path: string, bytes: number): Promise<string> {
  const sha1 = createHash("sha1");
  const part = { end: bytes - HASH_BYTES - 1, highWaterMark: READ_BYTES };
  for await (const chunk of createReadStream(path, part) as AsyncIterable<Uint8Array>) sha1.update(chunk);
  return sha1.digest("hex");
}
