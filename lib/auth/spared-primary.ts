/** Asks the primary, but not for callers whom it has told to wait. */
import type { Logger } from "../log.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { AskingHow, AskPrimary, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import { RecentMap } from "./recent-map.ts";
import { DEFAULT_RETRY_AFTER_SECONDS, MAX_RATE_PAUSE_SECONDS } from "./verdict-record.ts";

/** Of some 200 bytes each. */
const MAX_PAUSED_CALLERS = 20_000;

export interface SparedPrimaryOptions {
  readonly askPrimary: AskPrimary;
  readonly keys: CallerKeys;
  readonly log: Logger;
  readonly now: () => number;
}

export class SparedPrimary {
  readonly #options: SparedPrimaryOptions;
  readonly #pausedUntilMs = new RecentMap<number>(MAX_PAUSED_CALLERS);

  constructor(options: SparedPrimaryOptions) {
    this.#options = options;
  }

  /** What is said without asking; `undefined` if the primary may be asked. */
  standIn({ authorization }: ReadQuestion): PrimaryAnswer | undefined {
    const { keys, now } = this.#options;
    const pausedMs = (this.#pausedUntilMs.get(keys.callerKey(authorization)) ?? 0) - now();
    if (pausedMs <= 0) return undefined;
    const retryAfterSeconds = Math.ceil(pausedMs / 1000);
    return { kind: "undecided", cause: "rate-limited", reason: "still paused", retryAfterSeconds };
  }

  async ask(question: ReadQuestion, how: AskingHow): Promise<PrimaryAnswer> {
    const standIn = this.standIn(question);
    if (standIn !== undefined) return standIn;
    const { askPrimary, keys, log, now } = this.#options;
    const answer = await askPrimary(question, how);
    if (answer.kind !== "undecided") return answer;
    const { cause, reason, retryAfterSeconds } = answer;
    log.warn("auth:undecided", { repo: question.repositoryPath, cause, reason, retryAfterSeconds });
    if (cause === "rate-limited") {
      const pauseSeconds = Math.min(retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS, MAX_RATE_PAUSE_SECONDS);
      this.#pausedUntilMs.set(keys.callerKey(question.authorization), now() + pauseSeconds * 1000);
    }
    return answer;
  }
}
