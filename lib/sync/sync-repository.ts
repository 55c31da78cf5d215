/** Brings one repository up to date with the primary: lists refs, fetches what is missing, publishes. */
import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import {
  afterCleanUp,
  assertNotStopped,
  DamagedRepositoryError,
  errorFields,
  ProtocolError,
  RenamedError,
  StoppedError,
  UpstreamError,
  VersionConflictError,
} from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { RefList } from "../git/ports.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { ObjectDatabase } from "../repo/object-database.ts";
import { type PreviousManifest, publish, publishVerified, writeRefsForCopies } from "../repo/publish.ts";
import { formatRefSnapshot } from "../repo/refs.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { type FetchBase, openDamagedFetchBase, openFetchBase, openIfThere } from "./fetch-base.ts";
import type { ImportLimits } from "./import-history.ts";
import { isNonFastForward } from "./non-fast-forward.ts";
import { deletePack, receiveObjects } from "./receive-objects.ts";
import { compareRefs, isSameHead, type RefChange, tipsOf } from "./ref-changes.ts";
import { DEFAULT_SLICE_LIMITS } from "./slice-size.ts";
import { forgetImport, groundOf } from "./sync-ground.ts";
import type { SyncProgress } from "./sync-progress.ts";

export interface SyncLimits extends ImportLimits {
  /** How old "verified" may grow before a sync without news writes the manifest again. */
  readonly verifiedStaleMs: number;
}

export const DEFAULT_SYNC_LIMITS: SyncLimits = {
  maxPackBytes: 9 * 2 ** 30,
  maxHaves: 4096,
  // Fetched and indexed in a minute or two: less than that is hardly worth a round trip for the commits.
  sliceAboveBytes: 2 ** 28,
  slices: DEFAULT_SLICE_LIMITS,
  verifiedStaleMs: 30_000,
};

export interface SyncOptions {
  readonly storage: RepositoryStorage;
  readonly upstream: UpstreamGit;
  readonly log: Logger;
  readonly onProgress?: (progress: SyncProgress) => void;
  readonly limits?: SyncLimits;
  readonly now?: () => Date;
  /** How large the whole repository is, as far as the primary says so: a large one is fetched in slices at first. */
  readonly expectedBytes?: number | undefined;
  /** Looks for damage in the store also where nothing is new: once in a process's life, say. */
  readonly checkStore?: boolean;
  /** Writes the time into the manifest in any case: someone waits for it. */
  readonly notesVerified?: boolean;
  /**
   * Called after the fetch, before anything is published: throws if what was fetched is not of this repository.
   * @param continues - Whether there is something already, and the new refs have all of it.
   */
  readonly confirm?: (continues: boolean) => Promise<void>;
  /** Stops the sync, with nothing left behind. The upstream needs it too, for its own requests. */
  readonly signal?: AbortSignal;
  /** Where a pack lies while it is indexed; made if it is not there. By default the system's: `TMPDIR`, or `/tmp`. */
  readonly temporaryFolder?: string | undefined;
}

export type SyncOutcome =
  | { readonly kind: "unchanged"; readonly generation: number; readonly refsSha256: string }
  | PublishedOutcome;

export interface PublishedOutcome {
  readonly kind: "published";
  readonly generation: number;
  /** Of the snapshot of its refs. */
  readonly refsSha256: string;
  /** Of what `changes` are counted from; absent where that is nothing. */
  readonly refsSha256Before?: string;
  readonly changes: readonly RefChange[];
  readonly receivedBytes: number;
  readonly objects: number;
}

/** Another writer that is faster four times in a row is no accident. */
const MAX_TRIES = 4;

/**
 * @throws {UpstreamError} @throws {NotFoundError} The primary failed or refused.
 * @throws {CorruptPackError} @throws {LimitExceededError} What it sent cannot be taken. The last generation stays served.
 * @throws {StoppedError} By the signal; {@link UnfinishedError} where a large first sync has come further.
 * @throws What `confirm` throws.
 * Damage in the store that it comes upon it mends: with a generation of one new pack, or with a new history sidecar.
 */
export async function syncRepository(uuid: RepositoryUuid, options: SyncOptions): Promise<SyncOutcome> {
  const { log, storage, signal } = options;
  let open = openFetchBase;
  for (let tries = 1; ; tries++) {
    let basis: FetchBase | undefined;
    try {
      basis = await open(storage, uuid);
      return await syncOver(basis, uuid, options);
    } catch (error) {
      if (error instanceof StoppedError) throw error;
      // What fails after the stop fails because of it.
      assertNotStopped(signal);
      // All that was read of the store is what an import has kept: going on from it would fail for ever.
      if (error instanceof DamagedRepositoryError && basis !== undefined && basis.repository === undefined)
        await forgetImport(uuid, storage, log);
      if (error instanceof DamagedRepositoryError && open === openFetchBase) {
        log.error("sync:store-damaged", { uuid, ...errorFields(error) });
        open = openDamagedFetchBase;
      } else if (error instanceof VersionConflictError && tries < MAX_TRIES) {
        log.info("sync:race-lost", { uuid, tries });
      } else throw error;
    }
  }
}

