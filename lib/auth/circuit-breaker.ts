/**
 * The circuit breaker before the primary: open while it is unavailable for everyone. Callers choose what their questions are about, so these never count as
 * evidence: they are only the occasion to ask the primary as the mirror itself, about repositories that no caller chose. All
 * processes share the result in the store for 10 s, so a process that has seen nothing yet can judge as well.
 */
import type { Logger } from "../log.ts";
import type { PrimaryAnswer, ProbePrimary } from "./ports.ts";
import { SharedVerdicts } from "./shared-verdicts.ts";
import type { StoredVerdicts } from "./stored-verdicts.ts";
import { countsUntilMs, type VerdictLimits, type VerdictRecord } from "./verdict-record.ts";

const COUNTS_MS = 10_000;
const VERDICT_LIMITS: VerdictLimits = {
  freshMs: COUNTS_MS,
  refusedMs: COUNTS_MS,
  undecidedMs: COUNTS_MS,
  staleMs: 0,
};
/** As long as a caller's question may take: a primary that answers within it is slow, not away. */
const PROBE_TIMEOUT_MS = 10_000;
/** Lambda freezes a process between requests. A probe that ends later than this after its timeout was frozen. */
const FROZEN_MARGIN_MS = 2_000;
/** A process that waits for another one's probe reads this often. */
const SHARING_LIMITS = { claimMs: PROBE_TIMEOUT_MS + 1_000, firstPollMs: 80, maxPollMs: 500 };
const DEADLINE_MS = PROBE_TIMEOUT_MS + 1_000;
/** After an outage was judged, the next question is asked only after another probe, for this time. */
const RECHECKED_FIRST_MS = 60_000;

export interface CircuitBreakerOptions {
  readonly probePrimary: ProbePrimary;
  readonly stored: StoredVerdicts;
  /** Of the judgement in the store. */
  readonly key: string;
  readonly log: Logger;
  readonly now: () => number;
}

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  readonly #shared: SharedVerdicts;
  #last: VerdictRecord | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading = Promise.resolve();
  #judging: Promise<boolean> | undefined;

  constructor(options: CircuitBreakerOptions) {
    const { stored, now } = options;
    this.#options = options;
    const limits = { verdictLimits: VERDICT_LIMITS, limits: SHARING_LIMITS };
    this.#shared = new SharedVerdicts({ stored, now, ...limits });
  }

  /** Before a question: reads the last judgement, and makes a new one only during an outage. Never rejects. */
  async isAway(): Promise<boolean> {
    await this.readLast();
    return this.#wasAwayLately() ? this.judge() : false;
  }

  /** Reads the last judgement from the store, once in 10 s: to be called early, while other reads are under way. Never rejects. */
  readLast(): Promise<void> {
    const { now } = this.#options;
    if (now() >= this.#readAtMs + COUNTS_MS) {
      this.#readAtMs = now();
      this.#reading = this.#readLast();
    }
    return this.#reading;
  }

  async #readLast(): Promise<void> {
    const { record } = (await this.#shared.peek(this.#options.key)) ?? {};
    if (record !== undefined && record.askedAtMs > (this.#last?.askedAtMs ?? 0)) this.#last = record;
  }

  /** After a question without an answer: the shared judgement, or a new one. Never rejects. */
  async judge(): Promise<boolean> {
    const last = this.#last;
    if (last !== undefined && this.#options.now() < countsUntilMs(last, VERDICT_LIMITS))
      return isOutage(last);
    // One caller waits for the new probe; the old judgement counts for the others meanwhile.
    if (this.#judging !== undefined && this.#wasAwayLately()) return true;
    this.#judging ??= this.#judge().finally(() => {
      this.#judging = undefined;
    });
    return this.#judging;
  }

  /**
   * Resolves when no probe of this process is under way: to be awaited before an answer leaves, as Lambda may freeze the process
   * then. Never rejects.
   */
  async idle(): Promise<void> {
    await this.#judging;
  }

  #wasAwayLately(): boolean {
    return this.#last !== undefined && this.#isAwayLately(this.#last);
  }

  #isAwayLately(judgement: VerdictRecord): boolean {
    return isOutage(judgement) && this.#options.now() < judgement.askedAtMs + RECHECKED_FIRST_MS;
  }

  async #judge(): Promise<boolean> {
    try {
      return await this.#findJudgement();
    } catch (error) {
      if (!(error instanceof FrozenProbeError)) throw error;
      return false; // nothing was learned
    }
  }

  async #findJudgement(): Promise<boolean> {
    const { key, log } = this.#options;
    const { record, source } = await this.#shared.find(key, {
      known: this.#last,
      // While another process probes again, its last judgement counts.
      withoutAsking: async (last, isClaimed) =>
        isClaimed && last !== undefined && this.#isAwayLately(last) ? AWAY : undefined,
      ask: () => this.#probe(),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    // Other processes had claims all the time: nothing was learned.
    if (source === "memory") return this.#wasAwayLately();
    const wasAway = this.#last !== undefined && isOutage(this.#last);
    if (record.askedAtMs >= (this.#last?.askedAtMs ?? 0)) this.#last = record;
    if (isOutage(record) && !wasAway) log.warn("auth:outage");
    if (!isOutage(record) && wasAway) log.info("auth:outage-over");
    return isOutage(record);
  }

  /** @throws {FrozenProbeError} */
  async #probe(): Promise<PrimaryAnswer> {
    const { probePrimary, now } = this.#options;
    const startedAtMs = now();
    const isUp = await probePrimary(AbortSignal.timeout(PROBE_TIMEOUT_MS));
    if (isUp) return { kind: "allowed" };
    const tookMs = now() - startedAtMs;
    if (tookMs > PROBE_TIMEOUT_MS + FROZEN_MARGIN_MS) throw new FrozenProbeError();
    // A judgement counts from its end: a silent primary uses up the whole timeout.
    return { ...AWAY, retryAfterSeconds: Math.ceil((tookMs + COUNTS_MS) / 1000) };
  }
}

/** The answer to questions that are not asked during an outage. */
export const AWAY = { kind: "undecided", cause: "unreachable", reason: "outage" } as const;

/** The process was frozen during a probe, so its timeout says nothing about the primary. */
class FrozenProbeError extends Error {}

function isOutage({ answer }: VerdictRecord): boolean {
  return answer.kind === "undecided";
}
