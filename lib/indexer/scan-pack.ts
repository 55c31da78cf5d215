/** Scans one pack with several threads: each takes the next stretch, finds an entry in it and goes on from there. */
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import type { PackFileProgress } from "./file-pack-source.ts";
import type { IndexThread } from "./index-threads.ts";

/** Large enough that few delta families are cut, small enough that the threads end together. */
const STRETCH_BYTES = 2 ** 24;

/**
 * @returns The pack's entries in order, from the header on, without a gap.
 * @throws {CorruptPackError} @throws {LimitExceededError}
 */
export async function scanPack(
  threads: readonly IndexThread[],
  progress: PackFileProgress,
  onScanned: (objects: number) => void,
): Promise<ScannedEntries[]> {
  const guesses: ScannedEntries[] = [];
  const failures = new Map<number, unknown>();
  let next = 0;
  let objects = 0;
  const scanStretches = async (thread: IndexThread): Promise<void> => {
    for (;;) {
      const number = next++;
      const startOffsetBytes = number * STRETCH_BYTES;
      await progress.untilAvailable(startOffsetBytes + PACK_TRAILER_BYTES + 1);
      if (number > 0 && progress.availableBytes <= startOffsetBytes + PACK_TRAILER_BYTES) return;
      try {
        const entries = await thread.run({
          kind: "scan",
          startOffsetBytes: number === 0 ? PACK_HEADER_BYTES : startOffsetBytes,
          stopOffsetBytes: startOffsetBytes + STRETCH_BYTES,
          startIsEntry: number === 0,
        });
        guesses[number] = entries;
        objects += entries.count;
        onScanned(objects);
      } catch (error) {
        // A wrong guess may fail where the right one does not.
        failures.set(number, error);
        if (number === 0) throw error;
      }
    }
  };
  await Promise.all(threads.map(scanStretches));
  return joinStretches(threads, guesses, progress);
}

/** Keeps the guesses that begin where the stretch before ended, and scans the others again from there. */
async function joinStretches(
  threads: readonly IndexThread[],
  guesses: readonly (ScannedEntries | undefined)[],
  progress: PackFileProgress,
): Promise<ScannedEntries[]> {
  const stretches: ScannedEntries[] = [];
  const entriesEndBytes = progress.availableBytes - PACK_TRAILER_BYTES;
  const [thread] = threads;
  let endOffsetBytes = PACK_HEADER_BYTES;
  for (let number = 0; endOffsetBytes < entriesEndBytes && thread !== undefined; number++) {
    const stopOffsetBytes = (number + 1) * STRETCH_BYTES;
    if (endOffsetBytes >= stopOffsetBytes) continue; // one entry covers this stretch
    const guess = guesses[number];
    const entries =
      guess !== undefined && guess.count > 0 && guess.startOffsetBytes === endOffsetBytes
        ? guess
        : await thread.run({
            kind: "scan",
            startOffsetBytes: endOffsetBytes,
            stopOffsetBytes,
            startIsEntry: true,
          });
    stretches.push(entries);
    endOffsetBytes = entries.endOffsetBytes;
  }
  return stretches;
}
