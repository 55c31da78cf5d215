/** Fetches what a repository lacks as one more pack, and completes it with its index and history. */
import type { UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { afterCleanUp } from "../errors.ts";
import { encodePackHistory } from "../git/history/pack-history.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { ReadBase } from "../indexer/append-bases.ts";
import { type RepositoryKeys, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { ObjectDatabase } from "../repo/object-database.ts";
import { deletePack, writePackCompanions } from "../repo/pack-blobs.ts";
import { PackSet } from "../repo/pack-set.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { completeHistory } from "./complete-history.ts";
import { assertConnected, countKnownObjects } from "./connectivity.ts";
import { type ReceivedPack, receivePack } from "./receive-pack.ts";
import { tipsOf } from "./ref-changes.ts";
import type { SyncContext, SyncRequest } from "./sync-context.ts";

export interface ReceiveRequest extends Pick<SyncRequest, "uuid" | "upstream" | "limits"> {
  /** What the repository holds; absent for a first sync. */
  readonly known: ObjectDatabase | undefined;
  readonly upstreamRefs: UpstreamRefs;
  /** Of what is known, the most useful first. */
  readonly haves: readonly ObjectId[];
  /** Called with the pack's size so far. */
  readonly onBytes?: ((receivedBytes: number) => void) | undefined;
}

export interface ReceivedObjects {
  readonly pack: ManifestPack;
  /** Over all packs, this one included. */
  readonly objects: ObjectDatabase;
}

/** @returns `undefined` if every new tip is stored already. */
export async function receiveObjects(
  request: ReceiveRequest,
  context: SyncContext,
): Promise<ReceivedObjects | undefined> {
  const { known, upstreamRefs } = request;
  // A stored object is stored with all that it needs, whether a ref still names it or not.
  const wants = [...tipsOf(upstreamRefs)].filter((id) => known === undefined || known.findId(id) < 0);
  return wants.length === 0 ? undefined : receiveWanted({ ...request, wants }, context);
}

/**
 * @param request - With at least one want; none of them is known.
 * @throws {CorruptPackError} The pack is damaged or lacks an object. And what {@link receivePack} throws.
 */
export async function receiveWanted(
  request: ReceiveRequest & { readonly wants: readonly ObjectId[] },
  context: SyncContext,
): Promise<ReceivedObjects> {
  const { upstream, uuid, known, wants, haves, limits, upstreamRefs, onBytes } = request;
  const { onProgress, storage } = context;
  const keys = repositoryKeys(uuid);
  const chunks = upstream.fetchPack({
    ...{ protocol: upstreamRefs.protocol, wants, haves: haves.slice(0, limits.maxHaves) },
    onProgress: (text) => onProgress({ phase: "waiting", text }),
  });
  const received = await receivePack({
    ...{ store: storage.store, keys, chunks },
    readBase: (id) => readKnown(known, id),
    readBasesAhead: (ids) => known?.readAhead(ids.map((id) => known.findId(id)).filter((base) => base >= 0)),
    maxPackBytes: limits.maxPackBytes,
    onBytes: (receivedBytes) => {
      onProgress({ phase: "receiving", receivedBytes });
      onBytes?.(receivedBytes);
    },
    onIndex: onProgress,
    signal: context.signal,
    temporaryFolder: context.temporaryFolder,
  });
  try {
    assertConnected(received.indexed, wants, known);
    return await completePack(received, keys, known, context);
  } catch (error) {
    throw await afterCleanUp(error, () => deletePack(storage.store, keys, received.pack.id));
  }
}

/** Reads an object that a thin pack builds on. @returns `undefined` if it is not stored. */
export async function readKnown(known: ObjectDatabase | undefined, id: ObjectId): ReturnType<ReadBase> {
  const objectNumber = known?.findId(id) ?? -1;
  return objectNumber < 0 ? undefined : asRepositoryDamage(async () => known?.read(objectNumber));
}

/** Writes what belongs to a pack: its index, its history, its LFS pointers. */
async function completePack(
  { pack, indexed }: ReceivedPack,
  keys: RepositoryKeys,
  known: ObjectDatabase | undefined,
  { storage: { store, blocks }, signal }: SyncContext,
): Promise<ReceivedObjects> {
  const appendedCount = pack.objectCount - pack.sentObjectCount;
  const repeatedObjectCount = pack.repeatedObjectCount + countKnownObjects(indexed, known) - appendedCount;
  const counted = { ...pack, repeatedObjectCount };
  const set = (known?.packs ?? PackSet.empty(blocks)).withPack(keys, counted, indexed.index);
  const objects = new ObjectDatabase(set);
  const { built, index } = indexed;
  // The new pack is connected: what is missing here is damage of the store.
  const history = built && (await asRepositoryDamage(() => completeHistory(built, index, objects, signal)));
  const historyBytes = history && encodePackHistory(history);
  const { lfsPointers } = indexed;
  const companions = { index, history: historyBytes, lfsPointers };
  return { pack: { ...counted, ...(await writePackCompanions(store, keys, pack.id, companions)) }, objects };
}
