/** Scans one pack with several threads: each takes the next stretch, finds an entry in it and continues from there. */
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import type { PackFileProgress } from "./file-pack-source.ts";
import type { IndexThread } from "./index-threads.ts";

interface PackScan {
  readonly threads: readonly IndexThread[];
  readonly progress: PackFileProgress;
  readonly stretchBytes: number;
}

/** Of one stretch, from where an entry seemed to begin. A wrong guess may fail where the right one does not. */
type Guess = ScannedEntries | "failed";

/**
 * @returns The pack's entries in order, from the header on, without a gap.
 * @throws {CorruptPackError} @throws {LimitExceededError}
 */
export async function scanPack(
  scan: PackScan,
  onScanned: (objects: number) => void,
): Promise<ScannedEntries[]> {
  const { threads, progress, stretchBytes } = scan;
  const guesses: Guess[] = [];
  let next = 0;
  let objects = 0;
  const scanStretches = async (thread: IndexThread): Promise<void> => {
    for (;;) {
      const number = next++;
      const startOffsetBytes = number * stretchBytes;
      await progress.untilAvailable(startOffsetBytes + PACK_TRAILER_BYTES + 1);
      if (number > 0 && progress.availableBytes <= startOffsetBytes + PACK_TRAILER_BYTES) return;
      try {
        const entries = await thread.run("scan", {
          startOffsetBytes: number === 0 ? PACK_HEADER_BYTES : startOffsetBytes,
          stopOffsetBytes: startOffsetBytes + stretchBytes,
          startIsEntry: number === 0,
        });
        guesses[number] = entries;
        objects += entries.count;
        onScanned(objects);
      } catch (error) {
        if (number === 0) throw error;
        guesses[number] = "failed";
      }
    }
  };
  await Promise.all(threads.map(scanStretches));
  const { stretches, hasWrongGuess } = await joinGuesses(scan, guesses);
  return hasWrongGuess ? scanAgain(threads, stretches) : stretches;
}

/** Scans the gaps between the guesses, and drops a guess that begins inside an entry. */
async function joinGuesses(
  { threads, progress, stretchBytes }: PackScan,
  guesses: readonly Guess[],
): Promise<{ readonly stretches: ScannedEntries[]; readonly hasWrongGuess: boolean }> {
  const stretches: ScannedEntries[] = [];
  const entriesEndBytes = progress.availableBytes - PACK_TRAILER_BYTES;
  const [thread] = threads;
  let endOffsetBytes = PACK_HEADER_BYTES;
  const scanUpTo = async (stopOffsetBytes: number): Promise<void> => {
    // One entry may cover several stretches.
    if (thread === undefined || endOffsetBytes >= Math.min(stopOffsetBytes, entriesEndBytes)) return;
    const startOffsetBytes = endOffsetBytes;
    const entries = await thread.run("scan", { startOffsetBytes, stopOffsetBytes, startIsEntry: true });
    stretches.push(entries);
    endOffsetBytes = entries.endOffsetBytes;
  };
  let hasWrongGuess = false;
  for (const [number, guess] of guesses.entries()) {
    const isGuess = guess !== "failed" && guess.count > 0;
    if (isGuess) await scanUpTo(guess.startOffsetBytes);
    if (isGuess && guess.startOffsetBytes === endOffsetBytes) {
      stretches.push(guess);
      endOffsetBytes = guess.endOffsetBytes;
    } else {
      hasWrongGuess ||= isGuess || guess === "failed";
      await scanUpTo((number + 1) * stretchBytes);
    }
  }
  return { stretches, hasWrongGuess };
}

/**
 * Scans every stretch once more, now that it is known where they begin: the links that a wrong guess has collected are
 * for example those of a pack inside a blob, which cannot be separated from the others.
 */
async function scanAgain(
  threads: readonly IndexThread[],
  stretches: readonly ScannedEntries[],
): Promise<ScannedEntries[]> {
  await Promise.all(threads.map((thread) => thread.run("forgetLinks")));
  const again: ScannedEntries[] = [];
  const remaining = stretches.entries();
  const scanNext = async (thread: IndexThread): Promise<void> => {
    for (const [number, { startOffsetBytes, endOffsetBytes }] of remaining) {
      again[number] = await thread.run("scan", {
        startOffsetBytes,
        stopOffsetBytes: endOffsetBytes,
        startIsEntry: true,
      });
    }
  };
  await Promise.all(threads.map(scanNext));
  return again;
}
