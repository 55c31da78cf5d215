/**
 * The first sync of a large repository, in slices:
 * 1. Fetch the commits alone. They say how the history can be cut, oldest part first.
 * 2. Fetch slice after slice: a want and haves that any git server answers. Each is a pack like that of any other sync, closed
 *    over those before it, and is noted in `import.json` as soon as it is stored.
 * 3. The sync publishes the packs, with what was pushed meanwhile, and deletes the notes.
 * After a kill the next sync resumes from the notes: only the slice under way is lost, and the next one is half as large.
 */
import type { UpstreamRefs } from "../bitbucket/upstream-git.ts";
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
import {
  type ImportNotes,
  type ImportStep,
  importNotes,
  type StoredImportNotes,
} from "../repo/import-notes.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { deletePack } from "../repo/pack-blobs.ts";
import { PackSet } from "../repo/pack-set.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { isSameDocument } from "../repo/stored-document.ts";
import type { FetchBase } from "./fetch-base.ts";
import { type FetchedCommits, fetchCommits } from "./fetch-commits.ts";
import { cutIntoSteps, sliceOf } from "./import-steps.ts";
import { readKnown, receiveWanted } from "./receive-objects.ts";
import { tipsOf } from "./ref-changes.ts";
import { afterCut, afterSlice, firstSliceSize, stepCountOf } from "./slice-size.ts";
import type { SyncContext, SyncRequest } from "./sync-context.ts";

/**
 * @returns What is stored now: the history as of when the import began, at least. `undefined` if one fetch is enough.
 * @throws {VersionConflictError} Another process imports it too, or has published it. And what `receiveObjects` throws.
 */
export async function importHistory(
  request: SyncRequest,
  upstreamRefs: UpstreamRefs,
  context: SyncContext,
): Promise<FetchBase | undefined> {
  const { uuid, expectedBytes = 0, limits } = request;
  if (upstreamRefs.takesFilters !== true) return undefined;
  const stored = await importNotes(context.storage.store, repositoryKeys(uuid)).read();
  if (stored.value === undefined && expectedBytes < limits.sliceAboveBytes) return undefined;
  return new Import({ ...request, upstreamRefs }, context, stored).run();
}

type ImportRequest = SyncRequest & { readonly upstreamRefs: UpstreamRefs };

class Import {
  readonly #request: ImportRequest;
  readonly #context: SyncContext;
  readonly #keys: RepositoryKeys;
  #stored: StoredImportNotes;
  #known: ObjectDatabase | undefined;
  /** Slices that this process has stored. */
  #keptSlices = 0;

  constructor(request: ImportRequest, context: SyncContext, stored: StoredImportNotes) {
    this.#request = request;
    this.#context = context;
    this.#keys = repositoryKeys(request.uuid);
    this.#stored = stored;
  }

  /** @throws {UnfinishedError} Stopped, and at least one slice was stored. */
  async run(): Promise<FetchBase | undefined> {
    try {
      return await this.#run();
    } catch (error) {
      if (this.#keptSlices === 0 || !this.#context.signal?.aborted) throw error;
      const kept = { keptSlices: this.#keptSlices, doneSteps: this.#stored.value?.doneSteps };
      throw new UnfinishedError("stopped; the next sync resumes the import", { ...kept, cause: error });
    }
  }

  async #run(): Promise<FetchBase | undefined> {
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
        // Commits of a branch that was rewound or deleted since the plan was made.
        if (!isGoneError(error) || hasPlannedAnew) throw error;
        hasPlannedAnew = true;
        notes = await this.#plan(notes.steps.slice(0, notes.doneSteps), notes.doneSteps);
      }
    }
    if (notes === undefined) return undefined;
    const tips = tipsOfSteps(notes.steps);
    return { packs: notes.packs, objects: this.#known, tips: new Set(tips), haves: tips };
  }

