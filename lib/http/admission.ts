/**
 * Lets so many tasks run at a time, of each caller and in all. Further ones wait in turn, one caller after the other, so a caller
 * with many requests delays only its own.
 */
import { OverloadedError } from "../errors.ts";

export interface AdmissionLimits {
  readonly maxRunning: number;
  readonly maxRunningOfCaller: number;
  readonly maxWaiting: number;
  readonly maxWaitingOfCaller: number;
  readonly maxWaitMs: number;
}

/** What a client is asked to wait that cannot be taken now. */
const RETRY_AFTER_SECONDS = 10;

interface Caller {
  running: number;
  readonly waiting: Set<() => void>;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  /** In the order of their next turns. */
  readonly #callers = new Map<string, Caller>();
  #running = 0;
  #waiting = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /**
   * Waits for a turn.
   * @returns Ends it; may be called more than once.
   * @throws {OverloadedError} Too many wait already, or the wait was too long. @throws The signal's reason.
   */
  async enter(caller: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const { maxWaiting, maxWaitingOfCaller } = this.#limits;
    const entry = this.#callers.get(caller) ?? { running: 0, waiting: new Set() };
    this.#callers.set(caller, entry);
    if (!this.#mayRun(entry)) {
      if (entry.waiting.size >= maxWaitingOfCaller) throw tooMany("of yours");
      if (this.#waiting >= maxWaiting) throw overloaded();
      await this.#wait(entry, signal);
    } else this.#start(entry);
    let isRunning = true;
    return () => {
      if (!isRunning) return;
      isRunning = false;
      this.#running -= 1;
      entry.running -= 1;
      this.#startNext();
      if (entry.running === 0 && entry.waiting.size === 0 && this.#callers.get(caller) === entry)
        this.#callers.delete(caller);
    };
  }

  #mayRun({ running, waiting }: Caller): boolean {
    const { maxRunning, maxRunningOfCaller } = this.#limits;
    return this.#running < maxRunning && running < maxRunningOfCaller && waiting.size === 0;
  }

  #start(entry: Caller): void {
    this.#running += 1;
    entry.running += 1;
  }

  #wait(entry: Caller, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      entry.waiting.delete(onTurn);
      this.#waiting -= 1;
      signal.removeEventListener("abort", onAbort);
      clearTimeout(timer);
    };
    const onTurn = () => {
      leave();
      this.#start(entry);
      resolve();
    };
    const onAbort = () => {
      leave();
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      leave();
      reject(entry.running >= this.#limits.maxRunningOfCaller ? tooMany("of yours") : overloaded());
    }, this.#limits.maxWaitMs);
    this.#waiting += 1;
    entry.waiting.add(onTurn);
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  #startNext(): void {
    const { maxRunning, maxRunningOfCaller } = this.#limits;
    if (this.#running >= maxRunning || this.#waiting === 0) return;
    for (const [caller, entry] of this.#callers) {
      const [onTurn] = entry.waiting;
      if (onTurn === undefined || entry.running >= maxRunningOfCaller) continue;
      this.#callers.delete(caller);
      this.#callers.set(caller, entry);
      onTurn();
      return;
    }
  }
}

function tooMany(whose: string): OverloadedError {
  return new OverloadedError(`too many requests ${whose} at once, try again in ${RETRY_AFTER_SECONDS} s`, {
    status: 429,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

function overloaded(): OverloadedError {
  return new OverloadedError(`the mirror is busy, try again in ${RETRY_AFTER_SECONDS} s`, {
    status: 503,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/** Bytes that several tasks hold, of each caller and in all. */
export class ByteBudget {
  readonly #maxBytes: number;
  readonly #maxBytesOfCaller: number;
  readonly #ofCaller = new Map<string, number>();
  #usedBytes = 0;

  constructor(maxBytes: number, maxBytesOfCaller: number) {
    this.#maxBytes = maxBytes;
    this.#maxBytesOfCaller = maxBytesOfCaller;
  }

  /** @throws {OverloadedError} There are not so many left. */
  take(caller: string, bytes: number): void {
    const ofCaller = (this.#ofCaller.get(caller) ?? 0) + bytes;
    if (ofCaller > this.#maxBytesOfCaller) throw tooMany("of yours");
    if (this.#usedBytes + bytes > this.#maxBytes) throw overloaded();
    this.#usedBytes += bytes;
    this.#ofCaller.set(caller, ofCaller);
  }

  release(caller: string, bytes: number): void {
    this.#usedBytes -= bytes;
    const left = (this.#ofCaller.get(caller) ?? 0) - bytes;
    if (left > 0) this.#ofCaller.set(caller, left);
    else this.#ofCaller.delete(caller);
  }
}
