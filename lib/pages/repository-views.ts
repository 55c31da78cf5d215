/** What a list and a repository's page show of a repository. */

import { MirrorError } from "../errors.ts";
import { lruCache } from "../lru-cache.ts";
import { type RepositoryStatus, readRepositoryStatus } from "../mirror/mirror-status.ts";
import { type LfsCounts, readLfsCounts } from "../repo/lfs-counts.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { ApiRepository } from "./api-schemas.ts";
import type { VisibleRepository } from "./visible-repositories.ts";

/** How old what a page shows may be. */
const PAGE_VIEW_MS = 2_000;
/** For pages that stay open, each with 50 repositories at most: S3 bills every read. */
export const EVENT_VIEW_MS = 15_000;
const MAX_STATUSES = 5_000;

interface ReadStatus {
  readonly status: Promise<RepositoryStatus>;
  readonly atMs: number;
}

export class RepositoryViews {
  readonly #store: BlobStore;
  readonly #statuses;
  readonly #now: () => number;

  constructor(store: BlobStore, now: () => number) {
    this.#store = store;
    this.#statuses = lruCache<ReadStatus>(MAX_STATUSES);
    this.#now = now;
  }

  /**
   * Two requests to the store, unless any caller's are recent.
   * @param mirrorUrl - Where the caller has reached the mirror.
   */
  async of(
    repository: VisibleRepository,
    mirrorUrl: string,
    maxAgeMs = PAGE_VIEW_MS,
  ): Promise<ApiRepository> {
    return shown(await this.#statusOf(repository, maxAgeMs), mirrorUrl);
  }

  /** The same with recent syncs, and with LFS files: two rounds more. */
  async detailsOf(repository: VisibleRepository, mirrorUrl: string): Promise<ApiRepository> {
    const [status, lfs] = await Promise.all([
      this.#statusOf(repository, PAGE_VIEW_MS),
      this.#lfsOf(repository.uuid),
    ]);
    const hasFiles = lfs !== undefined && (lfs.pointers > 0 || lfs.stored > 0);
    return { ...shown(status, mirrorUrl), recentSyncs: [...status.recentSyncs], ...(hasFiles && { lfs }) };
  }

  #statusOf(repository: VisibleRepository, maxAgeMs: number): Promise<RepositoryStatus> {
    const { uuid } = repository;
    const known = this.#statuses.get(uuid);
    const nowMs = this.#now();
    if (known !== undefined && known.atMs + maxAgeMs > nowMs) return known.status;
    const { unlisted } = repository;
    const status = readRepositoryStatus(this.#store, repository, { unlisted });
    const read = { status, atMs: nowMs };
    this.#statuses.set(uuid, read);
    status.catch(() => {
      if (this.#statuses.get(uuid) === read) this.#statuses.delete(uuid);
    });
    return status;
  }

  async #lfsOf(uuid: string): Promise<ApiRepository["lfs"] | undefined> {
    let counts: LfsCounts | undefined;
    try {
      counts = await readLfsCounts(this.#store, uuid);
    } catch (error) {
      // Damage: the next plan mends it, and everything else is worth showing.
      if (error instanceof MirrorError || error instanceof RangeError) return undefined;
      throw error;
    }
    if (counts === undefined) return undefined;
    const { held: _held, plannedAt: _plannedAt, configuredUrl: _configuredUrl, ...shownCounts } = counts;
    return shownCounts;
  }
}

function shown(status: RepositoryStatus, mirrorUrl: string): ApiRepository {
  const { isSelected: _selected, recentSyncs: _recent, damage, lastError, noAccess, ...known } = status;
  const { projectKey, published, ...others } = known;
  const { firstSyncAt, lastSyncAt, ...plain } = others;
  const hidden = noAccess && { at: noAccess.since, code: "NOT_FOUND" };
  const error = hidden ?? (status.failedSyncCount > 0 ? lastError : undefined);
  return {
    ...plain,
    ...(projectKey !== undefined && { projectKey }),
    ...(firstSyncAt !== undefined && { firstSyncAt }),
    ...(lastSyncAt !== undefined && { lastSyncAt }),
    cloneUrl: `${mirrorUrl}/${encodeURIComponent(status.workspace)}/${encodeURIComponent(status.slug)}.git`,
    ...((damage !== undefined || noAccess !== undefined) && {
      state: published === undefined && damage === undefined ? "ERROR_INITIALIZING" : "ERROR_AVAILABLE",
    }),
    ...(error !== undefined && {
      lastError: { at: error.at, code: error.code, text: describeErrorCode(error.code) },
    }),
    ...(published !== undefined && { published: withoutUndefined(published) }),
  };
}

function withoutUndefined({ defaultBranch, ...published }: NonNullable<RepositoryStatus["published"]>) {
  return { ...published, ...(defaultBranch !== undefined && { defaultBranch }) };
}

/** Messages may name internals of the mirror; callers get what the code means. */
export function describeErrorCode(code: string): string {
  return ERROR_TEXTS[code] ?? "The mirror could not synchronize it. It tries again by itself.";
}

const ERROR_TEXTS: Readonly<Record<string, string>> = {
  UPSTREAM: "Bitbucket did not answer, or refused the mirror's account. The mirror tries again by itself.",
  NOT_FOUND:
    "Bitbucket does not show the repository to the mirror's account: what is served here gets no news. The mirror's operator can give the account the right to read it.",
  UNSUPPORTED: "The mirror does not support this kind of repository.",
  LIMIT_EXCEEDED: "The repository is beyond a limit of the mirror.",
  CORRUPT_PACK: "Bitbucket sent data that is not valid. The mirror fetches it again.",
  PROTOCOL: "Bitbucket's answer was not as git specifies. The mirror tries again by itself.",
  STORED_DOCUMENT: "The mirror's copy is damaged. The mirror fetches it again.",
};
