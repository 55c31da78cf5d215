/** Enqueues copies of the files that callers asked for, each at most once in five minutes. */
import { lruCache } from "../lru-cache.ts";
import type { RepositoryUuid } from "../repo/layout.ts";

interface RepositoryPlace {
  readonly workspace: string;
  readonly uuid: RepositoryUuid;
}

interface FileToCopy {
  readonly oid: string;
  readonly sizeBytes: number;
}

/** Puts them into the queue. */
export type QueueCopies = (place: RepositoryPlace, files: readonly FileToCopy[]) => Promise<void>;

/** As long as the queue drops what is sent again. */
const ASKED_ONCE_MS = 5 * 60_000;
/** About 200 bytes each. */
const MAX_REMEMBERED = 50_000;

export class CopyRequests {
  readonly #queue: QueueCopies;
  readonly #requested: ReturnType<typeof lruCache<{ readonly isRequested: true }>>;

  constructor(queue: QueueCopies, now: () => number = Date.now) {
    this.#queue = queue;
    this.#requested = lruCache(MAX_REMEMBERED, { ttlMs: ASKED_ONCE_MS, now });
  }

  /** @throws {QueueError} They may be requested again. */
  async request(place: RepositoryPlace, asked: readonly FileToCopy[]): Promise<void> {
    const keyOf = ({ oid }: FileToCopy): string => `${place.uuid} ${oid}`;
    const files = asked.filter((file) => file.sizeBytes > 0 && !this.#requested.has(keyOf(file)));
    if (files.length === 0) return;
    for (const file of files) this.#requested.set(keyOf(file), { isRequested: true });
    try {
      await this.#queue(place, files);
    } catch (error) {
      for (const file of files) this.#requested.delete(keyOf(file));
      throw error;
    }
  }
}
