/**
 * The first sync of a repository that is too large to be fetched at once. The commits come first; they say how the history
 * can be cut, oldest part first, so that each slice builds on those before it and is a pack like that of any other sync. A
 * slice that is here is noted and kept: whoever is killed loses no more than the one that was under way.
 */
import type { UpstreamGit, UpstreamRefs } from "../bitbucket/upstream-git.ts";
import {
  afterCleanUp,
  CorruptPackError,
  errorFields,
  NotFoundError,
  UnfinishedError,
  UpstreamError,
  VersionConflictError,
} from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { Logger } from "../log.ts";
import {
  type ImportNotes,
  type ImportStep,
  readImportNotes,
  type StoredImportNotes,
  writeImportNotes,
} from "../repo/import-notes.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { PackSet } from "../repo/pack-set.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { fetchCommits } from "./fetch-commits.ts";
import { cutIntoSteps, sliceOf } from "./import-steps.ts";
import { deletePack, type FetchLimits, receiveWanted } from "./receive-objects.ts";
import { tipsOf } from "./ref-changes.ts";
import { afterCut, afterSlice, firstSliceSize, type SliceLimits, stepCountOf } from "./slice-size.ts";
import type { SyncProgress } from "./sync-progress.ts";

export interface ImportLimits extends FetchLimits {
  /** A repository of this size or more is fetched in slices. */
  readonly sliceAboveBytes: number;
  readonly slices: SliceLimits;
}

