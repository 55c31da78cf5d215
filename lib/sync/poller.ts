/** Keeps repositories in step with the primary by asking for their refs again and again. */
import { errorFields, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Selected, SelectedRepository } from "./selection.ts";
import type { SyncOutcome } from "./sync-repository.ts";

export interface PollerOptions {
  /** What is to be mirrored now; asked before each round. */
  readonly selected: () => AsyncIterable<Selected>;
  readonly sync: (repository: SelectedRepository) => Promise<SyncOutcome>;
  readonly onSynced?: (repository: SelectedRepository, outcome: SyncOutcome) => void;
  /** @param name - Of a repository, or of the part of the selection that could not be listed. */
  readonly onFailed?: (name: string, error: unknown) => void;
  readonly log: Logger;
  readonly intervalMs: number;
  /** Ends the polling. */
  readonly signal: AbortSignal;
}

/** What a primary that says 429 without a time shall be left alone for. */
const DEFAULT_RATE_LIMIT_PAUSE_MS = 60_000;

/** Bitbucket counts by the hour, so a longer pause is a mistake; a timer takes no more than 24 days, and fires at once beyond. */
const MAX_PAUSE_MS = 3_600_000;

/**
 * Runs until the signal aborts. One failing repository, or a list that fails, does not keep the others from being
 * synchronized.
 * @param onFirstRound - Called once every selected repository has been tried, or the primary asked for a pause.
 */
export async function poll(options: PollerOptions, onFirstRound: () => void | Promise<void>): Promise<void> {
  const poller = new Poller(options);
  for (let round = 1; !options.signal.aborted; round++) {
    const pauseMs = await poller.pollOnce();
    if (round === 1 && !options.signal.aborted) await onFirstRound();
    await pause(Math.max(options.intervalMs, pauseMs), options.signal);
  }
}

class Poller {
  readonly #options: PollerOptions;
  /** The uuids tried in rounds that ended early: their turn comes after all others, or the last would never have one. */
  readonly #tried = new Set<string>();

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** @returns How long the primary wants to be left alone. */
  async pollOnce(): Promise<number> {
    const { selected, signal } = this.#options;
    const hadTheirTurn: SelectedRepository[] = [];
    let listPauseMs = 0;
    try {
      for await (const item of selected()) {
        if (signal.aborted) return 0;
        if (item.kind === "failed") {
          // Git's answers do not depend on REST's, so the round goes on.
          listPauseMs = Math.max(listPauseMs, this.#failed(item.name, item.error));
        } else if (this.#tried.has(item.repository.uuid)) {
          hadTheirTurn.push(item.repository);
        } else {
          const pauseMs = await this.#try(item.repository);
          if (pauseMs > 0) return Math.max(pauseMs, listPauseMs);
        }
      }
    } catch (error) {
      listPauseMs = Math.max(listPauseMs, this.#failed("listing repositories", error));
    }
    this.#tried.clear();
    for (const repository of hadTheirTurn) {
      if (signal.aborted) return 0;
      const pauseMs = await this.#try(repository);
      if (pauseMs > 0) return Math.max(pauseMs, listPauseMs);
    }
    this.#tried.clear();
    return listPauseMs;
  }

  async #try(repository: SelectedRepository): Promise<number> {
    const { sync, onSynced, log } = this.#options;
    this.#tried.add(repository.uuid);
    try {
      const outcome = await sync(repository);
      if (outcome.kind === "published") {
        const { generation, receivedBytes, objects, changes } = outcome;
        const repo = repository.fullName;
        log.info("sync:published", { repo, generation, receivedBytes, objects, refs: changes.length });
      }
      onSynced?.(repository, outcome);
      return 0;
    } catch (error) {
      return this.#failed(repository.fullName, error);
    }
  }

  #failed(name: string, error: unknown): number {
    const { log, onFailed, signal } = this.#options;
    if (signal.aborted) return 0;
    log.warn("sync:failed", { repo: name, ...errorFields(error) });
    onFailed?.(name, error);
    return pauseAskedFor(error);
  }
}

function pauseAskedFor(error: unknown): number {
  if (!(error instanceof UpstreamError)) return 0;
  if (error.retryAfterSeconds !== undefined) return Math.min(error.retryAfterSeconds * 1000, MAX_PAUSE_MS);
  return error.context["status"] === 429 ? DEFAULT_RATE_LIMIT_PAUSE_MS : 0;
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, durationMs);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
