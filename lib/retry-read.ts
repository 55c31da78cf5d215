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

const BURST_RETRIES = 10;
const RETRIES_PER_MINUTE = 10;
/** Of one read. A process with many reads may repeat a tenth of them. */
const RETRIES_PER_READ = 0.1;

export interface RetryLimit {
  noteRead(): void;
  /** @returns Whether one may be repeated now; it is counted. */
  take(): boolean;
}

/** How many reads a process may repeat. */
export class RetryBudget implements RetryLimit {
  readonly #nowMs: () => number;
  #retries = BURST_RETRIES;
  #refilledAtMs: number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#refilledAtMs = nowMs();
  }

  noteRead(): void {
    this.#add(RETRIES_PER_READ);
  }

  take(): boolean {
    const nowMs = this.#nowMs();
    this.#add(((nowMs - this.#refilledAtMs) * RETRIES_PER_MINUTE) / 60_000);
    this.#refilledAtMs = nowMs;
    if (this.#retries < 1) return false;
    this.#retries -= 1;
    return true;
  }

  #add(retries: number): void {
    this.#retries = Math.min(BURST_RETRIES, this.#retries + retries);
  }
}

export interface ReadRetryOptions {
  /** The way out: the global `fetch`, or a test's. */
  readonly fetch: Fetch;
  /** Shared by all reads of a process. Without one, each read may be repeated. */
  readonly retryBudget?: RetryLimit | undefined;
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
const ONCE_MORE_STATUSES: readonly unknown[] = [200, 401, 403];

/**
 * At once after a reset, a cut answer or a 5xx.
 * @returns `undefined` where a repetition makes no sense: a timeout, whose wait would double, or where the primary says when to
 *   ask again.
 */
function retryPauseMs(error: unknown): number | undefined {
  if (!(error instanceof UpstreamError) || error.retryAfterSeconds !== undefined) return undefined;
  const { status, timedOut } = error.context;
  if (error.retryable) return timedOut === true || status === 429 ? undefined : 0;
  return ONCE_MORE_STATUSES.includes(status) ? REFUSAL_PAUSE_MS : undefined;
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
