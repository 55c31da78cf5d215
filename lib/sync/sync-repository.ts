/** Brings one repository up to date with the primary: lists refs, fetches what is missing, publishes. */
import type { UpstreamGit, UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { NotFoundError, VersionConflictError } from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { RefList } from "../git/ports.ts";
import type { Logger } from "../log.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { PackSet } from "../repo/pack-set.ts";
import { publish, publishVerified } from "../repo/publish.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";
import { assertConnected, countKnownObjects } from "./connectivity.ts";
import { losesTips } from "./lost-tips.ts";
import { receivePack } from "./receive-pack.ts";
import { chooseHaves, compareRefs, isSameHead, type RefChange, tipsOf } from "./ref-changes.ts";
import type { SyncProgress } from "./sync-progress.ts";

export interface SyncLimits {
  /** What the local disk must take: a function has 10 GB. */
  readonly maxPackBytes: number;
  /** 50 bytes each in the request; more would hardly make the pack smaller. */
  readonly maxHaves: number;
  /** How old "verified" may grow before a sync without news writes the manifest again. */
  readonly verifiedStaleMs: number;
}

export const DEFAULT_SYNC_LIMITS: SyncLimits = {
  maxPackBytes: 9 * 2 ** 30,
  maxHaves: 4096,
  verifiedStaleMs: 30_000,
};

export interface SyncOptions {
  readonly storage: RepositoryStorage;
  readonly upstream: UpstreamGit;
  readonly log: Logger;
  readonly onProgress?: (progress: SyncProgress) => void;
  readonly limits?: SyncLimits;
  readonly now?: () => Date;
}

export type SyncOutcome =
  | { readonly kind: "unchanged"; readonly generation: number }
  | {
      readonly kind: "published";
      readonly generation: number;
      readonly changes: readonly RefChange[];
      readonly receivedBytes: number;
      readonly objects: number;
    };

/** Another writer that is faster four times in a row is no accident. */
const MAX_TRIES = 4;

/**
 * @throws {UpstreamError} @throws {NotFoundError} The primary failed or refused.
 * @throws {CorruptPackError} @throws {LimitExceededError} What it sent cannot be taken. The last generation stays served.
 */
export async function syncRepository(uuid: RepositoryUuid, options: SyncOptions): Promise<SyncOutcome> {
  for (let tries = 1; ; tries++) {
    try {
      return await syncOnce(uuid, options);
    } catch (error) {
      if (!(error instanceof VersionConflictError) || tries === MAX_TRIES) throw error;
      options.log.info("sync:race-lost", { uuid, tries });
    }
  }
}

async function syncOnce(uuid: RepositoryUuid, options: SyncOptions): Promise<SyncOutcome> {
  const { storage, upstream, onProgress, limits = DEFAULT_SYNC_LIMITS, now = () => new Date() } = options;
  const before = await openIfThere(storage, uuid);
  onProgress?.({ phase: "listing" });
  const askedAt = now();
  const [upstreamRefs, refsBefore] = await Promise.all([upstream.listRefs(), before?.readRefs() ?? NO_REFS]);
  const changes = compareRefs(refsBefore, upstreamRefs);
  if (before !== undefined && changes.length === 0 && isSameHead(refsBefore.head, upstreamRefs.head)) {
    const ageMs = askedAt.getTime() - Date.parse(before.manifest.verifiedAt);
    if (ageMs >= limits.verifiedStaleMs) await publishVerified(storage.store, uuid, before, askedAt);
    return { kind: "unchanged", generation: before.manifest.generation };
  }
  const received = await receiveMissing(uuid, before, refsBefore, upstreamRefs, changes, options);
  const packs = [...(before?.manifest.packs ?? []), ...(received === undefined ? [] : [received.pack])];
  try {
    onProgress?.({ phase: "publishing" });
    const mayHoldUnreachable = await mayLose(
      uuid,
      before,
      packs,
      tipsOf(refsBefore),
      tipsOf(upstreamRefs),
      storage,
    );
    const { manifest } = await publish(storage.store, uuid, before ?? "absent", {
      head: upstreamRefs.head,
      refs: upstreamRefs.refs,
      packs,
      mayHoldUnreachable,
      publishedAt: now(),
      verifiedAt: askedAt,
    });
    const counts = {
      receivedBytes: received?.pack.packBytes ?? 0,
      objects: received?.pack.sentObjectCount ?? 0,
    };
    return { kind: "published", generation: manifest.generation, changes, ...counts };
  } catch (error) {
    // Nothing names it; but only a lost race says for sure that nothing ever will.
    if (error instanceof VersionConflictError && received !== undefined)
      await deletePack(uuid, received.pack, storage);
    throw error;
  }
}

const NO_REFS: RefList = { head: { ref: "" }, refs: [] };

async function openIfThere(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
): Promise<Repository | undefined> {
  try {
    return await openRepository(storage, uuid);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** @returns `undefined` if every new tip is here already. */
async function receiveMissing(
  uuid: RepositoryUuid,
  before: Repository | undefined,
  refsBefore: RefList,
  upstreamRefs: UpstreamRefs,
  changes: readonly RefChange[],
  { storage, upstream, onProgress, limits = DEFAULT_SYNC_LIMITS }: SyncOptions,
): Promise<{ readonly pack: ManifestPack } | undefined> {
  const known = await before?.openObjects();
  // What is here is here with all that it needs, whether a ref still names it or not.
  const wants = [...tipsOf(upstreamRefs)].filter((id) => known === undefined || known.findId(id) < 0);
  if (wants.length === 0) return undefined;
  const { store } = storage;
  const keys = repositoryKeys(uuid);
  const haves = known === undefined ? [] : chooseHaves(refsBefore, changes, limits.maxHaves);
  const { protocol } = upstreamRefs;
  const { pack, indexed } = await receivePack({
    store,
    keys,
    chunks: upstream.fetchPack({
      protocol,
      wants,
      haves,
      onProgress: (text) => onProgress?.({ phase: "waiting", text }),
    }),
    readBase: async (id: ObjectId) => {
      const objectNumber = known?.findId(id) ?? -1;
      return objectNumber < 0 ? undefined : known?.read(objectNumber);
    },
    maxPackBytes: limits.maxPackBytes,
    onBytes: (receivedBytes) => onProgress?.({ phase: "receiving", receivedBytes }),
    onIndex: (progress) => onProgress?.(progress),
  });
  try {
    assertConnected(indexed, wants, known);
    await store.write(keys.packIndex(pack.id), indexed.index, { ifVersion: "absent" });
  } catch (error) {
    await deletePack(uuid, pack, storage);
    throw error;
  }
  const appendedCount = pack.objectCount - pack.sentObjectCount;
  const repeatedObjectCount = pack.repeatedObjectCount + countKnownObjects(indexed, known) - appendedCount;
  return { pack: { ...pack, repeatedObjectCount } };
}

async function deletePack(
  uuid: RepositoryUuid,
  { id }: ManifestPack,
  { store }: RepositoryStorage,
): Promise<void> {
  const keys = repositoryKeys(uuid);
  await Promise.all([store.delete(keys.pack(id)), store.delete(keys.packIndex(id))]);
}

async function mayLose(
  uuid: RepositoryUuid,
  before: Repository | undefined,
  packs: readonly ManifestPack[],
  oldTips: ReadonlySet<ObjectId>,
  newTips: ReadonlySet<ObjectId>,
  { store, blocks }: RepositoryStorage,
): Promise<boolean> {
  if (before === undefined) return false;
  if (before.mayHoldUnreachable) return true;
  if ([...oldTips].every((id) => newTips.has(id))) return false;
  const objects = new ObjectDatabase(await PackSet.open(store, blocks, repositoryKeys(uuid), packs));
  return losesTips(objects, oldTips, newTips);
}
