/** A mirrored repository as it was at one generation: refs and objects, read as they are asked for. */
import { setMaxListeners } from "node:events";
import { CorruptPackError } from "../errors.ts";
import { parseObjectId } from "../git/object-id.ts";
import type { StreamBudget } from "../git/pack/stream-prefetch.ts";
import type {
  Head,
  OfferedBundle,
  PackBody,
  RefList,
  SharedAnswers,
  UploadPackSource,
} from "../git/ports.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { BlobStore, BlobVersion } from "../store/blob-store.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import type { BlockCache } from "../store/block-cache.ts";
import { SharedValue } from "../store/shared-read.ts";
import type { AnswerSharing } from "./answers/answer-sharing.ts";
import { offeredBundles } from "./bundle-list.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { Manifest, StoredManifest } from "./manifest.ts";
import { ObjectDatabase } from "./object-database.ts";
import { openHistory, readHistoryBlobs } from "./open-history.ts";
import { packBodies } from "./pack-bodies.ts";
import { PackSet } from "./pack-set.ts";
import type { RecentPacks } from "./recent-packs.ts";
import { StoredRefList } from "./ref-table.ts";
import { isRefSnapshot, openRefSnapshot } from "./refs.ts";
import { asRepositoryDamage, readServedManifest } from "./repository-damage.ts";
import { openRecentObjects, recentKey } from "./stored-recent.ts";

/** What repositories are read through. Packs never change, so all repositories may share the blocks. */
export interface RepositoryStorage {
  readonly store: BlobStore;
  readonly blocks: BlockCache;
  /** Where clients may get packs by themselves; absent if they may not. */
  readonly urls?: BlobUrls;
  /** Smaller packs get no address. Default: 4 MiB. */
  readonly minDownloadBytes?: number;
  /** Absent where each answer is made for the one who asks. */
  readonly answers?: AnswerSharing;
  /** What all packs together have to have for recipes to be kept; {@link DEFAULT_MIN_RECIPE_PACK_BYTES} unless given. */
  readonly minRecipePackBytes?: number;
  /** Called for a damaged blob that can be done without: requests are slower then. */
  readonly onDamage?: (error: unknown, key: string) => void;
}

/** Below, most answers are planned in less time than a store takes to answer. */
const DEFAULT_MIN_RECIPE_PACK_BYTES = 16 * 1024 * 1024;

/** What all readers of a generation share. */
interface SharedReads {
  /** The catalog's: it is there for as long as a reader is. */
  readonly root: Repository;
  readonly refs: SharedValue<RefList>;
  readonly objects: SharedValue<ObjectDatabase>;
  readonly recent: SharedValue<ObjectDatabase<RecentPacks> | undefined>;
  /** Ids of packs. */
  damagedHistories: readonly string[];
}

interface RepositoryOptions {
  /** May be the refs of this generation: used only if they have the checksum in the manifest. */
  readonly refsAhead?: Promise<Uint8Array | undefined> | undefined;
  readonly reads?: SharedReads;
  /** What an older generation has read that is the same in this one. */
  readonly inherited?: Partial<Pick<SharedReads, "refs" | "objects" | "recent">>;
  readonly reader?: Reader;
}

interface Reader {
  /** Aborts this reader's reads. */
  readonly signal?: AbortSignal | undefined;
  /** A name of the one who asks, for limits of what is kept of answers. */
  readonly caller?: string | undefined;
  readonly serverUrl?: string | undefined;
}

export class Repository implements UploadPackSource {
  readonly uuid: RepositoryUuid;
  readonly manifest: Manifest;
  /** The manifest, to publish over. */
  readonly stored: StoredManifest;
  /** Time of the primary's last webhook for a push, as of the last opening that read it. */
  pushedAt: Date | undefined;
  readonly #storage: RepositoryStorage;
  readonly #keys: RepositoryKeys;
  readonly #reads: SharedReads;
  readonly #reader: Reader;

