/**
 * Keeps a repository's bundles: files from which clients that ask for them begin a clone. One holds the main branch's history, and
 * others what came later; the fetch that follows brings what is newer and the other branches.
 *
 * A bundle is a copy, so it costs the store's space once more. Hence only for repositories that are large, and made anew only
 * when much has come. The main branch alone, as other branches are rewound daily: a bundle with one of theirs is soon
 * not to be handed out any more.
 */
import { randomBytes } from "node:crypto";
import { afterCleanUp, assertNotStopped, errorFields, VersionConflictError } from "../errors.ts";
import { encodeBundleHeader } from "../git/bundle/bundle-header.ts";
import { type ObjectId, parseObjectId } from "../git/object-id.ts";
import type { PackedObjects, RefList } from "../git/ports.ts";
import { resolveHead } from "../git/upload-pack/find-refs.ts";
import { type PackPlan, planPack } from "../git/upload-pack/plan.ts";
import { packOf } from "../git/upload-pack/respond.ts";
import type { Logger } from "../log.ts";
import { areBundlesCurrent, type BundleList, bundleList, type StoredBundle } from "../repo/bundle-list.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../repo/repository.ts";
import type { Stored } from "../repo/stored-document.ts";
import type { BlobStore } from "../store/blob-store.ts";

type BundleLimits = Readonly<typeof DEFAULT_BUNDLE_LIMITS>;

export const DEFAULT_BUNDLE_LIMITS = {
  /** Of all packs. What is smaller is cloned in seconds as it is. */
  minRepositoryBytes: 64 * 2 ** 20,
  /** Of the objects bundled last, how many must have come for another bundle. */
  minNewShare: 0.1,
  /** Then one bundle replaces them all: each costs a client a request and git a process. */
  maxBundles: 4,
};

export interface BundleOptions {
  readonly storage: RepositoryStorage;
  readonly log: Logger;
  readonly limits?: BundleLimits;
  readonly nowMs?: () => number;
  readonly signal?: AbortSignal | undefined;
}

/** As `refreshBundles`, for those who can do without: what fails is logged. */
export async function tryRefreshBundles(uuid: RepositoryUuid, options: BundleOptions): Promise<void> {
  try {
    await refreshBundles(uuid, options);
  } catch (error) {
    options.log.warn("bundles:failed", { uuid, ...errorFields(error) });
  }
}

/**
 * Makes a bundle if one is due, and deletes those that it replaces, or that hold what the refs do not reach any more.
 * @throws {StoppedError}
 */
export async function refreshBundles(uuid: RepositoryUuid, options: BundleOptions): Promise<void> {
  const { storage, log, limits = DEFAULT_BUNDLE_LIMITS } = options;
  const keys = repositoryKeys(uuid);
  const repository = await openRepository(storage, uuid);
  const stored = await bundleList(storage.store, keys).read();
  const { bundles } = stored.value ?? { bundles: [] };
  const last = bundles.at(-1);
  const isCurrent = last !== undefined && (await areBundlesCurrent(repository, storage.store, bundles));
  if (isCurrent && !hasMuchNew(repository, last, limits)) return;
  const { nowMs = Date.now } = options;
  const drop = async (): Promise<void> => {
    if (!isCurrent && bundles.length > 0) await publishBundle(storage, keys, stored, [], nowMs());
  };
  if (packedBytes(repository) < limits.minRepositoryBytes) return drop();
  const previous = isCurrent && bundles.length < limits.maxBundles ? bundles : [];
  const minToken = (last?.creationToken ?? 0) + 1;
  const bundle = await makeBundle(repository, keys, { after: previous.at(-1), minToken }, options);
  if (bundle === undefined) return drop();
  await publishBundle(storage, keys, stored, [...previous, bundle], nowMs());
  log.info("bundles:made", { uuid, bundles: previous.length + 1, bundleBytes: bundle.bundleBytes });
}

function packedBytes({ manifest }: Repository): number {
  return manifest.packs.reduce((sum, { packBytes }) => sum + packBytes, 0);
}

function packedObjects({ manifest }: Repository): number {
  return manifest.packs.reduce((sum, pack) => sum + pack.sentObjectCount - pack.repeatedObjectCount, 0);
}

