/** Indexes a pack that a store has, through a local file. */
import { untilAborted } from "../git/until-aborted.ts";
import { PackFileProgress } from "./file-pack-source.ts";
import { type IndexedPack, type IndexPackOptions, indexPack } from "./index-pack.ts";
import { writeAt } from "./write-at.ts";

/**
 * @param chunks - The pack, `packBytes` in all.
 * @param options - The file is empty; it holds the pack afterwards.
 * @throws {CorruptPackError} @throws {StoppedError}
 */
export async function indexStoredPack(
  chunks: AsyncIterable<Uint8Array>,
  packBytes: number,
  options: Pick<IndexPackOptions, "file" | "signal" | "historyLimits">,
): Promise<IndexedPack> {
  let offsetBytes = 0;
  for await (const chunk of untilAborted(chunks, options.signal)) {
    await writeAt(options.file, chunk, offsetBytes);
    offsetBytes += chunk.length;
  }
  const progress = new PackFileProgress();
  progress.complete(packBytes);
  return indexPack({ ...options, progress });
}
