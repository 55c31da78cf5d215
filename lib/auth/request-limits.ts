/** Limits by source (an address block) over one-minute windows, in the memory of one process. */
import type { LRUCache } from "lru-cache";
import { lruCache } from "../lru-cache.ts";

const WINDOW_MS = 60_000;

/** About 100 bytes each. */
const MAX_SOURCES = 20_000;

/** One value for each source, from its first use until a minute later. */
export function minuteWindows<Content extends object>(now: () => number): LRUCache<string, Content> {
  return lruCache(MAX_SOURCES, { ttlMs: WINDOW_MS, now });
}

function secondsLeft(windows: { getRemainingTTL(source: string): number }, source: string): number {
  return Math.ceil(windows.getRemainingTTL(source) / 1000);
}

/** Allows so many requests a minute from each source. */
export class RequestRate {
  readonly #perMinute: number;
  readonly #windows: LRUCache<string, { count: number }>;

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#windows = minuteWindows(now);
  }

  /** Counts one request. @returns 0 if it is allowed, else after how many seconds to retry. */
  take(source: string): number {
    if (this.#perMinute === 0) return 0;
    const window = this.#windows.get(source) ?? { count: 0 };
    if (window.count >= this.#perMinute) return secondsLeft(this.#windows, source);
    if (window.count === 0) this.#windows.set(source, window);
    window.count += 1;
    return 0;
  }
}

interface Guesses {
  /** How many count at `atMs`; it falls by the limit each minute. */
  level: number;
  atMs: number;
  /** Credentials that were rejected since `sinceMs`. */
  callers: Set<string>;
  sinceMs: number;
}

/** Above the limit, untried credentials of a source are asked about one after the other, at this rate. */
const TURN_MS = 200;
/** Of a source: 40 s, which only questions that are slow to be answered make others wait. */
const MAX_WAITING = 200;
/** While rejections alone fill the limit: 4 s. */
const MAX_WAITING_BEHIND_GUESSES = 20;

/**
 * Limits how many different wrong credentials from one source are tried in a minute. An expired one counts once a minute,
 * however often it is sent: all jobs of a company may use it, behind one address. Over the limit, one that was rejected within the
 * minute is not tried again, and one that is not known waits for its turn: five a second, where the names of accounts take
 * turns, and few wait while rejections alone fill the limit. Credentials whose answer is still to come count as if they were rejected, so a burst gets no further; an answer that
 * rejects nothing lets the next one start at once. So a caller that tries many neither keeps others behind the same address
 * out, nor asks the primary without end.
 */
export class WrongCredentials {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #guesses: LRUCache<string, Guesses> = lruCache(MAX_SOURCES);
  readonly #queues = new Map<string, TurnQueue>();
  /** By source: how many questions of each credential are under way. */
  readonly #underWay = new Map<string, Map<string, number>>();

  /** @param perMinute - 0: no limit. */
  constructor(perMinute: number, now: () => number = Date.now) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /**
   * Whether so many were rejected, or are under way, that a further one is to call `takeTurn` before it is tried.
   * @param caller - Identifies the credential.
   */
  isOverLimit(source: string, caller: string): boolean {
    if (this.#perMinute === 0) return false;
    const underWay = this.#underWay.get(source);
    const otherCount = (underWay?.size ?? 0) - (underWay?.has(caller) ? 1 : 0);
    return (this.#current(source)?.level ?? 0) + otherCount + 1 > this.#perMinute;
  }

  /** Counts one that is tried now. @returns What to call once, after `note`, when its answer is there. */
  begin(source: string, caller: string): () => void {
    const underWay = this.#underWay.get(source) ?? new Map<string, number>();
    this.#underWay.set(source, underWay);
    underWay.set(caller, (underWay.get(caller) ?? 0) + 1);
    return () => {
      const leftCount = (underWay.get(caller) ?? 0) - 1;
      if (leftCount > 0) underWay.set(caller, leftCount);
      else underWay.delete(caller);
      if (underWay.size === 0) this.#underWay.delete(source);
      if (leftCount === 0 && !this.isOverLimit(source, "")) this.#queues.get(source)?.startNext();
    };
  }

  /**
   * @param caller - Identifies the credential.
   * @param account - Whom it claims to be; those take turns.
   * @returns 0 when it may be tried; else after how many seconds to try again.
   */
  async takeTurn(source: string, caller: string, account: string): Promise<number> {
    const guesses = this.#current(source);
    if (guesses?.callers.has(caller))
      return Math.max(1, Math.ceil((guesses.sinceMs + WINDOW_MS - this.#now()) / 1000));
    const queue = this.#queues.get(source) ?? new TurnQueue(() => this.#queues.delete(source));
    this.#queues.set(source, queue);
    const turn = queue.wait(account);
    this.#limitQueue(source);
    return turn;
  }

  #limitQueue(source: string): void {
    const isFull = (this.#current(source)?.level ?? 0) + 1 > this.#perMinute;
    this.#queues.get(source)?.limitTo(isFull ? MAX_WAITING_BEHIND_GUESSES : MAX_WAITING);
  }

  /** @param caller - Identifies the credential. */
  note(source: string, caller: string): void {
    const nowMs = this.#now();
    if (this.#perMinute === 0) return;
    const guesses = this.#current(source) ?? {
      ...{ level: 0, atMs: nowMs, callers: new Set<string>(), sinceMs: nowMs },
    };
    this.#guesses.set(source, guesses);
    if (guesses.callers.has(caller)) return;
    // More are not remembered: each further one counts every time.
    if (guesses.callers.size < 2 * this.#perMinute) guesses.callers.add(caller);
    guesses.level = Math.min(guesses.level + 1, this.#perMinute);
    this.#limitQueue(source);
  }

  #current(source: string): Guesses | undefined {
    const guesses = this.#guesses.get(source);
    if (guesses === undefined) return undefined;
    const nowMs = this.#now();
    guesses.level = Math.max(0, guesses.level - ((nowMs - guesses.atMs) * this.#perMinute) / WINDOW_MS);
    guesses.atMs = nowMs;
    if (nowMs >= guesses.sinceMs + WINDOW_MS) {
      guesses.callers.clear();
      guesses.sinceMs = nowMs;
    }
    return guesses;
  }
}

/** Starts one of those that wait every 200 ms, the first at once; accounts take turns. */
class TurnQueue {
  readonly #onEmpty: () => void;
  /** By account, in the order of their next turns. */
  readonly #waiting = new Map<string, ((retryAfterSeconds: number) => void)[]>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  /** @returns 0, or after how many seconds to try again, if too many wait. */
  wait(account: string): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const ofAccount = this.#waiting.get(account) ?? [];
    ofAccount.push(resolve);
    this.#waiting.set(account, ofAccount);
    this.#count += 1;
    if (this.#timer === undefined) this.#next();
    return promise;
  }

  /** Refuses those above. */
  limitTo(maxCount: number): void {
    while (this.#count > maxCount) this.#refuseOne(Math.ceil((maxCount * TURN_MS) / 1000));
  }

  #next(): void {
    const isEmpty = this.#waiting.size === 0;
    this.#timer = isEmpty ? undefined : setTimeout(() => this.#next(), TURN_MS);
    if (isEmpty) this.#onEmpty();
    else this.startNext();
  }

  /** Before its time. */
  startNext(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const [account, [start, ...others]] = first;
    this.#waiting.delete(account);
    if (others.length > 0) this.#waiting.set(account, others);
    this.#count -= 1;
    start?.(0);
  }

  /** The newest of the account with the most; where each has one, the newest of all: those before it get their turns. */
  #refuseOne(retryAfterSeconds: number): void {
    let most: [string, ((retryAfterSeconds: number) => void)[]] | undefined;
    for (const waiting of this.#waiting) if (waiting[1].length >= (most?.[1].length ?? 1)) most = waiting;
    if (most === undefined) return;
    const [account, ofAccount] = most;
    const refuse = ofAccount.pop();
    if (ofAccount.length === 0) this.#waiting.delete(account);
    this.#count -= 1;
    refuse?.(retryAfterSeconds);
  }
}