async function syncOver(basis: FetchBase, uuid: RepositoryUuid, options: SyncOptions): Promise<SyncOutcome> {
  const {
    storage,
    upstream,
    onProgress,
    signal,
    limits = DEFAULT_SYNC_LIMITS,
    now = () => new Date(),
  } = options;
  const { previous, repository: before } = basis;
  onProgress?.({ phase: "listing" });
  const askedAt = now();
  const [upstreamRefs, refsBefore] = await Promise.all([upstream.listRefs(), before?.readRefs() ?? NO_REFS]);
  const changes = compareRefs(refsBefore, upstreamRefs);
  const isNew = before === undefined || changes.length > 0 || !isSameHead(refsBefore.head, upstreamRefs.head);
  const known = isNew || options.checkStore ? await before?.openObjects() : undefined;
  if (options.checkStore) await before?.checkPacks();
  if (!isNew && before.damagedHistories.length === 0) {
    const ageMs = askedAt.getTime() - Date.parse(before.manifest.verifiedAt);
    if (options.notesVerified || ageMs >= limits.verifiedStaleMs) {
      await publishVerified(storage.store, uuid, before, askedAt);
      // Whoever lost a race and was killed has left its own there.
      await writeRefsForCopies(storage.store, uuid, refsBefore.head, formatRefSnapshot(refsBefore.refs));
    }
    const { generation, refs } = before.manifest;
    return { kind: "unchanged", generation, refsSha256: refs.sha256 };
  }
  const refs = { refsBefore, upstreamRefs, changes };
  const ground = await groundOf(before, known, uuid, refs, { ...options, limits, now });
  const received = await receiveObjects({
    ...{ storage, upstream, uuid, upstreamRefs, limits, onProgress, signal },
    known: ground.objects,
    haves: ground.haves,
    temporaryFolder: options.temporaryFolder,
    ...(ground.large && { onBytes: ground.large.onBytes }),
  });
  try {
    onProgress?.({ phase: "publishing" });
    const objects = received?.objects ?? ground.objects;
    const losesSome = await loses(objects, ground.tips, tipsOf(upstreamRefs));
    const mayHoldUnreachable = losesSome || before?.mayHoldUnreachable === true;
    // What builds on nothing continues nothing.
    await options.confirm?.(ground.tips.size > 0 && !losesSome);
    assertNotStopped(signal);
    const { manifest } = await publish(storage.store, uuid, previous, {
      head: upstreamRefs.head,
      refs: upstreamRefs.refs,
      packs: [...ground.packs, ...(received === undefined ? [] : [received.pack])],
      mayHoldUnreachable,
      publishedAt: now(),
      verifiedAt: askedAt,
    });
    await ground.settle();
    const counts = {
      receivedBytes: received?.pack.packBytes ?? 0,
      objects: received?.pack.sentObjectCount ?? 0,
    };
    const { generation, refs } = manifest;
    return {
      kind: "published",
      generation,
      refsSha256: refs.sha256,
      ...(before !== undefined && { refsSha256Before: before.manifest.refs.sha256 }),
      changes,
      ...counts,
    };
  } catch (error) {
    throw await afterCleanUp(error, () => undoPublish(error, uuid, previous, received?.pack, storage));
  }
}

/**
 * Removes what was written for a generation, if it is certain that no manifest names it, nor ever will. After a lost race
 * the manifest is asked: a conditional write that the store's client repeats, because its answer was lost, conflicts with
 * itself, and may even still be under way. While the version that it is to replace stands, it may yet land.
 */
async function undoPublish(
  error: unknown,
  uuid: RepositoryUuid,
  previous: PreviousManifest | "absent",
  pack: ManifestPack | undefined,
  storage: RepositoryStorage,
): Promise<void> {
  if (error instanceof VersionConflictError) {
    const now = await openIfThere(storage, uuid);
    if (now === undefined || (previous !== "absent" && now.version === previous.version)) return;
    if (now.manifest.packs.some(({ id }) => id === pack?.id)) return;
    const { head, refs } = await now.readRefs();
    await writeRefsForCopies(storage.store, uuid, head, formatRefSnapshot(refs));
  } else if (!BEFORE_PUBLISHING.some((kind) => error instanceof kind)) {
    return; // those come before anything is published; of other failures nobody knows
  }
  if (pack !== undefined) await deletePack(uuid, pack, storage);
}

/** Errors that are thrown before anything is published, if at all. */
const BEFORE_PUBLISHING = [ProtocolError, DamagedRepositoryError, StoppedError, RenamedError, UpstreamError];

const NO_REFS: RefList = { head: { ref: "" }, refs: [] };

/** @param objects - Of the new generation. */
async function loses(
  objects: ObjectDatabase | undefined,
  oldTips: ReadonlySet<ObjectId>,
  newTips: ReadonlySet<ObjectId>,
): Promise<boolean> {
  if (objects === undefined) return false;
  if ([...oldTips].every((id) => newTips.has(id))) return false;
  return asRepositoryDamage(() => isNonFastForward(objects, oldTips, newTips));
}
