/** Finds repositories by name, and keeps the ones used last open: what they have read is kept as long as it is true. */
import { LRUCache } from "lru-cache";
import { NotFoundError } from "../errors.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { RepositoryReference } from "./names.ts";
import { DEFAULT_OBJECT_LIMITS } from "./object-database.ts";
import { readPushMarker } from "./push-marker.ts";
import { openRepository, type Repository, type RepositoryStorage } from "./repository.ts";
import { type RepositoryRecord, readNamedRecord } from "./repository-record.ts";
import { readServedUuid } from "./resolve-repository.ts";

/** A git function has 1,769 MB, some of it for Node, shared blocks and the requests themselves. */
const DEFAULT_MAX_OPEN_BYTES = 512 * 1024 * 1024;

/** A name and a uuid are some 200 bytes. */
const MAX_NAMES = 10_000;

/**
 * For how long a name is taken to mean what it meant, so that a request asks for the manifest only. A name changes its meaning
 * when its repository was renamed and another took the name; the mirror hears of that seconds later anyway.
 */
const NAME_LIFETIME_MS = 15_000;

/** Objects that are kept at hand, against the bytes of their packs. */
const INFLATED_FACTOR = 20;

/** What a ref takes in memory, against its line in the snapshot. */
const REF_FACTOR = 3;

/** Whether a repository is to be served, by what it is called at the primary. */
export type Serves = (record: RepositoryRecord) => boolean;

export interface CatalogOptions {
  /** What is kept open may come to take, as estimated; the one used last stays in any case. */
  readonly maxOpenBytes?: number;
  readonly nowMs?: () => number;
  /** Asked for each request, while the rest is read. By default everything is served. */
  readonly serves?: (() => Promise<Serves>) | undefined;
  /** Whether to read the push marker together with the refs: one more request in the same round. */
  readonly readsPushMarkers?: boolean;
}

/** What a repository is opened for. */
export interface RepositoryNeeds {
  readonly refs?: boolean;
}

export interface FindOptions extends RepositoryNeeds {
  /** Where the primary found it, after redirects; see `readServedUuid`. */
  readonly primaryPath?: string | undefined;
  /** The only one that the name may mean: no other is found. */
  readonly uuid?: RepositoryUuid | undefined;
}

interface NameMeaning {
  readonly uuid: RepositoryUuid;
  readonly record: RepositoryRecord | undefined;
  readonly readAtMs: number;
}

type OpeningOutcome = Repository | "absent" | "failed";

/** One that takes longer has stalled, or is large: another request begins anew beside it. */
const MAX_SHARED_WAIT_MS = 1_000;
/** A request waits for no more that fail. */
const MAX_SHARED_OPENINGS = 3;

