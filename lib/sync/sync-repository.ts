/** Brings one repository up to date with the primary: lists refs, fetches what is missing, publishes. */
import type { UpstreamGit, UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { NotFoundError, ProtocolError, VersionConflictError } from "../errors.ts";
import { encodePackHistory } from "../git/history/pack-history.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { RefList } from "../git/ports.ts";
import type { Logger } from "../log.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { PackSet } from "../repo/pack-set.ts";
import { publish, publishVerified, writeRefsForCopies } from "../repo/publish.ts";
import { formatRefSnapshot } from "../repo/refs.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";
import { completeHistory } from "./complete-history.ts";
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

const DEFAULT_SYNC_LIMITS: SyncLimits = {
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
    const mayHoldUnreachable = await mayLose(before, received, tipsOf(refsBefore), tipsOf(upstreamRefs));
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
    await undoPublish(error, uuid, before, received?.pack, storage);
    throw error;
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
  before: Repository | undefined,
  pack: ManifestPack | undefined,
  storage: RepositoryStorage,
): Promise<void> {
  if (error instanceof VersionConflictError) {
    const now = await openIfThere(storage, uuid);
    if (now?.version === before?.version) return;
    if (now === undefined || now.manifest.packs.some(({ id }) => id === pack?.id)) return;
    const { head, refs } = await now.readRefs();
    await writeRefsForCopies(storage.store, uuid, head, formatRefSnapshot(refs));
  } else if (!(error instanceof ProtocolError)) {
    return; // refused refs were refused before anything was written; of other failures nobody knows
  }
  if (pack !== undefined) await deletePack(uuid, pack, storage);
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
): Promise<ReceivedObjects | undefined> {
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
    const appendedCount = pack.objectCount - pack.sentObjectCount;
    const repeatedObjectCount = pack.repeatedObjectCount + countKnownObjects(indexed, known) - appendedCount;
    const counted = { ...pack, repeatedObjectCount };
    const set = (known?.packs ?? PackSet.empty(storage.blocks)).withPack(keys, counted, indexed.index);
    const objects = new ObjectDatabase(set);
    const history = indexed.built && (await completeHistory(indexed.built, indexed.index, objects));
    const historyBytes = history && encodePackHistory(history);
    await Promise.all([
      store.write(keys.packIndex(pack.id), indexed.index, { ifVersion: "absent" }),
      historyBytes && store.write(keys.packHistory(pack.id), historyBytes, { ifVersion: "absent" }),
    ]);
    return { pack: { ...counted, ...(historyBytes && { historyBytes: historyBytes.length }) }, objects };
  } catch (error) {
    await deletePack(uuid, pack, storage);
    throw error;
  }
}

interface ReceivedObjects {
  readonly pack: ManifestPack;
  /** Over all packs, this one included. */
  readonly objects: ObjectDatabase;
}

async function deletePack(
  uuid: RepositoryUuid,
  { id }: ManifestPack,
  { store }: RepositoryStorage,
): Promise<void> {
  const keys = repositoryKeys(uuid);
  await Promise.all(
    [keys.pack(id), keys.packIndex(id), keys.packHistory(id)].map((key) => store.delete(key)),
  );
}

async function mayLose(
  before: Repository | undefined,
  received: ReceivedObjects | undefined,
  oldTips: ReadonlySet<ObjectId>,
  newTips: ReadonlySet<ObjectId>,
): Promise<boolean> {
  if (before === undefined) return false;
  if (before.mayHoldUnreachable) return true;
  if ([...oldTips].every((id) => newTips.has(id))) return false;
  return losesTips(received?.objects ?? (await before.openObjects()), oldTips, newTips);
}
