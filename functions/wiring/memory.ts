/** What the parts of this process may use of its memory. */
import type { LoadLimits } from "../../lib/git-http/request-load.ts";
import {
  type MemoryShares,
  memoryShares,
  memoryShortage,
  processMemoryBytes,
} from "../../lib/memory-shares.ts";

const memoryBytes = processMemoryBytes();

export const MEMORY: MemoryShares = memoryShares(memoryBytes);

export function loadLimits({
  maxPlans,
  maxPlansOfCaller,
}: Pick<LoadLimits, "maxPlans" | "maxPlansOfCaller">): LoadLimits {
  return {
    ...{ maxPlans, maxPlansOfCaller, memoryBytes: MEMORY.plans, keptBytes: MEMORY.keptBodies },
    isShort: memoryShortage(memoryBytes),
  };
}
