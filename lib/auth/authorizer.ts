/**
 * Decides who may read, by what the primary says: verdicts are remembered for a short time, and while the primary is away
 * the last yes counts for somewhat longer. Nothing of a credential is kept but an HMAC of it.
 */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { AskPrimary, ConfirmedRight, PrimaryAnswer, ReadQuestion, VerdictStore } from "./ports.ts";
import { RecentMap } from "./recent-map.ts";
import { StoredVerdicts } from "./stored-verdicts.ts";

export interface VerdictLimits {
  /** How long a yes counts. Taking a right away on the primary takes effect here after this time at the latest. */
  readonly freshMs: number;
  /** How long a no counts: a storm of refused requests costs one check, and a right that was given works at once. */
  readonly refusedMs: number;
  /** How long nothing is asked for after the primary could not be reached. */
  readonly undecidedMs: number;
  /** How long a yes counts while the primary is away; 0: not at all. */
  readonly staleMs: number;
  /** An entry takes some 500 bytes. */
  readonly maxRemembered: number;
}

export const DEFAULT_VERDICT_LIMITS: VerdictLimits = {
  freshMs: 60_000,
  refusedMs: 3_000,
  undecidedMs: 3_000,
  staleMs: 15 * 60_000,
  maxRemembered: 50_000,
};

/** Where a verdict comes from. */
type VerdictSource = "primary" | "memory" | "store";

export type Verdict =
  | {
      readonly kind: "allowed";
      readonly source: VerdictSource;
      /** Since the primary was asked. */
      readonly ageMs: number;
      /** The primary is away, and this is what it said before. */
      readonly isStale: boolean;
      readonly finalPath?: string;
      readonly callerName?: string;
    }
  | {
      readonly kind: "refused";
      readonly source: VerdictSource;
      readonly ageMs: number;
      readonly status: number;
      readonly hint?: string;
    }
  | {
      readonly kind: "undecided";
      readonly source: VerdictSource;
      readonly ageMs: number;
      readonly cause: "unreachable" | "rate-limited";
      readonly retryAfterSeconds: number;
    };

export interface AuthorizerOptions {
  readonly askPrimary: AskPrimary;
  readonly keys: CallerKeys;
  /** Shared by all processes of the mirror. */
  readonly store: VerdictStore;
  readonly log: Logger;
  readonly limits?: VerdictLimits;
  /** The clock; the processes of a mirror compare what they read from it. */
  readonly now?: () => number;
}

/** When the primary names no time: soon, as most outages are short. */
const DEFAULT_RETRY_AFTER_SECONDS = 10;
/** Bitbucket counts by the hour, so a longer pause is a mistake. */
const MAX_PAUSE_MS = 3_600_000;

interface Remembered {
  readonly answer: PrimaryAnswer;
  readonly askedAtMs: number;
  /** The last yes, also where the answer is none. */
  readonly right: ConfirmedRight | undefined;
}

export class Authorizer {
  readonly #askPrimary: AskPrimary;
  readonly #keys: CallerKeys;
  readonly #stored: StoredVerdicts;
  readonly #log: Logger;
  readonly #limits: VerdictLimits;
  readonly #now: () => number;
  readonly #remembered: RecentMap<Remembered>;
  /** Until when the primary wants no more questions of a caller. */
  readonly #pausedUntilMs: RecentMap<number>;
  readonly #inFlight = new Map<string, Promise<Verdict>>();

  constructor(options: AuthorizerOptions) {
    const { askPrimary, keys, store, log, limits = DEFAULT_VERDICT_LIMITS, now = Date.now } = options;
    this.#askPrimary = askPrimary;
    this.#keys = keys;
    this.#stored = new StoredVerdicts(store, limits.staleMs);
    this.#log = log;
    this.#limits = limits;
    this.#now = now;
    this.#remembered = new RecentMap(limits.maxRemembered);
    this.#pausedUntilMs = new RecentMap(limits.maxRemembered);
  }

