/** SHA-1 over a pack file, which may still be growing. Source: gitformat-pack(5), "pack trailer". */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { CorruptPackError } from "../errors.ts";
import { PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import type { PackFileProgress } from "./file-pack-source.ts";

const READ_BYTES = 2 ** 20;

/** Hashes the first `lengthBytes` bytes, or, while the length is not known, all but the trailer. */
export async function hashFile(
  file: FileHandle,
  progress: PackFileProgress,
  lengthBytes = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  const sha1 = createHash("sha1");
  let buffer: Uint8Array | undefined;
  let at = 0;
  for (;;) {
    await progress.untilAvailable(Math.min(lengthBytes, at + READ_BYTES + PACK_TRAILER_BYTES));
    const end = Math.min(
      lengthBytes,
      progress.availableBytes - PACK_TRAILER_BYTES * (Number.isFinite(lengthBytes) ? 0 : 1),
    );
    if (at >= end) return sha1.digest();
    // What is there already may be little: a push.
    buffer ??= new Uint8Array(progress.isComplete ? Math.min(READ_BYTES, end - at) : READ_BYTES);
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
    if (bytesRead === 0)
      throw new CorruptPackError("pack file is shorter than what was written to it", { at });
    sha1.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/**
 * Checks a pack's trailer once it has arrived.
 * @throws {CorruptPackError} It is missing, or not the SHA-1 of what comes before it.
 */
export async function verifyTrailer(file: FileHandle, progress: PackFileProgress): Promise<void> {
  const expected = await hashFile(file, progress);
  if (progress.availableBytes < PACK_HEADER_BYTES + PACK_TRAILER_BYTES)
    throw new CorruptPackError("pack ends before its trailer", { packBytes: progress.availableBytes });
  const trailer = new Uint8Array(PACK_TRAILER_BYTES);
  await file.read(trailer, 0, PACK_TRAILER_BYTES, progress.availableBytes - PACK_TRAILER_BYTES);
  if (Buffer.compare(expected, trailer) !== 0)
    throw new CorruptPackError("pack trailer is not the checksum of its content");
}
