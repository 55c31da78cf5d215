/** Waiting, and for how long a primary wants to be left alone. */
import { UpstreamError } from "../../lib/errors.ts";

/** What a primary that says 429 without a time shall be left alone for. */
const DEFAULT_RATE_LIMIT_PAUSE_MS = 60_000;

/** Bitbucket counts by the hour, so a longer pause is a mistake; a timer takes no more than 24 days, and fires at once beyond. */
const MAX_PAUSE_MS = 3_600_000;

/** After a Retry-After no job asks the primary, including those that follow. */
export class PrimaryPause {
  #untilMs = 0;

  noteFailure(error: unknown): void {
    this.#untilMs = Math.max(this.#untilMs, Date.now() + delayAskedFor(error));
  }

  async wait(signal: AbortSignal): Promise<void> {
    while (this.#untilMs > Date.now() && !signal.aborted) await delay(this.#untilMs - Date.now(), signal);
  }
}

function delayAskedFor(error: unknown): number {
  if (!(error instanceof UpstreamError)) return 0;
  if (error.retryAfterSeconds !== undefined) return Math.min(error.retryAfterSeconds * 1000, MAX_PAUSE_MS);
  return error.context["status"] === 429 ? DEFAULT_RATE_LIMIT_PAUSE_MS : 0;
}

/** Resolves early when the signal aborts. */
export function delay(durationMs: number, signal: AbortSignal): Promise<void> {
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
