/** Publishes rewritten packs in the place of the old ones, also over what was published meanwhile if that goes together. */
import { VersionConflictError } from "../../errors.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { repositoryKeys } from "../layout.ts";
import type { Manifest, ManifestPack } from "../manifest.ts";
import { publishPacks } from "../publish.ts";
import type { Repository } from "../repository.ts";
import { deletePackBlobs } from "./merged-pack.ts";
import type { CompactionPlan } from "./plan-compaction.ts";
import type { PackRun } from "./policy.ts";

/** What takes a run's place; nothing, if nothing of it is kept. */
export type Replacement = ManifestPack | undefined;

export interface PublishRunsOptions {
  readonly store: BlobStore;
  /** What was compacted. */
  readonly repository: Repository;
  readonly plan: CompactionPlan;
  /** By run. */
  readonly replacements: readonly Replacement[];
  readonly now: () => Date;
  /** As it is by now. */
  readonly open: () => Promise<Repository>;
}

/** Syncs that publish as often within one compaction are no accident. */
const MAX_TRIES = 4;

/** @returns The generation; `undefined` if the race is lost: then the new packs are gone, as far as that is safe. */
export async function publishRuns(options: PublishRunsOptions): Promise<number | undefined> {
  const { store, repository, plan, replacements, now, open } = options;
  const { uuid } = repository;
  let base = repository;
  for (let tries = 1; ; tries++) {
    const packs = withReplacements(base.manifest.packs, plan.runs, replacements);
    try {
      const next = { ...base.manifest, packs, publishedAt: now().toISOString() };
      if (plan.dropsUnreachable) {
        next.mayHoldUnreachable = false;
        if (plan.runs.length > 0) next.unreachableDroppedAt = next.publishedAt;
      }
      return (await publishPacks(store, uuid, base.stored, next)).value.generation;
    } catch (error) {
      // After any other failure the outcome is unknown: the janitor decides later.
      if (!(error instanceof VersionConflictError)) throw error;
    }
    const current = await open();
    // A conditional write that the store's client repeats, because its answer was lost, conflicts with itself.
    if (isPublished(current.manifest, replacements)) return current.manifest.generation;
    if (tries < MAX_TRIES && goesTogether(repository.manifest, current.manifest, plan)) {
      base = current;
      continue;
    }
    // While the version that it is to replace stands, our write may yet land.
    if (current.version !== base.version) {
      const keys = repositoryKeys(uuid);
      for (const pack of replacements) if (pack !== undefined) await deletePackBlobs(store, keys, pack.id);
    }
    return undefined;
  }
}

function withReplacements(
  packs: readonly ManifestPack[],
  runs: readonly PackRun[],
  replacements: readonly Replacement[],
): ManifestPack[] {
  const result: ManifestPack[] = [];
  let at = 0;
  for (const [i, { start, end }] of runs.entries()) {
    result.push(...packs.slice(at, start));
    const pack = replacements[i];
    if (pack !== undefined) result.push(pack);
    at = end;
  }
  return [...result, ...packs.slice(at)];
}

function idsOf(packs: readonly ManifestPack[]): string {
  return packs.map(({ id }) => id).join();
}

function isPublished(current: Manifest, replacements: readonly Replacement[]): boolean {
  const written = replacements.filter((pack) => pack !== undefined);
  const ids = new Set(current.packs.map(({ id }) => id));
  return written.length > 0 && written.every(({ id }) => ids.has(id));
}

/**
 * Whether what was written for `before` may replace the same packs of `current`. A sync adds packs at the end. But to a
 * compaction that has dropped objects it may have brought a ref back that needs them.
 */
function goesTogether(
  before: Manifest,
  current: Manifest,
  { runs, dropsUnreachable }: CompactionPlan,
): boolean {
  if (dropsUnreachable) {
    return before.refs.snapshotId === current.refs.snapshotId && idsOf(before.packs) === idsOf(current.packs);
  }
  const end = runs.at(-1)?.end ?? 0;
  return idsOf(before.packs.slice(0, end)) === idsOf(current.packs.slice(0, end));
}
