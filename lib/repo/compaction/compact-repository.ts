/**
 * Makes few packs of many, and drops what no ref reaches. Refs stay as they are, so a reader sees no difference; one that
 * is under way keeps using the old packs, which the janitor (../janitor.ts) removes when no reader can be using them.
 */
import {
  afterCleanUp,
  assertNotStopped,
  DamagedRepositoryError,
  insteadOf,
  NotFoundError,
  VersionConflictError,
} from "../../errors.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { BlockCache } from "../../store/block-cache.ts";
import { type RepositoryUuid, repositoryKeys } from "../layout.ts";
import type { Manifest, ManifestPack } from "../manifest.ts";
import { deletePack } from "../pack-blobs.ts";
import { writeManifest } from "../publish.ts";
import { openRepository, type Repository } from "../repository.ts";
import { asRepositoryDamage } from "../repository-damage.ts";
import { mergedLfsPointers } from "../stored-lfs-pointers.ts";
import { writeMergedPack } from "./merged-pack.ts";
import { type CompactionPlan, planCompaction } from "./plan-compaction.ts";
import { bytesOf, type CompactionPolicy, DEFAULT_COMPACTION_POLICY, type PackRun } from "./policy.ts";
import { objectsOfRun } from "./run-objects.ts";

export interface CompactionProgress {
  readonly phase: "compacting";
  readonly objects: number;
  readonly totalObjects: number;
}

export interface CompactionOptions {
  readonly store: BlobStore;
  readonly policy?: CompactionPolicy | undefined;
  readonly now?: (() => Date) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: CompactionProgress) => void) | undefined;
}

export type CompactionOutcome =
  /** `dropDueAt`: there is something to drop, but not before then. */
  | { readonly kind: "nothing-to-do"; readonly dropDueAt?: Date }
  | CompactedOutcome
  /** Others published meanwhile, and what they did and this do not go together. Nothing is changed; try again later. */
  | { readonly kind: "race-lost" };

export interface CompactedOutcome {
  readonly kind: "compacted";
  readonly generation: number;
  readonly packsBefore: number;
  readonly packsAfter: number;
  readonly rewrittenBytes: number;
  /** What the new packs take in their place. */
  readonly writtenBytes: number;
  /** Entries that are gone: of objects that no ref reaches, and of those that another pack held too. */
  readonly droppedEntries: number;
}

/**
 * @throws {DamagedRepositoryError} A pack, an index or a history is not what it should be. Nothing is changed.
 * @throws {StoppedError} Nothing is changed. And what the store throws: if it fails while publishing, the outcome is unknown.
 */
export async function compactRepository(
  uuid: RepositoryUuid,
  options: CompactionOptions,
): Promise<CompactionOutcome> {
  const { store, policy = DEFAULT_COMPACTION_POLICY, now = () => new Date(), signal } = options;
  // Blocks of its own: what is read once shall not push out what clients ask for.
  const open = (): Promise<Repository> => openRepository({ store, blocks: new BlockCache(store) }, uuid);
  const repository = await open().catch(insteadOf(NotFoundError, undefined));
  if (repository === undefined) return { kind: "nothing-to-do" };
  const plan = await asRepositoryDamage(() => planCompaction(repository, policy, now(), signal));
  const { runs, dropDueAt } = plan;
  if (runs.length === 0 && !plan.dropsUnreachable)
    return { kind: "nothing-to-do", ...(dropDueAt !== undefined && { dropDueAt }) };
  const replacements = await writeRuns(repository, plan, options);
  const generation = await publishRuns(repository, plan, replacements, { store, now, open });
  if (generation === undefined) return { kind: "race-lost" };
  const { packs } = repository.manifest;
  const written = replacements.filter((pack) => pack !== undefined);
  return {
    kind: "compacted",
    generation,
    packsBefore: packs.length,
    packsAfter: withReplacements(packs, runs, replacements).length,
    rewrittenBytes: bytesOf(packs, runs),
    writtenBytes: written.reduce((sum, { packBytes }) => sum + packBytes, 0),
    droppedEntries: entryCount(packs, runs) - written.reduce((sum, { objectCount }) => sum + objectCount, 0),
  };
}

/** What takes a run's place; nothing, if nothing of it is kept. */
type Replacement = ManifestPack | undefined;

/** On failure nothing stays behind. */
async function writeRuns(
  repository: Repository,
  { runs, isKept }: CompactionPlan,
  { store, signal, onProgress }: CompactionOptions,
): Promise<Replacement[]> {
  const { packs } = repository.manifest;
  const keys = repositoryKeys(repository.uuid);
  const objects = await repository.openObjects();
  if (repository.damagedHistories.length > 0)
    throw new DamagedRepositoryError("a history is damaged: a sync writes it anew");
  const replacements: Replacement[] = [];
  const totalObjects = entryCount(packs, runs);
  let doneObjects = 0;
  const onEntries = (count: number): void =>
    onProgress?.({ phase: "compacting", objects: doneObjects + count, totalObjects });
  try {
    for (const run of runs) {
      const chosen = await asRepositoryDamage(() => objectsOfRun(objects, packs, run, isKept));
      const encodeLfsPointers = await mergedLfsPointers(store, keys, { objects, packs, run });
      const pack = { store, keys, objects, encodeLfsPointers, signal, onEntries };
      replacements.push(chosen.own.length === 0 ? undefined : await writeMergedPack(pack, chosen));
      doneObjects += entryCount(packs, [run]);
    }
    assertNotStopped(signal);
    return replacements;
  } catch (error) {
    const made = replacements.filter((pack) => pack !== undefined);
    throw await afterCleanUp(error, () => Promise.all(made.map(({ id }) => deletePack(store, keys, id))));
  }
}

function entryCount(packs: readonly ManifestPack[], runs: readonly PackRun[]): number {
  return runs
    .flatMap(({ start, end }) => packs.slice(start, end))
    .reduce((sum, { objectCount }) => sum + objectCount, 0);
}

/** Syncs that publish as often within one compaction are no accident. */
const MAX_TRIES = 4;

/**
 * Publishes the packs in the place of the old ones, also over what was published meanwhile if that goes together.
 * @param replacements - By run.
 * @returns The generation; `undefined` if the race is lost: then the new packs are gone, as far as that is safe.
 */
async function publishRuns(
  repository: Repository,
  plan: CompactionPlan,
  replacements: readonly Replacement[],
  { store, now, open }: { store: BlobStore; now: () => Date; open: () => Promise<Repository> },
): Promise<number | undefined> {
  const { uuid } = repository;
  let base = repository;
  for (let tries = 1; ; tries++) {
    const packs = withReplacements(base.manifest.packs, plan.runs, replacements);
    try {
      const { generation } = base.manifest;
      const publishedAt = now().toISOString();
      const next = { ...base.manifest, packs, publishedAt, generation: generation + 1 };
      if (plan.dropsUnreachable) {
        next.mayHoldUnreachable = false;
        if (plan.runs.length > 0) next.unreachableDroppedAt = next.publishedAt;
      }
      return (await writeManifest(store, uuid, next, base.stored)).value.generation;
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
      for (const pack of replacements) if (pack !== undefined) await deletePack(store, keys, pack.id);
    }
    return undefined;
  }
}

function withReplacements(
  packs: readonly ManifestPack[],
  runs: readonly PackRun[],
  replacements: readonly Replacement[],
): ManifestPack[] {
  const result = [...packs];
  // From the end on, so that those before stay in their places.
  for (const [i, { start, end }] of [...runs.entries()].reverse())
    result.splice(start, end - start, ...[replacements[i]].filter((pack) => pack !== undefined));
  return result;
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
