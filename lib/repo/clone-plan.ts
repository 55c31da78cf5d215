/**
 * What a client installs of a repository by itself, in place of what git would receive and index: packs with their indexes as they are
 * stored, which are git's own formats, and the refs as a file `packed-refs`.
 */
import * as z from "zod/mini";
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { Manifest } from "./manifest.ts";

/** A plan is some 1 KB for each pack, and takes 0.2 ms for its two addresses. Compaction keeps packs fewer. */
const MAX_PACKS = 256;
/** Of `WorkSlices`, for a pack's addresses. */
const PACK_STEPS = 200;

const count = z.int().check(z.nonnegative());
const url = z.url({ protocol: /^https?$/ });

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
        objectCount: count,
        packBytes: count,
        indexBytes: count,
        packUrl: url,
        indexUrl: url,
      }),
    )
    .check(z.minLength(1), z.maxLength(MAX_PACKS)),
  /** Where the primary has the repository; absent if that is not known. */
  primaryUrl: z.optional(url),
});

export type ClonePlan = z.infer<typeof clonePlanSchema>;

export interface PlannedRepository {
  readonly uuid: RepositoryUuid;
  readonly manifest: Manifest;
}

/**
 * No request to the store. The addresses are bearer URLs.
 * @param serverUrl - See {@link BlobUrls}.
 * @returns `undefined` if the packs may hold what no ref reaches, or are none or too many: git's own clone is the way then.
 */
export async function makeClonePlan(
  { uuid, manifest }: PlannedRepository,
  urls: BlobUrls,
  serverUrl: string | undefined,
): Promise<ClonePlan | undefined> {
  const { packs, refs, mayHoldUnreachable } = manifest;
  if (mayHoldUnreachable || packs.length === 0 || packs.length > MAX_PACKS) return undefined;
  const keys = repositoryKeys(uuid);
  const slices = new WorkSlices();
  const planned: ClonePlan["packs"] = [];
  for (const { id, objectCount, packBytes, indexBytes } of packs) {
    await slices.spend(PACK_STEPS);
    const packUrl = await urls.urlOf(keys.pack(id), packBytes, serverUrl);
    const indexUrl = await urls.urlOf(keys.packIndex(id), indexBytes, serverUrl);
    planned.push({ id, objectCount, packBytes, indexBytes, packUrl, indexUrl });
  }
  const { snapshotId, snapshotBytes, sha256 } = refs;
  const refsUrl = await urls.urlOf(keys.refSnapshot(snapshotId), snapshotBytes, serverUrl);
  return { formatVersion: 1, refs: { url: refsUrl, bytes: snapshotBytes, sha256 }, packs: planned };
}
