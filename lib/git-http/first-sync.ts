/** Begins the first sync of a selected repository because a request asks for it, and waits for it. */
import { setTimeout as pause } from "node:timers/promises";
import { errorFields } from "../errors.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { type RepositoryReference, readName } from "../repo/names.ts";
import type { Repository } from "../repo/repository.ts";
import type { RepositoryCatalog } from "../repo/repository-catalog.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { FindNeeds } from "./git-http.ts";
import { NO_CACHE_HEADERS } from "./route.ts";

export interface FirstSyncOptions {
  readonly catalog: Pick<RepositoryCatalog, "find">;
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** For one request. */
  readonly maxWaitMs: number;
  readonly log: Logger;
}

/** Intervals between checks for the repository. */
const POLL_MS = { first: 50, factor: 1.5, max: 1000 } as const;

/** A first sync of some hundred MB takes about a minute. */
const RETRY_AFTER_SECONDS = 60;

export class FirstSync {
  readonly #options: FirstSyncOptions;

  constructor(options: FirstSyncOptions) {
    this.#options = options;
  }

  /**
   * For a caller who may read it.
   * @param primaryUrl - Where it is meanwhile, for the caller.
   * @returns The repository; 503 after the wait limit; `undefined` if the name is no longer reserved for it.
   */
  async wait(
    asked: RepositoryReference,
    needs: FindNeeds & { readonly uuid: RepositoryUuid },
    primaryUrl: string | undefined,
    signal: AbortSignal,
  ): Promise<Repository | HttpResponse | undefined> {
    const { catalog, maxWaitMs } = this.#options;
    await this.begin(asked, needs.uuid);
    const untilMs = Date.now() + maxWaitMs;
    let pauseMs: number = POLL_MS.first;
    while (Date.now() < untilMs && !signal.aborted) {
      await pause(Math.min(pauseMs, Math.max(0, untilMs - Date.now())));
      const repository = await catalog.find(asked, needs);
      if (repository !== undefined) return repository;
      if ((await this.#reservedUuid(asked)) !== needs.uuid) return undefined;
      pauseMs = Math.min(pauseMs * POLL_MS.factor, POLL_MS.max);
    }
    const where = primaryUrl === undefined ? "" : `; meanwhile it is at ${primaryUrl}`;
    return textResponse(503, `this repository is being mirrored for the first time${where}`, {
      ...NO_CACHE_HEADERS,
      "retry-after": String(RETRY_AFTER_SECONDS),
    });
  }

  async #reservedUuid(asked: RepositoryReference): Promise<RepositoryUuid | undefined> {
    if (asked.kind !== "name") return undefined;
    const entry = await readName(this.#options.store, asked.workspace, asked.slug);
    return entry?.isReserved ? entry.uuid : undefined;
  }

  /** Requests the sync. Mostly repeats a job that is queued already. */
  async begin(asked: RepositoryReference, uuid: RepositoryUuid): Promise<void> {
    if (asked.kind !== "name") return;
    const { requests, log } = this.#options;
    const { workspace } = asked;
    const queuedAt = new Date().toISOString();
    const job = { kind: "repository", workspace, uuid, reason: "asked", queuedAt } as const;
    try {
      // One job for all requests: before the first generation no push can be missed.
      await requests.request([{ job, eventId: `first-${uuid}` }]);
    } catch (error) {
      log.error("first-sync:not-requested", { uuid, ...errorFields(error) });
    }
  }
}
