/** Fetches what a repository lacks as one more pack, and completes it with its index and history. */
import type { UpstreamGit, UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { afterCleanUp } from "../errors.ts";
import { encodePackHistory } from "../git/history/pack-history.ts";
import type { ObjectId } from "../git/object-id.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { PackSet } from "../repo/pack-set.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { completeHistory } from "./complete-history.ts";
import { assertConnected, countKnownObjects } from "./connectivity.ts";
import { receivePack } from "./receive-pack.ts";
import { tipsOf } from "./ref-changes.ts";
import type { SyncProgress } from "./sync-progress.ts";

export interface FetchLimits {
  /** What the local disk must take: a function has 10 GB. */
  readonly maxPackBytes: number;
  /** 50 bytes each in the request; more would hardly make the pack smaller. */
  readonly maxHaves: number;
}

export interface ReceiveOptions {
  readonly storage: RepositoryStorage;
  readonly upstream: UpstreamGit;
  readonly uuid: RepositoryUuid;
  /** What the repository holds; absent for a first sync. */
  readonly known: ObjectDatabase | undefined;
  readonly upstreamRefs: UpstreamRefs;
  /** Of what is known, the most telling first. */
  readonly haves: readonly ObjectId[];
  readonly onProgress: ((progress: SyncProgress) => void) | undefined;
  /** How much of the pack has come. */
  readonly onBytes?: (receivedBytes: number) => void;
  readonly signal: AbortSignal | undefined;
  readonly temporaryFolder: string | undefined;
  readonly limits: FetchLimits;
}

export interface ReceivedObjects {
  readonly pack: ManifestPack;
  /** Over all packs, this one included. */
  readonly objects: ObjectDatabase;
}

/** @returns `undefined` if every new tip is here already. */
export async function receiveObjects(options: ReceiveOptions): Promise<ReceivedObjects | undefined> {
  const { known, upstreamRefs } = options;
  // What is here is here with all that it needs, whether a ref still names it or not.
  const wants = [...tipsOf(upstreamRefs)].filter((id) => known === undefined || known.findId(id) < 0);
  return wants.length === 0 ? undefined : receiveWanted({ ...options, wants });
}

/** @param wants - At least one. None of them is known. */
export async function receiveWanted(
  options: ReceiveOptions & { readonly wants: readonly ObjectId[] },
): Promise<ReceivedObjects> {
  const { storage, upstream, uuid, known, wants, onProgress, limits, signal } = options;
  const { store } = storage;
  const keys = repositoryKeys(uuid);
  const { pack, indexed } = await receivePack({
    store,
    keys,
    chunks: upstream.fetchPack({
      protocol: options.upstreamRefs.protocol,
      wants,
      haves: options.haves.slice(0, limits.maxHaves),
      onProgress: (text) => onProgress?.({ phase: "waiting", text }),
    }),
    readBase: async (id: ObjectId) => {
      const objectNumber = known?.findId(id) ?? -1;
      return objectNumber < 0 ? undefined : asRepositoryDamage(async () => known?.read(objectNumber));
    },
    maxPackBytes: limits.maxPackBytes,
    onBytes: (receivedBytes) => {
      onProgress?.({ phase: "receiving", receivedBytes });
      options.onBytes?.(receivedBytes);
    },
    onIndex: (progress) => onProgress?.(progress),
    signal,
    temporaryFolder: options.temporaryFolder,
  });
  try {
    assertConnected(indexed, wants, known);
    const appendedCount = pack.objectCount - pack.sentObjectCount;
    const repeatedObjectCount = pack.repeatedObjectCount + countKnownObjects(indexed, known) - appendedCount;
    const counted = { ...pack, repeatedObjectCount };
    const set = (known?.packs ?? PackSet.empty(storage.blocks)).withPack(keys, counted, indexed.index);
    const objects = new ObjectDatabase(set);
    const { built, index } = indexed;
    // The new pack is whole, or it would not have come so far.
    const history = built && (await asRepositoryDamage(() => completeHistory(built, index, objects, signal)));
    const historyBytes = history && encodePackHistory(history);
    await Promise.all([
      store.write(keys.packIndex(pack.id), index),
      store.write(keys.packLfs(pack.id), indexed.lfsPointers),
      historyBytes && store.write(keys.packHistory(pack.id), historyBytes),
    ]);
    return { pack: { ...counted, ...(historyBytes && { historyBytes: historyBytes.length }) }, objects };
  } catch (error) {
    throw await afterCleanUp(error, () => deletePack(uuid, pack, storage));
  }
}

export async function deletePack(
  uuid: RepositoryUuid,
  { id }: ManifestPack,
  { store }: RepositoryStorage,
): Promise<void> {
  const keys = repositoryKeys(uuid);
  await Promise.all(
    [keys.pack(id), keys.packIndex(id), keys.packHistory(id), keys.packLfs(id)].map((key) =>
      store.delete(key),
    ),
  );
}
