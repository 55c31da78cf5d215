/** Asks the primary, but not for callers whom it has told to wait, not while it is away, and not too much at once. */
import type { Logger } from "../log.ts";
import type { CallerKeys } from "./caller-keys.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import type { AskingHow, AskPrimary, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import { PrioritySemaphore } from "./priority-semaphore.ts";
import { RecentMap } from "./recent-map.ts";
import { ratePauseMs } from "./verdict-record.ts";

/** Of some 200 bytes each. */
const MAX_PAUSED_CALLERS = 20_000;

export interface ThrottledPrimaryOptions {
  readonly askPrimary: AskPrimary;
  readonly keys: CallerKeys;
  readonly maxConcurrentQuestions: number;
  readonly log: Logger;
  readonly now: () => number;
}

export class ThrottledPrimary {
  readonly #options: ThrottledPrimaryOptions;
  readonly #breaker: CircuitBreaker;
  readonly #semaphore: PrioritySemaphore;
  readonly #pausedUntilMs = new RecentMap<number>(MAX_PAUSED_CALLERS);

  constructor(options: ThrottledPrimaryOptions) {
    this.#options = options;
    this.#breaker = new CircuitBreaker(options);
    this.#semaphore = new PrioritySemaphore(options.maxConcurrentQuestions);
  }

  /** What is said without asking; `undefined` if the primary may be asked. */
  standIn({ authorization }: ReadQuestion): PrimaryAnswer | undefined {
    const { keys, now } = this.#options;
    const pausedMs = (this.#pausedUntilMs.get(keys.callerKey(authorization)) ?? 0) - now();
    if (pausedMs > 0) {
      const retryAfterSeconds = Math.ceil(pausedMs / 1000);
      return { kind: "undecided", cause: "rate-limited", reason: "still paused", retryAfterSeconds };
    }
    const retryAfterSeconds = this.#breaker.waitSeconds();
    if (retryAfterSeconds === 0) return undefined;
    return { kind: "undecided", cause: "unreachable", reason: "still away", retryAfterSeconds };
  }

  /**
   * @param hadRight - Then the last yes may count if there is no answer in time: nobody is to bring that about by a line of
   *   other questions.
   */
  async ask(question: ReadQuestion, how: AskingHow, hadRight: boolean): Promise<PrimaryAnswer> {
    if (!(await this.#semaphore.take(how.signal, hadRight))) {
      return { kind: "undecided", cause: "unreachable", reason: "too many questions at once" };
    }
    try {
      // It may have gone away while others were asking.
      return this.standIn(question) ?? (await this.#ask(question, how));
    } finally {
      this.#semaphore.release();
    }
  }

  async #ask(question: ReadQuestion, how: AskingHow): Promise<PrimaryAnswer> {
    const { askPrimary, keys, log, now } = this.#options;
    const answer = await this.#breaker.watch(() => askPrimary(question, how));
    if (answer.kind !== "undecided") return answer;
    const { cause, reason, retryAfterSeconds } = answer;
    log.warn("auth:undecided", { repo: question.repositoryPath, cause, reason, retryAfterSeconds });
    if (cause === "rate-limited") {
      this.#pausedUntilMs.set(keys.callerKey(question.authorization), now() + ratePauseMs(retryAfterSeconds));
    }
    return answer;
  }
}
