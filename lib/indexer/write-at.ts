/** Writes to a place in a file, all of it. */
import type { FileHandle } from "node:fs/promises";

/** One write may take less than it is given, as on a disk that is nearly full; the next write then throws the reason. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offsetBytes + written);
    written += bytesWritten;
  }
}
