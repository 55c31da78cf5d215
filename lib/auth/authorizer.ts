/**
 * Decides who may read, by what the primary says: verdicts are remembered for a short time, and while the primary is away
 * the last yes counts for somewhat longer. Nothing of a credential is kept but an HMAC of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../log.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { AskPrimary, ReadQuestion, VerdictStore } from "./ports.ts";
import { RecentMap } from "./recent-map.ts";
import { RecentlyAcceptedCredentials } from "./recently-accepted-credentials.ts";
import { askRetryingUnauthorized, type RetryUnauthorizedOptions } from "./retry-unauthorized.ts";
import {
  DEFAULT_SHARING_LIMITS,
  type FoundRecord,
  SharedVerdicts,
  type SharingLimits,
} from "./shared-verdicts.ts";
import { StoredVerdicts } from "./stored-verdicts.ts";
import { ThrottledPrimary } from "./throttled-primary.ts";
import { type Verdict, type VerdictSource, verdictOf } from "./verdict.ts";
import {
  countsUntilMs,
  DEFAULT_VERDICT_LIMITS,
  recordOf,
  staleRight,
  type VerdictLimits,
  type VerdictRecord,
} from "./verdict-record.ts";
import type { WrongCredentials } from "./wrong-credentials.ts";

export interface AuthorizerLimits extends VerdictLimits, SharingLimits {
  /** For one decision, all in all. API Gateway gives an authorizer 29 s, and of a former name two are needed, one after the other. */
  readonly deadlineMs: number;
  /** How long a caller who may be served by the last yes waits for the primary. */
  readonly patienceMs: number;
  /** At the primary, of one process: the rest wait in line. */
  readonly maxConcurrentQuestions: number;
  /** An entry takes some 500 bytes. */
  readonly maxRemembered: number;
}

export const DEFAULT_AUTHORIZER_LIMITS: AuthorizerLimits = {
  ...DEFAULT_VERDICT_LIMITS,
  ...DEFAULT_SHARING_LIMITS,
  deadlineMs: 13_000,
  patienceMs: 2_000,
  maxConcurrentQuestions: 64,
  maxRemembered: 50_000,
};

export interface AuthorizerOptions {
  readonly askPrimary: AskPrimary;
  readonly keys: CallerKeys;
  /** Shared by all processes of the mirror. */
  readonly store: VerdictStore;
  readonly log: Logger;
  readonly wrongCredentials: WrongCredentials;
  readonly limits?: AuthorizerLimits;
  /** The clock; the processes of a mirror compare what they read from it. */
  readonly now?: () => number;
}

interface InFlight {
  readonly startedAtMs: number;
  readonly verdict: Promise<Verdict>;
}