  constructor(
    storage: RepositoryStorage,
    uuid: RepositoryUuid,
    stored: StoredManifest,
    { refsAhead, reads, inherited, reader = {} }: RepositoryOptions = {},
  ) {
    this.#storage = storage;
    this.uuid = uuid;
    this.manifest = stored.value;
    this.stored = stored;
    this.#keys = repositoryKeys(uuid);
    this.#reader = reader;
    this.#reads = reads ?? {
      root: this,
      refs: new SharedValue(this.#refReading(refsAhead)),
      objects: new SharedValue((shared) => asRepositoryDamage(() => this.#openObjects(shared))),
      recent: new SharedValue((shared) => asRepositoryDamage(() => this.#openRecent(shared))),
      damagedHistories: [],
      ...inherited,
    };
  }

  /** The same repository for one request: its reads end when `signal` aborts; reads that other requests share continue. */
  forReader(signal: AbortSignal | undefined): Repository {
    if (signal === undefined) return this;
    // A reader has many reads at a time, each with a listener; Node would warn from the eleventh on.
    setMaxListeners(0, signal);
    return this.#with({ ...this.#reader, signal });
  }

  /**
   * The same repository for requests of one caller; {@link AnswerOwner}.
   * @param serverUrl - Where the caller reaches this server; see {@link BlobUrls}.
   */
  forCaller(caller: string, serverUrl?: string): Repository {
    return this.#with({ ...this.#reader, caller, serverUrl });
  }

  #with(reader: Reader): Repository {
    const repository = new Repository(this.#storage, this.uuid, this.stored, { reads: this.#reads, reader });
    repository.pushedAt = this.pushedAt;
    return repository;
  }

  /** Of the manifest. */
  get version(): BlobVersion {
    return this.stored.version;
  }

  /** The primary's refs were these at this time. */
  get verifiedAt(): Date {
    return new Date(this.manifest.verifiedAt);
  }

  get generation(): number {
    return this.manifest.generation;
  }

  get mayHoldUnreachable(): boolean {
    return this.manifest.mayHoldUnreachable;
  }

  get answers(): SharedAnswers | undefined {
    return this.#storage.answers?.of({
      uuid: this.uuid,
      packBytes: this.packBytes,
      caller: this.#reader.caller,
    });
  }

  get objectCount(): number {
    return this.manifest.packs.reduce((sum, pack) => sum + pack.objectCount, 0);
  }

  get packBytes(): number {
    return this.manifest.packs.reduce((sum, pack) => sum + pack.packBytes, 0);
  }

  get recipes(): SharedAnswers | undefined {
    const { minRecipePackBytes = DEFAULT_MIN_RECIPE_PACK_BYTES } = this.#storage;
    return this.packBytes >= minRecipePackBytes ? this.answers : undefined;
  }

  get packBodies(): readonly PackBody[] {
    return packBodies(
      { ...this.#storage, serverUrl: this.#reader.serverUrl },
      this.#keys,
      this.manifest.packs,
      {
        signal: this.#reader.signal,
      },
    );
  }

  get streamBudget(): StreamBudget {
    return this.#storage.blocks.streamBudget;
  }

  get handsOutUrls(): boolean {
    return this.#storage.urls !== undefined;
  }

  async offerBundles(): Promise<OfferedBundle[]> {
    const { store, urls } = this.#storage;
    return urls === undefined ? [] : offeredBundles(this, store, urls, this.#reader.serverUrl);
  }

  /** One round. @throws {DamagedRepositoryError} An index is not what the manifest says. */
  async openPacks(packNumbers: readonly number[]): Promise<ObjectDatabase> {
    const packs = this.manifest.packs.filter((_, packNumber) => packNumbers.includes(packNumber));
    const options = { signal: this.#reader.signal };
    const set = await asRepositoryDamage(() => PackSet.open(this.#storage, this.#keys, packs, options));
    return new ObjectDatabase(set).forReader(this.#reader.signal);
  }

  /** One request, the first time. @throws {DamagedRepositoryError} The snapshot is not what the manifest says. */
  async readRefs(): Promise<RefList> {
    return this.#reads.refs.get(this.#reader.signal);
  }

  /** One round, the first time. @throws {DamagedRepositoryError} An index is not what the manifest says. */
  async openObjects(): Promise<ObjectDatabase> {
    return (await this.#reads.objects.get(this.#reader.signal)).forReader(this.#reader.signal);
  }

  /** One request, the first time. */
  async openRecent(): Promise<ObjectDatabase<RecentPacks> | undefined> {
    const { objects, recent } = this.#reads;
    const { signal } = this.#reader;
    return objects.isRead ? undefined : (await recent.get(signal))?.forReader(signal);
  }

  async #openRecent(signal: AbortSignal): Promise<ObjectDatabase<RecentPacks> | undefined> {
    try {
      return await openRecentObjects(this.#storage, this, signal);
    } catch (error) {
      if (!(error instanceof CorruptPackError)) throw error;
      this.#storage.onDamage?.(error, recentKey(this));
      return undefined;
    }
  }

  async #openObjects(signal: AbortSignal): Promise<ObjectDatabase> {
    const { store, onDamage } = this.#storage;
    const { packs } = this.manifest;
    const [set, blobs] = await Promise.all([
      PackSet.open(this.#storage, this.#keys, packs, { signal }),
      readHistoryBlobs(store, this.#keys, packs, { signal }),
    ]);
    const { history, damaged } = await openHistory(blobs, packs, set, new WorkSlices({ signal }));
    for (const { packId, error } of damaged) onDamage?.(error, this.#keys.packHistory(packId));
    this.#reads.damagedHistories = damaged.map(({ packId }) => packId);
    this.#reads.recent.forget();
    return new ObjectDatabase(set, { history });
  }

  /** Ids of the packs whose history sidecar is damaged, as found when the objects were opened. */
  get damagedHistories(): readonly string[] {
    return this.#reads.damagedHistories;
  }

  /** The repository under a newer manifest, with all that was read and has not changed. */
  succeededBy(stored: StoredManifest): Repository {
    const isSame = (part: "head" | "refs" | "packs"): boolean =>
      JSON.stringify(stored.value[part]) === JSON.stringify(this.manifest[part]);
    const { refs, objects, recent } = this.#reads;
    const hasSameRefs = isSame("head") && isSame("refs");
    const inherited = {
      ...(hasSameRefs && { refs }),
      ...(hasSameRefs && isSame("packs") && { recent }),
      // A damaged history may have been rewritten since.
      ...(isSame("packs") && this.#reads.damagedHistories.length === 0 && { objects }),
    };
    return new Repository(this.#storage, this.uuid, stored, { inherited });
  }

  #head(): Head {
    const { head, refs } = this.manifest;
    if ("ref" in head) return head;
    const id = parseObjectId(head.commitId);
    return refs.headTagId === undefined ? { id } : { id: parseObjectId(refs.headTagId), peeledId: id };
  }

  #refReading(refsAhead: Promise<Uint8Array | undefined> | undefined) {
    let notTried = refsAhead;
    return (signal: AbortSignal): Promise<RefList> =>
      asRepositoryDamage(async () => {
        const ahead = await notTried;
        notTried = undefined;
        return this.#readRefs(ahead, signal);
      });
  }

  async #readRefs(ahead: Uint8Array | undefined, signal: AbortSignal): Promise<RefList> {
    const { snapshotId, sha256, symrefs } = this.manifest.refs;
    const bytes =
      ahead !== undefined && isRefSnapshot(ahead, sha256)
        ? ahead
        : (await this.#storage.store.read(this.#keys.refSnapshot(snapshotId), { signal })).bytes;
    return new StoredRefList(this.#head(), symrefs, openRefSnapshot(bytes, sha256));
  }
}

export interface OpenOptions {
  /** As opened before: if nothing was published since, it is returned, with all that it has read. */
  readonly known?: Repository | undefined;
  /** The refs will be asked for: where nothing is known they are read at once with the manifest. */
  readonly withRefs?: boolean;
}

/** @throws {NotFoundError} Nothing was ever published. @throws {DamagedRepositoryError} The manifest is damaged. */
export async function openRepository(
  storage: RepositoryStorage,
  uuid: RepositoryUuid,
  { known, withRefs = false }: OpenOptions = {},
): Promise<Repository> {
  if (known !== undefined) {
    const stored = await readServedManifest(storage.store, uuid, known.stored);
    return stored === known.stored ? known : known.succeededBy(stored);
  }
  const refsAhead = withRefs ? readRefsAhead(storage, repositoryKeys(uuid)) : undefined;
  return new Repository(storage, uuid, await readServedManifest(storage.store, uuid), { refsAhead });
}

/**
 * The copy of the refs whose key is known without the manifest. It counts only where it has the checksum
 * that the manifest says, which it has but while a publish is under way.
 */
async function readRefsAhead(
  { store }: RepositoryStorage,
  { packedRefs }: RepositoryKeys,
): Promise<Uint8Array | undefined> {
  try {
    return (await store.read(packedRefs)).bytes;
  } catch {
    return undefined; // the snapshot is read instead, and says what is wrong
  }
}