/** Without a look at the objects. Compaction makes them fewer: then another bundle comes later. */
function hasMuchNew(
  repository: Repository,
  { packedObjectCount }: StoredBundle,
  { minNewShare }: BundleLimits,
): boolean {
  return packedObjects(repository) - packedObjectCount >= packedObjectCount * minNewShare;
}

interface BundlePlace {
  /** The bundle that it continues; without one it has the whole history. */
  readonly after: StoredBundle | undefined;
  readonly minToken: number;
}

/** @returns `undefined` if the main branch has nothing for it. */
async function makeBundle(
  repository: Repository,
  keys: RepositoryKeys,
  { after, minToken }: BundlePlace,
  { storage: { store }, nowMs = Date.now, signal }: BundleOptions,
): Promise<StoredBundle | undefined> {
  const [refList, objects] = await Promise.all([repository.readRefs(), repository.openObjects()]);
  const head = resolveHead(refList);
  const isNew = head !== undefined && head.id !== after?.tip;
  if (
    !isNew ||
    head.symrefTarget === undefined ||
    (await objects.readType(objects.findId(head.id))) !== "commit"
  )
    return undefined;
  const prerequisites = after === undefined ? [] : [parseObjectId(after.tip)];
  const plan = await planHistory(repository, refList, objects, head.id, prerequisites);
  const refs = [head.symrefTarget, "HEAD"].map((name) => ({ name, id: head.id }));
  const id = randomBytes(20).toString("hex");
  const upload = await store.startUpload(keys.bundle(id));
  try {
    const header = encodeBundleHeader(prerequisites, refs);
    let bundleBytes = header.length;
    await upload.write(header);
    for await (const chunk of packOf(plan, true, true)) {
      assertNotStopped(signal);
      await upload.write(chunk);
      bundleBytes += chunk.length;
    }
    await upload.complete();
    return {
      id,
      bundleBytes,
      creationToken: Math.max(Math.floor(nowMs() / 1000), minToken),
      tip: head.id,
      packedObjectCount: packedObjects(repository),
    };
  } catch (error) {
    throw await afterCleanUp(error, () => upload.abort());
  }
}

async function planHistory(
  repository: Repository,
  refList: RefList,
  objects: PackedObjects,
  tip: ObjectId,
  prerequisites: readonly ObjectId[],
): Promise<PackPlan> {
  const planning = planPack(repository, refList, {
    wants: [tip],
    commonCommits: prerequisites.map((id) => objects.findId(id)),
    thinPack: true,
    ofsDelta: true,
    includeTag: false,
  });
  for (;;) {
    const step = await planning.next();
    if (step.done) return step.value;
  }
}

/** A client that was just given the address of a deleted bundle gets 404, and git clones without it. */
async function publishBundle(
  { store }: RepositoryStorage,
  keys: RepositoryKeys,
  before: Stored<BundleList>,
  bundles: readonly StoredBundle[],
  nowMs: number,
): Promise<void> {
  const kept = new Set(bundles.map(({ id }) => id));
  try {
    await bundleList(store, keys).write({ bundles: [...bundles] }, before);
  } catch (error) {
    const made = bundles.at(-1);
    if (!(error instanceof VersionConflictError) || made === undefined) throw error;
    throw await afterCleanUp(error, () => store.delete(keys.bundle(made.id)));
  }
  for (const { id } of before.value?.bundles ?? []) if (!kept.has(id)) await store.delete(keys.bundle(id));
  await deleteLeftOver(store, keys, kept, nowMs);
}

/** Bundles of writers that were killed before they had listed them; none takes so long. */
const LEFT_OVER_MS = 24 * 60 * 60 * 1000;

async function deleteLeftOver(
  store: BlobStore,
  keys: RepositoryKeys,
  kept: ReadonlySet<string>,
  nowMs: number,
): Promise<void> {
  const keptKeys = new Set([...kept].map((id) => keys.bundle(id)));
  for await (const { key, modifiedAtMs } of store.list(`${keys.cacheFolder}bundle-`)) {
    if (!keptKeys.has(key) && nowMs - modifiedAtMs > LEFT_OVER_MS) await store.delete(key);
  }
}
