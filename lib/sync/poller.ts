/** Keeps repositories in step with the primary by asking for their refs again and again. */
import type { BitbucketRepository } from "../bitbucket/rest-api.ts";
import { errorFields, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { SyncOutcome } from "./sync-repository.ts";

export interface PollerOptions {
  /** What is to be mirrored now; asked before each round. */
  readonly selected: () => AsyncIterable<BitbucketRepository>;
  readonly sync: (repository: BitbucketRepository) => Promise<SyncOutcome>;
  readonly onSynced?: (repository: BitbucketRepository, outcome: SyncOutcome) => void;
  readonly onFailed?: (repository: BitbucketRepository | undefined, error: unknown) => void;
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
 * Runs until the signal aborts. One failing repository does not keep the others from being synchronized.
 * @param onFirstRound - Called once every selected repository has been tried.
 */
export async function poll(options: PollerOptions, onFirstRound: () => void | Promise<void>): Promise<void> {
  for (let round = 1; !options.signal.aborted; round++) {
    const pauseMs = await pollOnce(options);
    if (round === 1 && !options.signal.aborted) await onFirstRound();
    await pause(Math.max(options.intervalMs, pauseMs), options.signal);
  }
}

/** @returns How long the primary wants to be left alone. */
async function pollOnce({ selected, sync, onSynced, onFailed, log, signal }: PollerOptions): Promise<number> {
  let pauseMs = 0;
  const failed = (repository: BitbucketRepository | undefined, error: unknown): void => {
    if (signal.aborted) return;
    log.warn("sync:failed", { repo: repository?.fullName, ...errorFields(error) });
    onFailed?.(repository, error);
    pauseMs = Math.max(pauseMs, pauseAskedFor(error));
  };
  try {
    for await (const repository of selected()) {
      if (signal.aborted || pauseMs > 0) break;
      try {
        const outcome = await sync(repository);
        if (outcome.kind === "published") {
          const { generation, receivedBytes, objects, changes } = outcome;
          log.info("sync:published", {
            repo: repository.fullName,
            generation,
            receivedBytes,
            objects,
            refs: changes.length,
          });
        }
        onSynced?.(repository, outcome);
      } catch (error) {
        failed(repository, error);
      }
    }
  } catch (error) {
    failed(undefined, error);
  }
  return pauseMs;
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
