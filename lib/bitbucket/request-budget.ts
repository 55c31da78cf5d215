/**
 * What may be asked of REST: a number of requests an hour, and nothing while Bitbucket wants to be left alone. Lives as a small
 * value between runs of a function. Source: "API request limits" in Bitbucket's support pages.
 */
import { UpstreamError } from "../errors.ts";
import { parseRetryAfter } from "../retry-after.ts";

/** To be kept until the next run. */
export interface BudgetState {
  /** Requests that may be made, as of `at`. */
  readonly tokens: number;
  /** ISO 8601. */
  readonly at: string;
  readonly pausedUntil?: string | undefined;
}

/**
 * Bitbucket gives a credential 1,000 an hour, over a window that rolls. A bucket of this many, filled within an hour, lets
 * through twice as many in the worst hour, and leaves the rest to syncs and to people.
 */
const REST_REQUESTS_PER_HOUR = 400;

const HOUR_MS = 3_600_000;
/** What a primary that says 429 without a time is left alone for. */
const DEFAULT_PAUSE_MS = 60_000;
/** Bitbucket counts by the hour, so a longer pause is a mistake. */
const MAX_PAUSE_MS = HOUR_MS;
/** After a warning that less than a fifth is left. */
const NEAR_LIMIT_PAUSE_MS = 10 * 60_000;

export class RequestBudget {
  readonly #now: () => Date;
  readonly #perHour: number;
  #tokens: number;
  #atMs: number;
  #pausedUntilMs: number;
  #isNearLimit = false;

  constructor(state: BudgetState | undefined, now: () => Date, perHour: number = REST_REQUESTS_PER_HOUR) {
    this.#now = now;
    this.#perHour = perHour;
    this.#tokens = state?.tokens ?? perHour;
    this.#atMs = state === undefined ? now().getTime() : Date.parse(state.at);
    this.#pausedUntilMs = state?.pausedUntil === undefined ? 0 : Date.parse(state.pausedUntil);
  }

  get #isPaused(): boolean {
    return this.#pausedUntilMs > this.#now().getTime();
  }

  /** Whether a request would be let through now. */
  get mayAsk(): boolean {
    this.#refill();
    return !this.#isPaused && this.#tokens >= 1;
  }

  /** To be kept. A warning that was seen takes effect with it, so that what was begun could be finished. */
  get state(): BudgetState {
    this.#refill();
    const nearMs = this.#isNearLimit ? this.#atMs + NEAR_LIMIT_PAUSE_MS : 0;
    const untilMs = Math.max(this.#pausedUntilMs, nearMs);
    return {
      tokens: Math.floor(this.#tokens),
      at: new Date(this.#atMs).toISOString(),
      ...(untilMs > this.#atMs && { pausedUntil: new Date(untilMs).toISOString() }),
    };
  }

  /** @throws {UpstreamError} From the result: nothing may be asked now; nothing was. */
  limit(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
    return async (input, init) => {
      this.#take();
      const response = await fetch(input, init);
      if (response.headers.get("x-ratelimit-nearlimit") === "true") this.#isNearLimit = true;
      const asked = parseRetryAfter(response.headers.get("retry-after"));
      if (response.status === 429 || (response.status === 503 && asked !== undefined)) {
        const pauseMs = asked === undefined ? DEFAULT_PAUSE_MS : Math.min(asked * 1000, MAX_PAUSE_MS);
        this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#now().getTime() + pauseMs);
      }
      return response;
    };
  }

  #take(): void {
    this.#refill();
    const waitMs = this.#isPaused
      ? this.#pausedUntilMs - this.#atMs
      : this.#tokens >= 1
        ? 0
        : ((1 - this.#tokens) * HOUR_MS) / this.#perHour;
    if (waitMs > 0) {
      const retryAfterSeconds = Math.ceil(waitMs / 1000);
      throw new UpstreamError("Bitbucket's REST API is left alone until its time has come", {
        retryable: true,
        retryAfterSeconds,
      });
    }
    this.#tokens -= 1;
  }

  #refill(): void {
    const nowMs = this.#now().getTime();
    const added = (Math.max(0, nowMs - this.#atMs) * this.#perHour) / HOUR_MS;
    this.#tokens = Math.min(this.#perHour, this.#tokens + added);
    this.#atMs = nowMs;
  }
}
