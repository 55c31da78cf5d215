/**
 * Has a repository synced because of a request for what is not here, and waits for it. The sync is a job like any other, done
 * by whoever does them, and it has been done when the manifest says so. So this works over any queue and store.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryReference } from "../repo/names.ts";
import type { Repository } from "../repo/repository.ts";
import type { RepositoryCatalog } from "../repo/repository-catalog.ts";
import { readUpstreamRecord } from "../repo/upstream-record.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { FindNeeds, OnDemand } from "./git-http.ts";
import type { ServedSource } from "./status.ts";

export interface SyncOnDemandOptions {
  readonly catalog: RepositoryCatalog;
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** Whether a job for it waits or runs; absent where the queue cannot tell. */
  readonly isAnnounced?: (uuid: RepositoryUuid) => boolean;
  /** How long one request waits. */
  readonly maxWaitMs: number;
  readonly log: Logger;
}

/**
 * How often the manifest is looked at. A little longer each time: the sync of a small push takes some tenths of a second, and
 * what a look comes late adds to that.
 */
const POLL_MS = { first: 20, factor: 1.2, max: 250 } as const;

/** Syncs that take longer, or fail, are not waited for by everyone who lists refs. */
const ANNOUNCED_LIFETIME_MS = 60_000;

export class SyncOnDemand implements OnDemand {
  readonly #options: SyncOnDemandOptions;
  /** At most one of a repository: however many requests there are, and whatever they ask for. */
  readonly #rounds = new Map<RepositoryUuid, Promise<Repository | undefined>>();
  /** Who waits for a push that another process was told of, by repository and time. */
  readonly #announced = new Map<string, Promise<Repository | undefined>>();

  constructor(options: SyncOnDemandOptions) {
    this.#options = options;
  }

  async refresh(
    asked: RepositoryReference,
    needs: FindNeeds,
    signal: AbortSignal,
  ): Promise<Repository | undefined> {
    const { catalog, maxWaitMs } = this.#options;
    const sinceMs = Date.now();
    const repository = await catalog.find(asked, needs);
    if (repository === undefined || maxWaitMs === 0) return undefined;
    const ended = aborted(AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)]));
    for (;;) {
      // One that has begun before may have listed the refs before.
      const found = await Promise.race([this.#round(repository.uuid), ended]);
      if (found === undefined || found.verifiedAt.getTime() >= sinceMs) return found;
    }
  }

  async refreshAnnounced(
    { uuid, announcedAt, verifiedAt }: ServedSource,
    asked: RepositoryReference,
    needs: FindNeeds,
    signal: AbortSignal,
  ): Promise<Repository | undefined> {
    const { isAnnounced, maxWaitMs } = this.#options;
    if (uuid === undefined || maxWaitMs === 0) return undefined;
    if (isAnnounced?.(uuid)) return this.refresh(asked, needs, signal);
    if (announcedAt === undefined || verifiedAt === undefined) return undefined;
    const announcedMs = announcedAt.getTime();
    const isOver = verifiedAt.getTime() >= announcedMs || Date.now() - announcedMs > ANNOUNCED_LIFETIME_MS;
    if (isOver) return undefined;
    // A job for it is in the queue, so none is asked for.
    const listed = this.#shared(this.#announced, `${uuid} ${announcedMs}`, uuid, () =>
      this.#listedSince(uuid, announcedMs),
    );
    return Promise.race([listed, aborted(signal)]);
  }

  #round(uuid: RepositoryUuid): Promise<Repository | undefined> {
    return this.#shared(this.#rounds, uuid, uuid, () => this.#sync(uuid));
  }

  /** One wait for all who wait for the same. */
  #shared(
    waits: Map<string, Promise<Repository | undefined>>,
    key: string,
    uuid: RepositoryUuid,
    wait: () => Promise<Repository | undefined>,
  ): Promise<Repository | undefined> {
    const running = waits.get(key);
    if (running !== undefined) return running;
    const started = wait()
      .catch((error: unknown) => {
        this.#options.log.error("on-demand:failed", { uuid, ...errorFields(error) });
        return undefined;
      })
      .finally(() => waits.delete(key));
    waits.set(key, started);
    return started;
  }

  async #sync(uuid: RepositoryUuid): Promise<Repository | undefined> {
    const { store, requests } = this.#options;
    const record = await readUpstreamRecord(store, uuid);
    if (record === undefined) return undefined;
    const sentMs = Date.now();
    const queuedAt = new Date(sentMs).toISOString();
    const job = { kind: "repository", workspace: record.workspace, uuid, reason: "asked", queuedAt } as const;
    await requests.request([{ job, eventId: `asked-${randomUUID()}` }]);
    return this.#listedSince(uuid, sentMs);
  }

  /** @returns The repository once its refs were listed at this time or later; `undefined` if that is not in time. */
  async #listedSince(uuid: RepositoryUuid, sinceMs: number): Promise<Repository | undefined> {
    const { catalog, maxWaitMs, log } = this.#options;
    const startedMs = Date.now();
    let pauseMs: number = POLL_MS.first;
    while (Date.now() - startedMs < maxWaitMs) {
      await pause(pauseMs);
      const repository = await catalog.open(uuid);
      if (repository === undefined || repository.verifiedAt.getTime() >= sinceMs) return repository;
      pauseMs = Math.min(pauseMs * POLL_MS.factor, POLL_MS.max);
    }
    log.warn("on-demand:not-in-time", { uuid, waitedMs: maxWaitMs });
    return undefined;
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}