export class RepositoryCatalog {
  readonly #storage: RepositoryStorage;
  readonly #open: LRUCache<RepositoryUuid, Repository>;
  /** Also those that are not kept: what requests still use is not read a second time beside it. */
  readonly #used = new Map<RepositoryUuid, WeakRef<Repository>>();
  readonly #forgotten = new FinalizationRegistry((uuid: RepositoryUuid) => {
    if (this.#used.get(uuid)?.deref() === undefined) this.#used.delete(uuid);
  });
  /** Not known before: those who come meanwhile share it, and look then whether it is still true. */
  readonly #opening = new Map<RepositoryUuid, Promise<OpeningOutcome>>();
  /** The last meaning of names: valid for a while, then a guess that saves a round. */
  readonly #names = new LRUCache<string, NameMeaning>({ max: MAX_NAMES });
  readonly #options: CatalogOptions;

  constructor(storage: RepositoryStorage, options: CatalogOptions = {}) {
    this.#storage = storage;
    const maxSize = Math.max(1, options.maxOpenBytes ?? DEFAULT_MAX_OPEN_BYTES);
    // The repository used last stays, however large.
    this.#open = new LRUCache({
      maxSize,
      sizeCalculation: (repository) => Math.min(maxSize, memoryBytes(repository)),
    });
    this.#options = options;
  }

  /**
   * The repository as it is now, for a caller who may read what the primary has under the name; which one a name means, as it
   * was at most 15 s ago.
   * @returns `undefined` if there is no such name, it is not served, or nothing was published under it.
   */
  async find(asked: RepositoryReference, options: FindOptions = {}): Promise<Repository | undefined> {
    const { primaryPath, uuid: wanted, ...needs } = options;
    const name = JSON.stringify([asked, primaryPath]).toLowerCase();
    const guess = this.#names.get(name);
    const nowMs = (this.#options.nowMs ?? Date.now)();
    const isFresh =
      guess !== undefined &&
      nowMs - guess.readAtMs < NAME_LIFETIME_MS &&
      (wanted === undefined || guess.uuid === wanted);
    const [uuid, guessed, guessedRecord, serves] = await Promise.all([
      isFresh ? guess.uuid : readServedUuid(this.#storage.store, asked, primaryPath),
      guess && this.open(guess.uuid, needs),
      isFresh ? guess.record : guess && this.#readRecord(guess.uuid),
      this.#options.serves?.(),
    ]);
    this.#names.delete(name);
    if (uuid === undefined || (wanted !== undefined && uuid !== wanted)) return undefined;
    const [repository, record] =
      uuid === guess?.uuid
        ? [guessed, guessedRecord]
        : await Promise.all([this.open(uuid, needs), this.#readRecord(uuid)]);
    const isServed = serves === undefined || (record !== undefined && serves(record));
    // What the name meant is gone, or not served: it may mean something else by now.
    if (isFresh && !(isServed && repository !== undefined)) return this.find(asked, options);
    if (!isServed) return undefined;
    this.#names.set(name, { uuid, record, readAtMs: isFresh ? guess.readAtMs : nowMs });
    return repository;
  }

  /** Names may have been written by this process: they are read anew. */
  forgetNames(): void {
    this.#names.clear();
  }

  /** Only `serves` asks for it. */
  async #readRecord(uuid: RepositoryUuid): Promise<RepositoryRecord | undefined> {
    return this.#options.serves && readNamedRecord(this.#storage.store, uuid);
  }

  /** `find` for a plain name. */
  async resolve(
    workspace: string,
    slug: string,
    needs: RepositoryNeeds = {},
  ): Promise<Repository | undefined> {
    return this.find({ kind: "name", workspace, slug }, needs);
  }

  /** @returns `undefined` if nothing was published under it. */
  async open(uuid: RepositoryUuid, { refs = false }: RepositoryNeeds = {}): Promise<Repository | undefined> {
    let known = this.#known(uuid);
    for (let attempt = 0; known === undefined && attempt < MAX_SHARED_OPENINGS; attempt++) {
      const shared = this.#opening.get(uuid);
      const outcome = shared && (await withinSharedWait(shared));
      if (outcome === undefined || outcome === "absent") break;
      // The next of those who waited opens it, and the others wait for that one.
      if (outcome === "failed" && this.#opening.get(uuid) === shared) this.#opening.delete(uuid);
      known = outcome === "failed" ? this.#known(uuid) : outcome;
    }
    const opening = openRepository(this.#storage, uuid, { known, withRefs: refs });
    if (known === undefined) this.#share(uuid, opening);
    try {
      const [repository, pushedAt] = await Promise.all([
        opening,
        refs && this.#options.readsPushMarkers ? this.#readPushMarker(uuid) : undefined,
      ]);
      if (pushedAt !== undefined) repository.pushedAt = pushedAt;
      if (repository !== known) {
        this.#used.set(uuid, new WeakRef(repository));
        this.#forgotten.register(repository, uuid);
      }
      this.#open.set(uuid, repository);
      return repository;
    } catch (error) {
      if (this.#open.peek(uuid) === known) this.#open.delete(uuid);
      if (this.#used.get(uuid)?.deref() === known) this.#used.delete(uuid);
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #known(uuid: RepositoryUuid): Repository | undefined {
    return this.#open.get(uuid) ?? this.#used.get(uuid)?.deref();
  }

  #share(uuid: RepositoryUuid, opening: Promise<Repository>): void {
    const shared = opening
      .catch((error: unknown) => (error instanceof NotFoundError ? "absent" : "failed"))
      .finally(() => {
        if (this.#opening.get(uuid) === shared) this.#opening.delete(uuid);
      });
    this.#opening.set(uuid, shared);
  }

  /** Without the note the refs are those of the last sync, and say when that was. */
  async #readPushMarker(uuid: RepositoryUuid): Promise<Date | undefined> {
    const { store, onDamage } = this.#storage;
    try {
      return await readPushMarker(store, uuid);
    } catch (error) {
      onDamage?.(error, repositoryKeys(uuid).pushMarker);
      return undefined;
    }
  }
}

async function withinSharedWait(shared: Promise<OpeningOutcome>): Promise<OpeningOutcome> {
  const { promise, resolve } = Promise.withResolvers<OpeningOutcome>();
  const timer = setTimeout(() => resolve("failed"), MAX_SHARED_WAIT_MS);
  void shared.then(resolve);
  return promise.finally(() => clearTimeout(timer));
}

/** About what it holds once all of it was read: refs, indexes, histories and the objects it keeps at hand. */
function memoryBytes({ manifest }: Repository): number {
  let inflatedBytes = 0;
  let bytes = manifest.refs.snapshotBytes * REF_FACTOR;
  for (const { indexBytes, packBytes, historyBytes = 0 } of manifest.packs) {
    bytes += indexBytes + historyBytes;
    inflatedBytes += packBytes * INFLATED_FACTOR;
  }
  return bytes + Math.min(DEFAULT_OBJECT_LIMITS.maxCachedBytes, inflatedBytes);
}