  /** Identical questions that come together are asked once. Never rejects for what the primary or the store does. */
  async check(question: ReadQuestion): Promise<Verdict> {
    const key = this.#keys.questionKey(question);
    const known = this.#remembered.get(key);
    if (known !== undefined && this.#counts(known)) return this.#verdict(known, "memory");
    const underWay = this.#inFlight.get(key);
    if (underWay !== undefined) return underWay;
    const deciding = this.#decide(key, question, known?.right).finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, deciding);
    return deciding;
  }

  /** How a caller is called in logs. */
  loggedName(authorization: string | undefined): string {
    return this.#keys.loggedName(authorization);
  }

  #counts({ answer, askedAtMs }: Remembered): boolean {
    const { freshMs, refusedMs, undecidedMs } = this.#limits;
    const validMs = { allowed: freshMs, refused: refusedMs, undecided: undecidedMs }[answer.kind];
    return this.#now() < askedAtMs + validMs;
  }

  async #decide(key: string, question: ReadQuestion, known: ConfirmedRight | undefined): Promise<Verdict> {
    const stored = await this.#readStored(key);
    // Where the store was read and holds none, another process was told no since.
    const right = stored === "unread" ? known : stored;
    if (right !== undefined && this.#now() < right.askedAtMs + this.#limits.freshMs) {
      return this.#remember(
        key,
        { answer: { kind: "allowed", ...right }, askedAtMs: right.askedAtMs, right },
        "store",
      );
    }
    // The time before the question: a right that is taken away while it is answered must not count from the answer.
    const askedAtMs = this.#now();
    const answer = await this.#ask(question);
    if (answer.kind === "undecided") return this.#remember(key, { answer, askedAtMs, right }, "primary");
    if (answer.kind === "refused") {
      // Where the read failed there may be one all the same.
      if (stored !== undefined) await this.#quietly("forget", this.#stored.delete(key));
      return this.#remember(key, { answer, askedAtMs, right: undefined }, "primary");
    }
    const { kind: _, ...found } = answer;
    const confirmed = { askedAtMs, ...found };
    await this.#quietly("write", this.#stored.write(key, confirmed));
    return this.#remember(key, { answer, askedAtMs, right: confirmed }, "primary");
  }

  async #ask(question: ReadQuestion): Promise<PrimaryAnswer> {
    const callerKey = this.#keys.callerKey(question.authorization);
    const pausedMs = (this.#pausedUntilMs.get(callerKey) ?? 0) - this.#now();
    if (pausedMs > 0) {
      const retryAfterSeconds = Math.ceil(pausedMs / 1000);
      return { kind: "undecided", cause: "rate-limited", reason: "still paused", retryAfterSeconds };
    }
    const answer = await this.#askPrimary(question);
    if (answer.kind !== "undecided") return answer;
    const { cause, reason, retryAfterSeconds } = answer;
    this.#log.warn("auth:undecided", { repo: question.repositoryPath, cause, reason, retryAfterSeconds });
    if (cause === "rate-limited") {
      const pauseMs = (retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS) * 1000;
      this.#pausedUntilMs.set(callerKey, this.#now() + Math.min(pauseMs, MAX_PAUSE_MS));
    }
    return answer;
  }

  #remember(key: string, remembered: Remembered, source: VerdictSource): Verdict {
    this.#remembered.set(key, remembered);
    return this.#verdict(remembered, source);
  }

  #verdict({ answer, askedAtMs, right }: Remembered, source: VerdictSource): Verdict {
    const ageMs = this.#now() - askedAtMs;
    if (answer.kind === "allowed") return { ...answer, source, ageMs, isStale: false };
    if (answer.kind === "refused") return { ...answer, source, ageMs };
    if (right !== undefined && this.#now() < right.askedAtMs + this.#limits.staleMs) {
      const { askedAtMs: lastAskedAtMs, ...found } = right;
      return { kind: "allowed", source, ageMs: this.#now() - lastAskedAtMs, isStale: true, ...found };
    }
    const { cause, retryAfterSeconds = DEFAULT_RETRY_AFTER_SECONDS } = answer;
    return { kind: "undecided", source, ageMs, cause, retryAfterSeconds };
  }

  async #readStored(key: string): Promise<ConfirmedRight | "unread" | undefined> {
    const reading = this.#stored.read(key, this.#now()).then((right) => ({ right }));
    const read = await this.#quietly("read", reading);
    return read === undefined ? "unread" : read.right;
  }

  /** The primary decides; without the store's help it only decides more often. */
  async #quietly<Result>(action: string, work: Promise<Result>): Promise<Result | undefined> {
    try {
      return await work;
    } catch (error) {
      this.#log.error("auth:store-failed", { action, ...errorFields(error) });
      return undefined;
    }
  }
}
