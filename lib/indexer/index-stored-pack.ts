/** Indexes a pack that a store has, through a local file. */
import type { FileHandle } from "node:fs/promises";
import { untilAborted } from "../git/until-aborted.ts";
import { PackFileProgress } from "./file-pack-source.ts";
import { type IndexedPack, indexPack } from "./index-pack.ts";
import { writeAt } from "./write-at.ts";

/**
 * @param chunks - The pack, `packBytes` in all.
 * @param file - Empty; holds the pack afterwards.
 * @throws {CorruptPackError} @throws {StoppedError}
 */
export async function indexStoredPack(
  chunks: AsyncIterable<Uint8Array>,
  packBytes: number,
  { file, signal }: { readonly file: FileHandle; readonly signal: AbortSignal | undefined },
): Promise<IndexedPack> {
  let offsetBytes = 0;
  for await (const chunk of untilAborted(chunks, signal)) {
    await writeAt(file, chunk, offsetBytes);
    offsetBytes += chunk.length;
  }
  const progress = new PackFileProgress();
  progress.complete(packBytes);
  return indexPack({ file, progress, signal });
}