export interface ImportOptions {
  readonly storage: RepositoryStorage;
  readonly upstream: UpstreamGit;
  readonly uuid: RepositoryUuid;
  readonly upstreamRefs: UpstreamRefs;
  /** Of the whole repository; absent if nobody has said. */
  readonly expectedBytes: number | undefined;
  readonly limits: ImportLimits;
  readonly log: Logger;
  readonly now: () => Date;
  readonly onProgress: ((progress: SyncProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly temporaryFolder: string | undefined;
  /** Throws if the refs are not of this repository. From then on objects are asked for by id, which cannot be another's. */
  readonly confirm: (() => Promise<void>) | undefined;
}

export interface ImportedHistory {
  /** Oldest first; closed, as those of a manifest. */
  readonly packs: readonly ManifestPack[];
  readonly objects: ObjectDatabase | undefined;
  /** With what they reach, they are all that is here. */
  readonly tips: readonly ObjectId[];
}

/**
 * @returns What is here, at least as of when the import began; `undefined` if the repository is to be fetched at once.
 * @throws {VersionConflictError} Another one imports it too, or has published it. And what `receiveObjects` throws.
 */
export async function importHistory(options: ImportOptions): Promise<ImportedHistory | undefined> {
  const { storage, uuid, upstreamRefs, expectedBytes = 0, limits } = options;
  if (upstreamRefs.takesFilters !== true) return undefined;
  const stored = await readImportNotes(storage.store, repositoryKeys(uuid));
  if (stored.notes === undefined && expectedBytes < limits.sliceAboveBytes) return undefined;
  return new Import(options, stored).run();
}

class Import {
  readonly #options: ImportOptions;
  readonly #keys: RepositoryKeys;
  #stored: StoredImportNotes;
  #known: ObjectDatabase | undefined;
  /** By this process. */
  #keptSlices = 0;

  constructor(options: ImportOptions, stored: StoredImportNotes) {
    this.#options = options;
    this.#keys = repositoryKeys(options.uuid);
    this.#stored = stored;
  }

  /** @throws {UnfinishedError} Stopped, and at least one slice came whole. */
  async run(): Promise<ImportedHistory | undefined> {
    try {
      return await this.#run();
    } catch (error) {
      if (this.#keptSlices === 0 || !this.#options.signal?.aborted) throw error;
      const kept = { keptSlices: this.#keptSlices, doneSteps: this.#stored.notes?.doneSteps };
      throw new UnfinishedError("stopped; the next try goes on from here", { ...kept, cause: error });
    }
  }

  async #run(): Promise<ImportedHistory | undefined> {
    const resumed = await this.#resume();
    let notes = resumed ?? (await this.#plan([], 0));
    let hasPlannedAnew = false;
    let lastCount: number | undefined;
    while (notes !== undefined && notes.doneSteps < notes.steps.length) {
      const count = Math.min(stepCountOf(notes, lastCount), notes.steps.length - notes.doneSteps);
      try {
        notes = await this.#fetchSlice(notes, count);
        lastCount = count;
      } catch (error) {
        // What a branch had when the commits were listed may be gone from the primary.
        if (!isGoneError(error) || hasPlannedAnew) throw error;
        hasPlannedAnew = true;
        notes = await this.#plan(notes.steps.slice(0, notes.doneSteps), notes.doneSteps);
      }
    }
    return notes && { packs: notes.packs, objects: this.#known, tips: tipsOfSteps(notes.steps) };
  }

  /** @returns `undefined` if there is nothing to go on with. */
  async #resume(): Promise<PlannedNotes | undefined> {
    const { notes } = this.#stored;
    if (notes === undefined || !isPlanned(notes)) return undefined;
    const { storage, limits, log, uuid } = this.#options;
    try {
      this.#known = await asRepositoryDamage(() => openPacks(storage, this.#keys, notes.packs));
    } catch (error) {
      if (!(error instanceof CorruptPackError || error instanceof NotFoundError)) throw error;
      log.warn("import:lost", { uuid, ...errorFields(error) });
      return undefined;
    }
    return notes.underWay === undefined ? notes : { ...notes, ...afterCut(notes, limits.slices) };
  }

  /** @param done - Steps whose slices are here. @returns `undefined` if the history cannot be cut. */
  async #plan(done: readonly ImportStep[], doneSteps: number): Promise<PlannedNotes | undefined> {
    const { upstream, upstreamRefs, expectedBytes, limits, onProgress, now, uuid, log } = this.#options;
    const wants = this.#missing([...tipsOf(upstreamRefs)]);
    if (wants.length > 0) await this.#options.confirm?.();
    const commits =
      wants.length === 0
        ? undefined
        : await fetchCommits({
            upstream,
            wants,
            haves: tipsOfSteps(done).slice(0, limits.maxHaves),
            readBase: (id) => this.#readBase(id),
            maxPackBytes: limits.maxPackBytes,
            onText: (text) => onProgress?.({ phase: "waiting", text }),
            signal: this.#options.signal,
            temporaryFolder: this.#options.temporaryFolder,
          });
    if (commits === undefined && doneSteps === 0) return undefined;
    const steps = [...done, ...(commits ? cutIntoSteps(commits.history, commits.index, doneSteps) : [])];
    const { notes } = this.#stored;
    const size = doneSteps > 0 && notes ? notes : firstSliceSize(expectedBytes, steps.length, limits.slices);
    log.info("import:planned", { uuid, steps: steps.length, doneSteps });
    return this.#write({
      formatVersion: 1,
      steps,
      doneSteps,
      packs: doneSteps > 0 && notes ? notes.packs : [],
      sliceBytes: size.sliceBytes,
      wholeSlices: size.wholeSlices,
      bytesPerStep: size.bytesPerStep,
      changedAt: now().toISOString(),
    });
  }

  async #fetchSlice(before: PlannedNotes, count: number): Promise<PlannedNotes> {
    const { uuid, limits, log, onProgress, now } = this.#options;
    const { steps, doneSteps } = before;
    onProgress?.({ phase: "importing", steps: doneSteps, totalSteps: steps.length });
    const { underWay: _cut, ...others } = await this.#write({ ...before, underWay: count });
    const { wants, haves } = sliceOf(steps, doneSteps, doneSteps + count);
    const missing = this.#missing(wants);
    const received =
      missing.length === 0
        ? undefined
        : await receiveWanted({ ...this.#options, known: this.#known, wants: missing, haves });
    const pack = received?.pack;
    const receivedBytes = pack?.packBytes ?? 0;
    log.info("import:slice", { uuid, steps: count, doneSteps: doneSteps + count, receivedBytes });
    try {
      const notes = await this.#write({
        ...others,
        ...(pack === undefined ? {} : afterSlice(others, count, receivedBytes, limits.slices)),
        doneSteps: doneSteps + count,
        packs: pack === undefined ? others.packs : [...others.packs, pack],
        changedAt: now().toISOString(),
      });
      this.#known = received?.objects ?? this.#known;
      this.#keptSlices += 1;
      return notes;
    } catch (error) {
      // Of other failures nobody knows whether the notes name it.
      if (pack === undefined || !(error instanceof VersionConflictError)) throw error;
      throw await afterCleanUp(error, () => this.#undoSlice(pack));
    }
  }

  /** It was another's turn, who may have gone on from this very slice: a write that is repeated conflicts with itself. */
  async #undoSlice(pack: ManifestPack): Promise<void> {
    const { storage, uuid } = this.#options;
    const { notes } = await readImportNotes(storage.store, this.#keys);
    // Where there are none the other may have published it; what nobody names is the janitor's.
    if (notes === undefined || notes.packs.some(({ id }) => id === pack.id)) return;
    await deletePack(uuid, pack, storage);
  }

  #missing(wants: readonly ObjectId[]): ObjectId[] {
    return wants.filter((id) => this.#known === undefined || this.#known.findId(id) < 0);
  }

  async #readBase(id: ObjectId): ReturnType<Parameters<typeof fetchCommits>[0]["readBase"]> {
    const known = this.#known;
    const objectNumber = known?.findId(id) ?? -1;
    return objectNumber < 0 ? undefined : asRepositoryDamage(async () => known?.read(objectNumber));
  }

  /** @throws {VersionConflictError} Somebody else has written. */
  async #write(notes: PlannedNotes): Promise<PlannedNotes> {
    const { store } = this.#options.storage;
    try {
      this.#stored = await writeImportNotes(store, this.#keys, notes, this.#stored.version);
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      // A write that was repeated below the store conflicts with itself.
      const now = await readImportNotes(store, this.#keys);
      if (JSON.stringify(now.notes) !== JSON.stringify(notes)) throw error;
      this.#stored = now;
    }
    return notes;
  }
}

type PlannedNotes = ImportNotes & { readonly steps: readonly ImportStep[] };

function isPlanned(notes: ImportNotes): notes is PlannedNotes {
  return notes.steps !== undefined;
}

function isGoneError(error: unknown): boolean {
  return error instanceof UpstreamError && /not our ref/.test(String(error.context["refusal"] ?? ""));
}

async function openPacks(
  storage: RepositoryStorage,
  keys: RepositoryKeys,
  packs: readonly ManifestPack[],
): Promise<ObjectDatabase> {
  return new ObjectDatabase(await PackSet.open(storage, keys, packs));
}

function tipsOfSteps(steps: readonly ImportStep[]): ObjectId[] {
  const parents = new Set(steps.flatMap(({ haves }) => haves.map(([id]) => id)));
  return steps.flatMap(({ wants }) => wants.filter((id) => !parents.has(id)));
}
