/**
 * What a client installs of a repository by itself, in place of what git would receive and index: packs with their indexes as they are
 * stored, which are git's own formats, and the refs as a file `packed-refs`. Apart from what makes it: `nearside clone` and `nearside fetch` load little.
 */
import * as z from "zod/mini";

/** A plan is some 1 KB for each pack, and takes 0.2 ms for its two addresses. Compaction keeps packs fewer. */
export const MAX_PLANNED_PACKS = 256;

const count = z.int().check(z.nonnegative());
const url = z.url({ protocol: /^https?$/, normalize: true });

/** Releases add fields; what a client has to understand gets another `formatVersion`. */
export const clonePlanSchema = z.object({
  formatVersion: z.literal(1),
  refs: z.object({ url, bytes: count, sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)) }),
  /** Oldest first. Each holds the bases of its own deltas. */
  packs: z
    .array(
      z.object({
        /** 40 hex digits: the same pack in each plan. */
        id: z.string().check(z.regex(/^[0-9a-f]{40}$/)),
        /** SHA-1 at the pack's end, by which git names it; absent where the mirror does not know it. */
        checksum: z.optional(z.string().check(z.regex(/^[0-9a-f]{40}$/))),
        objectCount: count,
        packBytes: count,
        indexBytes: count,
        packUrl: url,
        indexUrl: url,
      }),
    )
    .check(z.minLength(1), z.maxLength(MAX_PLANNED_PACKS)),
  /** Where the primary has the repository; absent if that is not known. */
  primaryUrl: z.optional(url),
});

export type ClonePlan = z.infer<typeof clonePlanSchema>;
