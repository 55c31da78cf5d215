/** Runs the indexer over a pack in memory, by way of a file in a temporary folder. */
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PackIndex } from "../../lib/git/pack/index-v2.ts";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { type IndexedPack, type IndexPackOptions, indexPack } from "../../lib/indexer/index-pack.ts";
import { temporaryFolder } from "./git/temporary-folder.ts";

export type IndexBytesOptions = Omit<IndexPackOptions, "file" | "progress">;

export interface IndexedBytes extends IndexedPack {
  /** The pack as it is now: bases may have been appended. */
  readonly pack: Uint8Array;
  /** In order. */
  readonly objectIds: readonly string[];
}

/**
 * @param steps - Lengths of the pieces in which the file grows while it is indexed, over and over; none for a file that
 *   is complete from the start.
 */
export async function indexBytes(
  pack: Uint8Array,
  options: IndexBytesOptions = {},
  steps: readonly number[] = [],
): Promise<IndexedBytes> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "incoming.pack");
  const file = await open(path, "w+");
  try {
    const progress = new PackFileProgress();
    const [indexed] = await Promise.all([
      indexPack({ ...options, file, progress }),
      grow(pack, steps, progress, async (piece, offsetBytes) => {
        await file.write(piece, 0, piece.length, offsetBytes);
      }),
    ]);
    const packIndex = new PackIndex(indexed.index);
    const objectIds = Array.from({ length: packIndex.objectCount }, (_, i) => packIndex.objectId(i));
    return { ...indexed, pack: await readFile(path), objectIds };
  } finally {
    await file.close();
  }
}

async function grow(
  pack: Uint8Array,
  steps: readonly number[],
  progress: PackFileProgress,
  write: (piece: Uint8Array, offsetBytes: number) => Promise<void>,
): Promise<void> {
  for (let at = 0, step = 0; at < pack.length; step++) {
    const piece = pack.subarray(at, at + (steps[step % steps.length] ?? pack.length));
    await write(piece, at);
    at += piece.length;
    if (steps.length > 0) progress.advance(at);
  }
  progress.complete(pack.length);
}
