/**
 * Detects an outage of the primary, so that callers need not wait for its timeout one by one: for some seconds nothing is
 * asked, then one question at a time until there is an answer.
 */
import type { Logger } from "../log.ts";
import type { PrimaryAnswer } from "./ports.ts";
import { MAX_OUTAGE_PAUSE_SECONDS } from "./verdict-record.ts";

/** Without Retry-After. */
const PAUSE_SECONDS = 5;
/** For callers that come while one question is under way. */
const PROBE_SECONDS = 1;
/** A single connection may break by chance. */
const LIKELY_IS_CERTAIN_AFTER = 2;

export class CircuitBreaker {
  readonly #log: Logger;
  readonly #now: () => number;
  /** Signs of an outage since the last answer. */
  #signs = 0;
  /** `undefined`: no outage. */
  #pausedUntilMs: number | undefined;
  #isProbed = false;

  constructor({ log, now }: { readonly log: Logger; readonly now: () => number }) {
    this.#log = log;
    this.#now = now;
  }

  /** @returns 0 if the primary may be asked, else after how many seconds to retry. */
  waitSeconds(): number {
    if (this.#pausedUntilMs === undefined) return 0;
    const leftMs = this.#pausedUntilMs - this.#now();
    if (leftMs > 0) return Math.ceil(leftMs / 1000);
    return this.#isProbed ? PROBE_SECONDS : 0;
  }

  /** Asks one question, and notes the answer. */
  async watch(ask: () => Promise<PrimaryAnswer>): Promise<PrimaryAnswer> {
    const isProbe = this.#pausedUntilMs !== undefined;
    if (isProbe) this.#isProbed = true;
    try {
      const answer = await ask();
      this.#note(answer);
      return answer;
    } finally {
      if (isProbe) this.#isProbed = false;
    }
  }

  #note(answer: PrimaryAnswer): void {
    if (answer.kind !== "undecided" || answer.cause === "rate-limited") {
      this.#over();
    } else if (answer.outage !== undefined) {
      this.#sign(answer);
    }
  }

  #sign(answer: Extract<PrimaryAnswer, { kind: "undecided" }>): void {
    this.#signs = answer.outage === "certain" ? LIKELY_IS_CERTAIN_AFTER : this.#signs + 1;
    if (this.#signs < LIKELY_IS_CERTAIN_AFTER) return;
    const asked = answer.retryAfterSeconds ?? PAUSE_SECONDS;
    const pauseSeconds = Math.min(Math.max(asked, 1), MAX_OUTAGE_PAUSE_SECONDS);
    if (this.#pausedUntilMs === undefined) {
      this.#log.warn("auth:outage", { reason: answer.reason, pauseSeconds });
    }
    this.#pausedUntilMs = this.#now() + pauseSeconds * 1000;
  }

  #over(): void {
    if (this.#pausedUntilMs !== undefined) this.#log.info("auth:outage-over");
    this.#signs = 0;
    this.#pausedUntilMs = undefined;
  }
}