export class Authorizer {
  readonly #asking: RetryUnauthorizedOptions;
  readonly #shared: SharedVerdicts;
  readonly #keys: CallerKeys;
  readonly #wrongCredentials: WrongCredentials;
  readonly #limits: AuthorizerLimits;
  readonly #now: () => number;
  readonly #remembered: RecentMap<VerdictRecord>;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(options: AuthorizerOptions) {
    const { keys, store, log, limits = DEFAULT_AUTHORIZER_LIMITS, now = Date.now } = options;
    const stored = new StoredVerdicts(store);
    this.#asking = {
      primary: new ThrottledPrimary({ ...options, ...limits, log, now }),
      recentlyAccepted: new RecentlyAcceptedCredentials({ stored, keys, log, now }),
      limits,
      now,
    };
    this.#shared = new SharedVerdicts({ stored, log, verdictLimits: limits, limits, now });
    this.#keys = keys;
    this.#wrongCredentials = options.wrongCredentials;
    this.#limits = limits;
    this.#now = now;
    this.#remembered = new RecentMap(limits.maxRemembered);
  }

  /** Identical questions that come together are asked once. Never rejects for what the primary or the store does. */
  async check(question: ReadQuestion): Promise<Verdict> {
    const key = this.#keys.questionKey(question);
    const known = this.#remembered.get(key);
    if (known !== undefined && this.#now() < countsUntilMs(known, this.#limits)) {
      return this.#verdict(known, "memory");
    }
    const retryAfterSeconds = await this.#guessWaitSeconds(key, question, known);
    if (retryAfterSeconds > 0) {
      return { kind: "undecided", source: "memory", ageMs: 0, cause: "guessing", retryAfterSeconds };
    }
    const { startedAtMs = 0, verdict } = this.#inFlight.get(key) ?? {};
    // Lambda stops a process between requests, for hours: then what was on its way is long past.
    const isCurrent = this.#now() < startedAtMs + this.#limits.deadlineMs;
    return isCurrent && verdict !== undefined ? verdict : this.#decide(key, question, known);
  }

  /** How a caller is called in logs. */
  loggedName(authorization: string | undefined): string {
    return this.#keys.loggedName(authorization);
  }

  #decide(key: string, question: ReadQuestion, known: VerdictRecord | undefined): Promise<Verdict> {
    const { deadlineMs, patienceMs } = this.#limits;
    const signal = AbortSignal.timeout(deadlineMs);
    let before: VerdictRecord | undefined;
    let isDoubted = false;
    const onDoubt = (): void => {
      isDoubted = true;
    };
    const finding = this.#shared.find(key, {
      known,
      onRead: (record) => {
        before = record;
      },
      standIn: () => this.#asking.primary.standIn(question),
      ask: (before, tellOthers) => {
        const doubt = (): void => {
          onDoubt();
          tellOthers();
        };
        return askRetryingUnauthorized(question, before, { signal, onDoubt: doubt }, this.#asking);
      },
      onDoubtElsewhere: onDoubt,
      signal,
    });
    const settled = finding
      .then((found) => {
        this.#remembered.set(key, found.record);
        this.#noteGuess(question, found);
        return this.#verdict(found.record, found.source);
      })
      .finally(() => {
        if (this.#inFlight.get(key) === inFlight) this.#inFlight.delete(key);
      });
    // The question goes on; whoever comes meanwhile is told the same. What the primary doubts does not count meanwhile.
    const impatient = sleep(patienceMs, undefined, { ref: false }).then(
      () => (isDoubted ? undefined : this.#staleVerdict(before)) ?? settled,
    );
    const inFlight = { startedAtMs: this.#now(), verdict: Promise.race([settled, impatient]) };
    this.#inFlight.set(key, inFlight);
    return inFlight.verdict;
  }

  /** Callers behind the same address who could read before are known by that, and not kept waiting. */
  async #guessWaitSeconds(
    key: string,
    { authorization, source }: ReadQuestion,
    known: VerdictRecord | undefined,
  ): Promise<number> {
    if (authorization === undefined || source === undefined) return 0;
    const waitSeconds = this.#wrongCredentials.waitSeconds(source);
    if (waitSeconds === 0 || known?.right !== undefined) return 0;
    return (await this.#shared.hasRight(key)) ? 0 : waitSeconds;
  }

  #noteGuess({ authorization, source }: ReadQuestion, { record, source: from }: FoundRecord): void {
    if (authorization === undefined || source === undefined || from !== "primary") return;
    const { answer } = record;
    if (answer.kind !== "refused" || answer.status !== 401) return;
    this.#wrongCredentials.note(source, this.loggedName(authorization));
  }

  #staleVerdict(before: VerdictRecord | undefined): Verdict | undefined {
    const waiting = { kind: "undecided", cause: "unreachable", reason: "no answer yet" } as const;
    const record = recordOf(waiting, this.#now(), before?.right, this.#limits);
    return staleRight(record, this.#now(), this.#limits) && this.#verdict(record, "store");
  }

  #verdict(record: VerdictRecord, source: VerdictSource): Verdict {
    return verdictOf(record, source, this.#now(), this.#limits);
  }
}
