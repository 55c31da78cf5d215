/**
 * How the memory of a process is shared out. All that grows with callers and repositories has a part of one figure: what the container
 * or the machine has, or less where Node's heap is limited to less.
 */
import { totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

const MIB = 1024 * 1024;
/** Code, connections, one sync. */
const OWN_BYTES = 300 * MIB;
/** Where there is enough; together 1.3 GiB. What is not used up by one is not given to another. */
const FULL = {
  openRepositories: 512 * MIB,
  blocks: 128 * MIB,
  plans: 320 * MIB,
  /** Of tee buffers; the rest of them is in files. */
  tees: 32 * MIB,
  /** Of request bodies. As text in memory they take three times as much. */
  keptBodies: 64 * MIB,
  lfsRights: 64 * MIB,
  /** Indexes and histories that the syncs under way have read. */
  keptReads: 64 * MIB,
};
/** For every byte that is counted. */
const COPIES: Partial<Record<keyof MemoryShares, number>> = { keptBodies: 3 };
/** What is read ahead must fit. */
const MIN_BLOCKS = 64 * MIB;
/** Node's default limit of the heap, as a share of the memory. */
const HEAP_SHARE = 1 / 4;
/** Above this share, only what cannot wait is started. */
const SHORT_SHARE = 0.9;
const RSS_COUNTS_MS = 250;

/** In bytes. */
export type MemoryShares = { readonly [Part in keyof typeof FULL]: number };

export function memoryShares(totalBytes: number): MemoryShares {
  const fullBytes = Object.entries(FULL).reduce((sum, [part, bytes]) => sum + bytes * copiesOf(part), 0);
  const scale = Math.min(1, Math.max(0, totalBytes - OWN_BYTES) / fullBytes);
  const scaled = Object.entries(FULL).map(([part, bytes]) => [part, Math.floor(bytes * scale)]);
  const shares = Object.fromEntries(scaled) as MemoryShares;
  return { ...shares, blocks: Math.max(MIN_BLOCKS, shares.blocks) };
}

function copiesOf(part: string): number {
  return COPIES[part as keyof MemoryShares] ?? 1;
}

/** What this process may use, in bytes. */
export function processMemoryBytes(): number {
  // 0, or more than there is: no limit.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), constrained, getHeapStatistics().heap_size_limit / HEAP_SHARE);
}

/** @returns Whether the process uses nearly all that it may, as measured a moment ago. */
export function memoryShortage(totalBytes: number): () => boolean {
  let isShort = false;
  let measuredAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() < measuredAtMs + RSS_COUNTS_MS) return isShort;
    measuredAtMs = performance.now();
    isShort = process.memoryUsage.rss() > totalBytes * SHORT_SHARE;
    return isShort;
  };
}
