/**
 * When packs are rewritten, and which. Geometric, as `git repack --geometric`: a pack is merged with the newer ones once these
 * have grown to a share of its size, so each byte is copied a few times in all, and a repository has some ten packs whatever
 * the number of its pushes. Unlike git's, a run has no gaps: the order of packs says which copy of an object counts.
 */
import type { ManifestPack } from "../manifest.ts";

export type CompactionPolicy = Readonly<typeof DEFAULT_COMPACTION_POLICY>;

export const DEFAULT_COMPACTION_POLICY = {
  /**
   * The newest packs are left alone. Each is what one sync brought, which is what clients are behind by, and readers have
   * them at hand.
   */
  keepRecent: 4,
  /** Fewer packs are not worth a generation, after which every reader opens its packs anew. */
  minMerged: 4,
  /** A pack that is smaller than this times all newer ones is merged with them. 2 is git's, too. */
  ratio: 2,
  /** Smaller packs count as this large: what matters of them is their number. */
  smallPackBytes: 256 * 2 ** 10,
  /**
   * How much may be rewritten a day only to drop what no ref reaches. Until then clones are planned object by object, so a
   * repository that is force-pushed all the time is served slower rather than copied all the time. 1 GiB takes a function
   * some 30 seconds: at most four minutes a day.
   */
  droppedBytesPerDay: 8 * 2 ** 30,
};

/** Neighbouring packs, by their numbers. */
export interface PackRun {
  readonly start: number;
  /** Not in it. */
  readonly end: number;
}

type PackSize = Pick<ManifestPack, "packBytes">;

/** @returns The packs to be merged into one; `undefined` while there are few enough. */
export function chooseMerge(packs: readonly PackSize[], policy: CompactionPolicy): PackRun | undefined {
  const { keepRecent, minMerged, ratio, smallPackBytes } = policy;
  const end = Math.max(0, packs.length - keepRecent);
  let start = end;
  let newerBytes = 0;
  for (let packNumber = end - 1; packNumber >= 0; packNumber--) {
    const countedBytes = Math.max(packs[packNumber]?.packBytes ?? 0, smallPackBytes);
    if (countedBytes < ratio * newerBytes || packNumber === end - 1) start = packNumber;
    newerBytes += countedBytes;
  }
  return end - start >= Math.max(2, minMerged) ? { start, end } : undefined;
}

/** @param isChosen - By pack number. @returns The longest runs of chosen packs, in order. */
export function runsOf(isChosen: readonly boolean[]): PackRun[] {
  const runs: PackRun[] = [];
  for (let start = 0; start < isChosen.length; start++) {
    if (!isChosen[start]) continue;
    let end = start + 1;
    while (isChosen[end]) end++;
    runs.push({ start, end });
    start = end;
  }
  return runs;
}

export function bytesOf(packs: readonly PackSize[], runs: readonly PackRun[]): number {
  return runs
    .flatMap(({ start, end }) => packs.slice(start, end))
    .reduce((sum, { packBytes }) => sum + packBytes, 0);
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** A Date holds no later time. */
const LAST_MS = 8.64e15;

/** When as many bytes may be rewritten again. */
export function dropDueAtMs(
  droppedAt: string | undefined,
  rewrittenBytes: number,
  { droppedBytesPerDay }: CompactionPolicy,
): number {
  if (droppedAt === undefined) return 0;
  return Math.min(LAST_MS, Date.parse(droppedAt) + (rewrittenBytes / droppedBytesPerDay) * DAY_MS);
}