  /** @returns `undefined` if there is nothing to resume. */
  async #resume(): Promise<PlannedNotes | undefined> {
    const { value: notes } = this.#stored;
    if (notes === undefined || !isPlanned(notes)) return undefined;
    const { limits, uuid } = this.#request;
    const { storage, log } = this.#context;
    try {
      this.#known = await asRepositoryDamage(() => openPacks(storage, this.#keys, notes.packs));
    } catch (error) {
      if (!(error instanceof CorruptPackError || error instanceof NotFoundError)) throw error;
      log.warn("import:lost", { uuid, ...errorFields(error) });
      return undefined;
    }
    return notes.underWay === undefined ? notes : { ...notes, ...afterCut(notes, limits.slices) };
  }

  /** @param done - Steps whose slices are stored. @returns `undefined` if the history cannot be cut. */
  async #plan(done: readonly ImportStep[], doneSteps: number): Promise<PlannedNotes | undefined> {
    const { expectedBytes, limits, uuid } = this.#request;
    const { now, log } = this.#context;
    const commits = await this.#fetchCommits(done);
    if (commits === undefined && doneSteps === 0) return undefined;
    const steps = [...done, ...(commits ? cutIntoSteps(commits.history, commits.index, doneSteps) : [])];
    const { value: notes } = this.#stored;
    const size = doneSteps > 0 && notes ? notes : firstSliceSize(expectedBytes, steps.length, limits.slices);
    log.info("import:planned", { uuid, steps: steps.length, doneSteps });
    return this.#write({
      steps,
      doneSteps,
      packs: doneSteps > 0 && notes ? notes.packs : [],
      sliceBytes: size.sliceBytes,
      wholeSlices: size.wholeSlices,
      bytesPerStep: size.bytesPerStep,
      changedAt: now().toISOString(),
    });
  }

  /** @returns `undefined` if none are missing, or they are too many. */
  async #fetchCommits(done: readonly ImportStep[]): Promise<FetchedCommits | undefined> {
    const { upstream, upstreamRefs, limits, confirm } = this.#request;
    const wants = this.#missing([...tipsOf(upstreamRefs)]);
    if (wants.length === 0) return undefined;
    // From here on objects are fetched by id, so no slice can be of another repository.
    await confirm?.(false);
    const request = {
      ...{ upstream, wants, haves: tipsOfSteps(done).slice(0, limits.maxHaves) },
      readBase: (id: ObjectId) => readKnown(this.#known, id),
      maxPackBytes: limits.maxPackBytes,
    };
    return fetchCommits(request, this.#context);
  }

  async #fetchSlice(before: PlannedNotes, count: number): Promise<PlannedNotes> {
    const { uuid, limits } = this.#request;
    const { log, onProgress, now } = this.#context;
    const { steps, doneSteps } = before;
    onProgress({ phase: "importing", steps: doneSteps, totalSteps: steps.length });
    const { underWay: _cut, ...others } = await this.#write({ ...before, underWay: count });
    const { wants, haves } = sliceOf(steps, doneSteps, doneSteps + count);
    const missing = this.#missing(wants);
    const received =
      missing.length === 0
        ? undefined
        : await receiveWanted({ ...this.#request, known: this.#known, wants: missing, haves }, this.#context);
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
      // After any other failure the notes may name it.
      if (pack === undefined || !(error instanceof VersionConflictError)) throw error;
      throw await afterCleanUp(error, () => this.#undoSlice(pack));
    }
  }

  /** Another process was first. It may have read our notes with this slice: a write that is repeated conflicts with itself. */
  async #undoSlice(pack: ManifestPack): Promise<void> {
    const { storage } = this.#context;
    const { value: notes } = await importNotes(storage.store, this.#keys).read();
    // Without notes, it may have published this slice; if it has not, the janitor deletes the pack.
    if (notes === undefined || notes.packs.some(({ id }) => id === pack.id)) return;
    await deletePack(storage.store, this.#keys, pack.id);
  }

  #missing(wants: readonly ObjectId[]): ObjectId[] {
    return wants.filter((id) => this.#known === undefined || this.#known.findId(id) < 0);
  }

  /** @throws {VersionConflictError} Another process has written. */
  async #write(notes: PlannedNotes): Promise<PlannedNotes> {
    const document = importNotes(this.#context.storage.store, this.#keys);
    try {
      this.#stored = await document.write(notes, this.#stored);
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      // A write that the store's client repeats conflicts with itself.
      const now = await document.read();
      if (!isSameDocument(now.value, notes)) throw error;
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

/** Deletes the notes: the next import starts anew. Never rejects; the janitor deletes them too. */
export async function forgetImport(
  uuid: RepositoryUuid,
  { storage, log }: Pick<SyncContext, "storage" | "log">,
): Promise<void> {
  try {
    await importNotes(storage.store, repositoryKeys(uuid)).change(() => undefined);
  } catch (error) {
    log.warn("import:not-forgotten", { uuid, ...errorFields(error) });
  }
}

export interface LargeNote {
  readonly onBytes: (receivedBytes: number) => void;
  /** @returns Whether it was noted. */
  settled(): Promise<boolean>;
}

/** Notes that a first fetch has brought more than `noteAboveBytes`. If it is cut, the next sync goes in slices. */
export function noteIfLarge({ uuid, limits }: SyncRequest, { storage, log, now }: SyncContext): LargeNote {
  let noting: Promise<boolean> | undefined;
  const note = async (): Promise<boolean> => {
    const empty = { doneSteps: 0, packs: [], sliceBytes: 0, wholeSlices: 0, bytesPerStep: 1 };
    const notes: ImportNotes = { ...empty, changedAt: now().toISOString() };
    try {
      await importNotes(storage.store, repositoryKeys(uuid)).change((before) => before ?? notes);
    } catch (error) {
      log.warn("import:not-noted", { uuid, ...errorFields(error) });
    }
    return true;
  };
  return {
    onBytes: (receivedBytes) => {
      if (receivedBytes >= limits.noteAboveBytes) noting ??= note();
    },
    settled: async () => noting ?? false,
  };
}
