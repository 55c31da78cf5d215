/**
 * Asks the primary within limits: not during an outage, not for a caller whose rate it limits, and only so many questions at
 * a time.
 */
import type { LRUCache } from "lru-cache";
import type { Logger } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import type { RetryLimit } from "../retry-read.ts";
import type { CallerKeys } from "./caller-keys.ts";
import { AWAY, type CircuitBreaker } from "./circuit-breaker.ts";
import type { AskOptions, AskPrimary, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import { MAX_CONCURRENT_FACTOR, PrioritySemaphore } from "./priority-semaphore.ts";
import { BUSY, ratePauseMs } from "./verdict-record.ts";

/** About 200 bytes each. */
const MAX_PAUSED_CALLERS = 20_000;

/** About names that mean nothing here, which a caller chooses. */
const RETRY_EVERY_MS = 60_000;

export interface ThrottledPrimaryOptions {
  readonly askPrimary: AskPrimary;
  readonly keys: CallerKeys;
  readonly outage: Pick<CircuitBreaker, "isAway">;
  readonly maxConcurrentQuestions: number;
  readonly log: Logger;
  readonly now: () => number;
}

/** A question's place in the queue of its process. */
interface PrimaryTurn {
  /** Owners take turns. */
  readonly owner: string;
  /** Goes before others: the caller could read a short time ago. */
  readonly isUrgent: boolean;
  readonly onTurn: () => void;
}

export class ThrottledPrimary {
  readonly #options: ThrottledPrimaryOptions;
  readonly #semaphore: PrioritySemaphore;
  readonly #retried: LRUCache<string, number>;
  readonly #pausedUntilMs = lruCache<number>(MAX_PAUSED_CALLERS);

  constructor(options: ThrottledPrimaryOptions) {
    this.#options = options;
    this.#retried = lruCache(MAX_PAUSED_CALLERS, { ttlMs: RETRY_EVERY_MS, now: options.now });
    this.#semaphore = new PrioritySemaphore(
      options.maxConcurrentQuestions,
      MAX_CONCURRENT_FACTOR * options.maxConcurrentQuestions,
    );
  }

  /** @returns The answer to give without asking; `undefined` if the primary may be asked. */
  async withoutAsking({ authorization }: ReadQuestion): Promise<PrimaryAnswer | undefined> {
    const { keys, outage, now } = this.#options;
    const pausedMs = (this.#pausedUntilMs.get(keys.callerKey(authorization)) ?? 0) - now();
    if (pausedMs > 0) {
      const retryAfterSeconds = Math.ceil(pausedMs / 1000);
      return { kind: "undecided", cause: "rate-limited", reason: "still paused", retryAfterSeconds };
    }
    return (await outage.isAway()) ? AWAY : undefined;
  }

  async ask(question: ReadQuestion, options: AskOptions, turn: PrimaryTurn): Promise<PrimaryAnswer> {
    const { signal } = options;
    const queuedAtMs = performance.now();
    const release = await this.#semaphore.take(signal, { ...turn, subject: question.repositoryPath });
    if (release === undefined) return BUSY;
    turn.onTurn();
    const turnAtMs = performance.now();
    try {
      // An outage may have begun while this question waited.
      const answer = (await this.withoutAsking(question)) ?? (await this.#ask(question, options));
      // If most of its time passed in the queue, its deadline says nothing about the primary.
      const isCut = signal.aborted && performance.now() - turnAtMs < turnAtMs - queuedAtMs;
      return isCut && answer.kind === "undecided" && answer.cause === "unreachable" ? BUSY : answer;
    } finally {
      release();
    }
  }

  #retryLimitOf(caller: string): RetryLimit {
    const take = (): boolean => {
      const mayRetry = !this.#retried.has(caller);
      if (mayRetry) this.#retried.set(caller, 1);
      return mayRetry;
    };
    return { noteRead: () => undefined, take };
  }

  async #ask(question: ReadQuestion, options: AskOptions): Promise<PrimaryAnswer> {
    const { askPrimary, keys, log, now } = this.#options;
    const isOfUnknownName = question.uuid === undefined && question.authorization !== undefined;
    const answer = await askPrimary(question, {
      ...options,
      ...(isOfUnknownName && { retryBudget: this.#retryLimitOf(keys.callerKey(question.authorization)) }),
    });
    if (answer.kind !== "undecided") return answer;
    const { cause, reason, retryAfterSeconds } = answer;
    log.warn("auth:undecided", { repo: question.repositoryPath, cause, reason, retryAfterSeconds });
    if (cause === "rate-limited") {
      this.#pausedUntilMs.set(keys.callerKey(question.authorization), now() + ratePauseMs(retryAfterSeconds));
    }
    return answer;
  }
}
