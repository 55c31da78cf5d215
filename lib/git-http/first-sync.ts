/**
 * Answers requests for a selected repository whose first sync is not done. Without a credential they are redirected to the
 * primary; a caller who may read waits for the sync, and gets 503 with the primary's URL after the wait limit.
 */
import { setTimeout as pause } from "node:timers/promises";
import { repositoryUrlOf } from "../bitbucket/repository-url.ts";
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
import type { FindNeeds, Unmirrored } from "./git-http.ts";
import { NO_CACHE_HEADERS } from "./route.ts";

export interface FirstSyncOptions {
  readonly catalog: Pick<RepositoryCatalog, "find">;
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** For one request. */
  readonly maxWaitMs: number;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  readonly log: Logger;
}

/** Intervals between checks for the repository. */
const POLL_MS = { first: 50, factor: 1.5, max: 1000 } as const;

/** A first sync of some hundred MB takes about a minute. */
const RETRY_AFTER_SECONDS = 60;

export class FirstSync implements Unmirrored {
  readonly #options: FirstSyncOptions;

  constructor(options: FirstSyncOptions) {
    this.#options = options;
  }

  async sendOn(asked: RepositoryReference, primaryPath: string): Promise<HttpResponse> {
    const uuid = await this.#reservedUuid(asked);
    if (uuid !== undefined) await this.#request(asked, uuid);
    const repositoryUrl = repositoryUrlOf(this.#options.gitUrl, primaryPath);
    const location = `${repositoryUrl}/info/refs?service=git-upload-pack`;
    const text = `this repository is not mirrored yet; it is at ${repositoryUrl}`;
    return textResponse(307, text, { ...NO_CACHE_HEADERS, location });
  }

  async firstSync(
    asked: RepositoryReference,
    needs: FindNeeds,
    signal: AbortSignal,
  ): Promise<Repository | HttpResponse | undefined> {
    const { catalog, maxWaitMs } = this.#options;
    const uuid = await this.#reservedUuid(asked);
    // The decision was about another repository.
    if (uuid === undefined || (needs.uuid !== undefined && needs.uuid !== uuid)) return undefined;
    await this.#request(asked, uuid);
    const untilMs = Date.now() + maxWaitMs;
    let pauseMs: number = POLL_MS.first;
    while (Date.now() < untilMs && !signal.aborted) {
      await pause(Math.min(pauseMs, Math.max(0, untilMs - Date.now())));
      const repository = await catalog.find(asked, { ...needs, uuid });
      if (repository !== undefined) return repository;
      if ((await this.#reservedUuid(asked)) !== uuid) return undefined;
      pauseMs = Math.min(pauseMs * POLL_MS.factor, POLL_MS.max);
    }
    const url = repositoryUrlOf(this.#options.gitUrl, needs.primaryPath ?? "");
    const where = needs.primaryPath === undefined ? "" : `; meanwhile it is at ${url}`;
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

  /** Mostly repeats a job that is queued already. */
  async #request(asked: RepositoryReference, uuid: RepositoryUuid): Promise<void> {
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
