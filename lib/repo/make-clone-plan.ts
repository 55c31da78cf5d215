/** Makes plans for `nearside clone`. */
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import { type ClonePlan, MAX_PLANNED_PACKS } from "./clone-plan.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { Manifest } from "./manifest.ts";

/** Of `WorkSlices`, for a pack's addresses. */
const PACK_STEPS = 200;

interface PlannedRepository {
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
  if (mayHoldUnreachable || packs.length === 0 || packs.length > MAX_PLANNED_PACKS) return undefined;
  const keys = repositoryKeys(uuid);
  const slices = new WorkSlices();
  const planned: ClonePlan["packs"] = [];
  for (const { id, checksum, objectCount, packBytes, indexBytes } of packs) {
    await slices.spend(PACK_STEPS);
    const packUrl = await urls.urlOf(keys.pack(id), packBytes, serverUrl);
    const indexUrl = await urls.urlOf(keys.packIndex(id), indexBytes, serverUrl);
    const sizes = { objectCount, packBytes, indexBytes };
    planned.push({ id, ...(checksum !== undefined && { checksum }), ...sizes, packUrl, indexUrl });
  }
  const { snapshotId, snapshotBytes, sha256 } = refs;
  const refsUrl = await urls.urlOf(keys.refSnapshot(snapshotId), snapshotBytes, serverUrl);
  return { formatVersion: 1, refs: { url: refsUrl, bytes: snapshotBytes, sha256 }, packs: planned };
}
