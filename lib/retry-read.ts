/**
 * Repeats a read of the primary that broke or was refused: once, on a new connection. A keep-alive connection that has gone
 * stale, or one odd 500, then costs milliseconds instead of a failed job. A refusal changes nothing lasting unless it is repeated:
 * Bitbucket refuses valid tokens now and then (BCLOUD-24107).
 *
 * undici's RetryAgent and p-retry leave two things open: the pool may hand out another stale connection, and nothing limits
 * the repetitions of a whole process, so that an outage would meet twice the requests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UpstreamError } from "./errors.ts";

type Fetch = typeof globalThis.fetch;
type Dispatcher = NonNullable<RequestInit["dispatcher"]>;

interface RetryRate {
  readonly burst: number;
  readonly perMinute: number;
  readonly perRead: number;
}

/** A process with many reads may repeat a tenth of them. */
const RATE_OF_PROCESS: RetryRate = { burst: 10, perMinute: 10, perRead: 0.1 };

/** How many reads a process may repeat. */
export class RetryBudget {
  readonly #nowMs: () => number;
  readonly #rate: RetryRate;
  #retries: number;
  #refilledAtMs: number;

  constructor(nowMs: () => number = () => performance.now(), rate = RATE_OF_PROCESS) {
    this.#nowMs = nowMs;
    this.#rate = rate;
    this.#retries = rate.burst;
    this.#refilledAtMs = nowMs();
  }

  noteRead(): void {
    this.#add(this.#rate.perRead);
  }

  /** @returns Whether one may be repeated now; it is counted. */
  take(): boolean {
    const nowMs = this.#nowMs();
    this.#add(((nowMs - this.#refilledAtMs) * this.#rate.perMinute) / 60_000);
    this.#refilledAtMs = nowMs;
    if (this.#retries < 1) return false;
    this.#retries -= 1;
    return true;
  }

  #add(retries: number): void {
    this.#retries = Math.min(this.#rate.burst, this.#retries + retries);
  }
}

export interface ReadRetryOptions {
  /** The way out: the global `fetch`, or a test's. */
  readonly fetch: Fetch;
  /** Shared by all reads of a process. Without one, each read may be repeated. */
  readonly retryBudget?: RetryBudget | undefined;
}

/**
 * @param read - Makes the request through the `fetch` it is given, and reads as much of the answer as may be read twice.
 * @throws What `read` throws; the second time's error, if it was repeated.
 */
export async function readWithRetry<T>(
  { fetch, retryBudget }: ReadRetryOptions,
  read: (fetch: Fetch) => Promise<T>,
): Promise<T> {
  retryBudget?.noteRead();
  try {
    return await read(fetch);
  } catch (error) {
    const pauseMs = retryPauseMs(error);
    if (pauseMs === undefined || retryBudget?.take() === false) throw error;
    if (pauseMs > 0) await sleep(pauseMs);
    return await read(onNewConnection(fetch));
  }
}

const REFUSAL_PAUSE_MS = 250;
/** 200: a page in place of the answer, to log in for one. */
const DOUBTFUL_STATUSES: readonly unknown[] = [200, 401, 403];

/**
 * At once after a reset, a cut answer or a 5xx.
 * @returns `undefined` where a repetition makes no sense: a timeout, whose wait would double, or where the primary says when to
 *   ask again.
 */
function retryPauseMs(error: unknown): number | undefined {
  if (!(error instanceof UpstreamError) || error.retryAfterSeconds !== undefined) return undefined;
  const { status, timedOut } = error.context;
  if (error.retryable) return timedOut === true || status === 429 ? undefined : 0;
  return DOUBTFUL_STATUSES.includes(status) ? REFUSAL_PAUSE_MS : undefined;
}

/** @returns Whose requests take no connection from the pool, nor leave one there. */
function onNewConnection(fetch: Fetch): Fetch {
  return async (input, init) => {
    const dispatcher = newDispatcher();
    if (dispatcher === undefined) return fetch(input, init);
    try {
      return await fetch(input, { ...init, dispatcher });
    } finally {
      // It closes once the answer's body has been read or cancelled.
      void dispatcher.close();
    }
  };
}

/**
 * One of the class that `fetch` uses, so that a proxy that the environment names stays in use. Node exports no such class.
 * Source: undici's README, "Dispatcher": where the global dispatcher is stored.
 */
function newDispatcher(): Dispatcher | undefined {
  const current: unknown = Reflect.get(globalThis, Symbol.for("undici.globalDispatcher.1"));
  const DispatcherClass = (current as { constructor?: unknown } | undefined)?.constructor;
  return isKnownClass(DispatcherClass) ? new DispatcherClass() : undefined;
}

/** Those that need no arguments. */
function isKnownClass(value: unknown): value is new () => Dispatcher {
  return typeof value === "function" && ["Agent", "EnvHttpProxyAgent"].includes(value.name);
}
