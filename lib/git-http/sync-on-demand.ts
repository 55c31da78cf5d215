/**
 * Synchronizes a repository because a request asks for what is not here, and waits for the result. The sync is a job like any
 * other, and done once the manifest's time of verification says so; so this works over any queue and store.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { readNamedRecord } from "../repo/repository-record.ts";
import { resolveRepository } from "../repo/resolve-repository.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { FindNeeds, OnDemand } from "./git-http.ts";
import type { ServedSource } from "./served-source.ts";

/** A repository, and when its refs were last verified. */
export interface SyncedSource extends ServedSource {
  readonly uuid: RepositoryUuid;
  readonly verifiedAt: Date;
}

export interface SyncOnDemandOptions {
  readonly catalog: {
    find(asked: RepositoryReference, needs: FindNeeds): Promise<SyncedSource | undefined>;
    /** As it is in the store now. */
    open(uuid: RepositoryUuid): Promise<SyncedSource | undefined>;
  };
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** Whether a job for the repository is queued or running; absent if the queue cannot know. */
  readonly isAnnounced?: (uuid: RepositoryUuid) => boolean;
  /** For one request. */
  readonly maxWaitMs: number;
  readonly log: Logger;
}

/** Intervals between reads of the manifest. Short at first: the sync of a small push takes some tenths of a second. */
const POLL_MS = { first: 20, factor: 1.2, max: 250 } as const;

/** Requests for refs do not wait for syncs that take longer, or failed. */
const ANNOUNCED_LIFETIME_MS = 60_000;

export class SyncOnDemand implements OnDemand {
  readonly #options: SyncOnDemandOptions;
  /** At most one for each repository. */
  readonly #rounds = new Map<RepositoryUuid, Promise<SyncedSource | undefined>>();
  /** Waits for pushes that another process received, by repository and time. */
  readonly #announced = new Map<string, Promise<SyncedSource | undefined>>();

  constructor(options: SyncOnDemandOptions) {
    this.#options = options;
  }

  async refresh(
    asked: RepositoryReference,
    needs: FindNeeds,
    signal: AbortSignal,
  ): Promise<SyncedSource | undefined> {
    const { catalog, maxWaitMs } = this.#options;
    const sinceMs = Date.now();
    const known = await catalog.find(asked, needs);
    if (known === undefined || maxWaitMs === 0) return undefined;
    const ended = aborted(AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)]));
    let repository: SyncedSource = known;
    while (repository.verifiedAt.getTime() < sinceMs) {
      // A round that began before this request may have listed the refs before it.
      const found: SyncedSource | undefined = await Promise.race([this.#round(repository), ended]);
      if (found === undefined) return undefined;
      repository = found;
    }
    return repository;
  }

  async refreshAnnounced(
    { uuid, announcedAt, verifiedAt }: ServedSource,
    asked: RepositoryReference,
    needs: FindNeeds,
    signal: AbortSignal,
  ): Promise<SyncedSource | undefined> {
    const { isAnnounced, maxWaitMs } = this.#options;
    if (uuid === undefined || maxWaitMs === 0) return undefined;
    if (isAnnounced?.(uuid)) return this.refresh(asked, needs, signal);
    if (announcedAt === undefined || verifiedAt === undefined) return undefined;
    const announcedMs = announcedAt.getTime();
    const isOver = verifiedAt.getTime() >= announcedMs || Date.now() - announcedMs > ANNOUNCED_LIFETIME_MS;
    if (isOver) return undefined;
    // Its job is in the queue already.
    const listed = this.#shared(this.#announced, `${uuid} ${announcedMs}`, uuid, () =>
      this.#listedSince(uuid, announcedMs),
    );
    return Promise.race([listed, aborted(signal)]);
  }

  /** Synchronizes after a push that went through this mirror, before its webhook comes. Never rejects. */
  async pushed(asked: RepositoryReference): Promise<void> {
    try {
      const repository = await resolveRepository(this.#options.store, asked);
      if (repository !== undefined && !repository.isReserved)
        await this.#request(repository.uuid, `pushed-${randomUUID()}`);
    } catch (error) {
      this.#options.log.error("on-demand:push-not-requested", errorFields(error));
    }
  }

  #round({ uuid, verifiedAt }: SyncedSource): Promise<SyncedSource | undefined> {
    return this.#shared(this.#rounds, uuid, uuid, () => this.#syncAfter(uuid, verifiedAt.getTime()));
  }

  /** Requests with the same key share one wait. */
  #shared(
    waits: Map<string, Promise<SyncedSource | undefined>>,
    key: string,
    uuid: RepositoryUuid,
    wait: () => Promise<SyncedSource | undefined>,
  ): Promise<SyncedSource | undefined> {
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

  /** @returns The repository once its refs were listed after this time, for this process or another. */
  async #syncAfter(uuid: RepositoryUuid, verifiedMs: number): Promise<SyncedSource | undefined> {
    // Processes that know the same listing send the same id, of which the queue takes one: a hundred that wait make one job.
    const isSent = await this.#request(uuid, `asked-${uuid}-${verifiedMs}`);
    return isSent ? this.#listedSince(uuid, verifiedMs + 1) : undefined;
  }

  /** @returns Whether the job was sent: not if no name leads to the repository. */
  async #request(uuid: RepositoryUuid, eventId: string): Promise<boolean> {
    const { store, requests } = this.#options;
    const record = await readNamedRecord(store, uuid);
    if (record === undefined) return false;
    const queuedAt = new Date().toISOString();
    const job = { kind: "repository", workspace: record.workspace, uuid, reason: "asked", queuedAt } as const;
    await requests.request([{ job, eventId }]);
    return true;
  }

  /** @returns The repository once its refs were listed at this time or later; `undefined` after the wait limit. */
  async #listedSince(uuid: RepositoryUuid, sinceMs: number): Promise<SyncedSource | undefined> {
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
