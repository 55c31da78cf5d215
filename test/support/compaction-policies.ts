/** Policies that compact at once. */
import { type CompactionPolicy, DEFAULT_COMPACTION_POLICY } from "../../lib/repo/compaction/policy.ts";

/** Merges whatever there is. */
export const EAGER: CompactionPolicy = {
  ...DEFAULT_COMPACTION_POLICY,
  keepRecent: 0,
  minMerged: 2,
  ratio: Number.POSITIVE_INFINITY,
};

/** Leaves a large first pack alone: the bases of thin packs stay where they are. */
export const BUT_THE_FIRST: CompactionPolicy = { ...EAGER, ratio: 0.5, smallPackBytes: 1 };

/** Only drops. */
export const NO_MERGE: CompactionPolicy = { ...EAGER, keepRecent: 1000 };
