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
import { NO_CACHE_HEADERS } from "./route.ts";
import type { FindNeeds } from "./served-source.ts";

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

/** `gone`: the name is no longer reserved for the repository. `aborted`: no request waits any longer. */
type Outcome = Repository | "gone" | "aborted";

interface Watch {
  outcome: Promise<Outcome>;
  waiting: number;
}

export class FirstSync {
  readonly #options: FirstSyncOptions;
  /** By what is asked for: requests for the same share one look at the store. */
  readonly #watches = new Map<string, Watch>();

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
    const { maxWaitMs } = this.#options;
    await this.begin(asked, needs.uuid);
    const end = AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)]);
    const outcome = maxWaitMs === 0 || end.aborted ? "aborted" : await this.#watched(asked, needs, end);
    if (outcome === "gone") return undefined;
    if (outcome !== "aborted") return outcome;
    const where = primaryUrl === undefined ? "" : `; meanwhile it is at ${primaryUrl}`;
    return textResponse(503, `this repository is being mirrored for the first time${where}`, {
      ...NO_CACHE_HEADERS,
      "retry-after": String(RETRY_AFTER_SECONDS),
    });
  }

  async #watched(
    asked: RepositoryReference,
    needs: FindNeeds & { readonly uuid: RepositoryUuid },
    signal: AbortSignal,
  ): Promise<Outcome> {
    // What a caller may have depends on all of it; see `FindNeeds`.
    const key = JSON.stringify([asked, needs]);
    const watch = this.#watches.get(key) ?? { waiting: 0, outcome: Promise.resolve<Outcome>("aborted") };
    watch.waiting += 1;
    if (watch.waiting === 1) {
      this.#watches.set(key, watch);
      watch.outcome = this.#poll(asked, needs, watch).finally(() => {
        if (this.#watches.get(key) === watch) this.#watches.delete(key);
      });
    }
    const gone = Promise.withResolvers<Outcome>();
    const onAbort = (): void => gone.resolve("aborted");
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([watch.outcome, gone.promise]);
    } finally {
      watch.waiting -= 1;
      signal.removeEventListener("abort", onAbort);
      if (watch.waiting === 0 && this.#watches.get(key) === watch) this.#watches.delete(key);
    }
  }

  async #poll(
    asked: RepositoryReference,
    needs: FindNeeds & { readonly uuid: RepositoryUuid },
    watch: Watch,
  ): Promise<Outcome> {
    for (let pauseMs: number = POLL_MS.first; watch.waiting > 0; ) {
      await pause(pauseMs);
      const repository = await this.#options.catalog.find(asked, needs);
      if (repository !== undefined) return repository;
      if ((await this.#reservedUuid(asked)) !== needs.uuid) return "gone";
      pauseMs = Math.min(pauseMs * POLL_MS.factor, POLL_MS.max);
    }
    return "aborted";
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
