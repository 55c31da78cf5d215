/**
 * Decides who may read, by asking the primary:
 *
 * 1. A verdict in memory that still counts is the answer; so is a question about the same thing that is under way.
 * 2. `SharedVerdicts` looks for a stored verdict, or lets one process ask for all.
 * 3. `ThrottledPrimary` asks, within limits. A 401 to a credential that the primary accepted within the last 15 minutes is
 *    asked once more before it is believed.
 * 4. If there is no answer within 2 s, or a failure, `OutageMonitor` judges whether the primary is away for everyone. Only then
 *    the last yes counts for a limited time, and the verdict says that it is stale.
 *
 * Of a credential only an HMAC is kept.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LRUCache } from "lru-cache";
import type { Logger } from "../log.ts";
import { boundedCache } from "./bounded-cache.ts";
import type { CallerKeys } from "./caller-keys.ts";
import { OutageMonitor } from "./outage-monitor.ts";
import type { AskPrimary, PrimaryAnswer, ProbePrimary, ReadQuestion, VerdictStore } from "./ports.ts";
import { RecentlyAcceptedCredentials } from "./recently-accepted-credentials.ts";
import type { WrongCredentials } from "./request-limits.ts";
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
  type VerdictLimits,
  type VerdictRecord,
} from "./verdict-record.ts";

export interface AuthorizerLimits extends VerdictLimits, SharingLimits {
  /** For one question. API Gateway gives an authorizer 29 s, and a former name takes two questions, one after the other. */
  readonly deadlineMs: number;
  /** How long a question waits for the primary before an outage is considered. */
  readonly judgeOutageAfterMs: number;
  /** At the primary, of one process: further ones wait. */
  readonly maxConcurrentQuestions: number;
  /** About 500 bytes each. */
  readonly maxRemembered: number;
}

export const DEFAULT_AUTHORIZER_LIMITS: AuthorizerLimits = {
  ...DEFAULT_VERDICT_LIMITS,
  ...DEFAULT_SHARING_LIMITS,
  deadlineMs: 13_000,
  judgeOutageAfterMs: 2_000,
  maxConcurrentQuestions: 64,
  maxRemembered: 50_000,
};

export interface AuthorizerOptions {
  readonly askPrimary: AskPrimary;
  readonly probePrimary: ProbePrimary;
  readonly keys: CallerKeys;
  /** Shared by all processes of the mirror. */
  readonly store: VerdictStore;
  readonly log: Logger;
  readonly wrongCredentials: WrongCredentials;
  readonly limits?: AuthorizerLimits;
  /** The clock. The processes of a mirror compare its values. */
  readonly now?: () => number;
}

const NO_ANSWER = { kind: "undecided", cause: "unreachable", reason: "no answer yet" } as const;

interface InFlight {
  readonly startedAtMs: number;
  readonly verdict: Promise<Verdict>;
}

export class Authorizer {
  readonly #primary: ThrottledPrimary;
  readonly #outage: OutageMonitor;
  readonly #recentlyAccepted: RecentlyAcceptedCredentials;
  readonly #shared: SharedVerdicts;
  readonly #keys: CallerKeys;
  readonly #wrongCredentials: WrongCredentials;
  readonly #limits: AuthorizerLimits;
  readonly #now: () => number;
  readonly #remembered: LRUCache<string, VerdictRecord>;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(options: AuthorizerOptions) {
    const { keys, store, log, limits = DEFAULT_AUTHORIZER_LIMITS, now = Date.now } = options;
    const stored = new StoredVerdicts(store);
    this.#outage = new OutageMonitor({ ...options, stored, key: keys.outageKey(), log, now });
    this.#primary = new ThrottledPrimary({ ...options, ...limits, outage: this.#outage, log, now });
    this.#recentlyAccepted = new RecentlyAcceptedCredentials({ stored, keys, log, now });
    this.#shared = new SharedVerdicts({ stored, log, verdictLimits: limits, limits, now });
    this.#keys = keys;
    this.#wrongCredentials = options.wrongCredentials;
    this.#limits = limits;
    this.#now = now;
    this.#remembered = boundedCache(limits.maxRemembered);
  }

  /** Never rejects because of the primary or the store. */
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
    // Lambda freezes a process between requests, maybe for hours: a question from before is outdated.
    const isCurrent = this.#now() < startedAtMs + this.#limits.deadlineMs;
    return isCurrent && verdict !== undefined ? verdict : this.#decide(key, question, known);
  }

  /** The caller's name in logs. */
  loggedName(authorization: string | undefined): string {
    return this.#keys.loggedName(authorization);
  }

  #decide(key: string, question: ReadQuestion, known: VerdictRecord | undefined): Promise<Verdict> {
    const { deadlineMs, judgeOutageAfterMs } = this.#limits;
    const signal = AbortSignal.timeout(deadlineMs);
    // At the same time as the verdict.
    void this.#outage.readLast();
    let last = known;
    let isSettled = false;
    const finding = this.#shared.find(key, {
      known,
      withoutAsking: (record) => {
        last = record;
        return this.#primary.withoutAsking(question);
      },
      ask: (record) => this.#ask(question, record, signal),
      signal,
    });
    const settled = finding
      .then((found) => {
        if (found.source !== "memory") this.#remembered.set(key, found.record);
        this.#noteGuess(question, found);
        return this.#verdict(found.record, found.source);
      })
      .finally(() => {
        isSettled = true;
        if (this.#inFlight.get(key) === inFlight) this.#inFlight.delete(key);
      });
    // The question stays under way, and its answer counts for the next caller.
    let hasJudged = false;
    const judged = sleep(judgeOutageAfterMs, undefined, { ref: false }).then(async () => {
      if (isSettled) return settled;
      hasJudged = true;
      const isOutage = await this.#outage.judge();
      return isOutage ? this.#verdict(recordOf(NO_ANSWER, this.#now(), last?.right), "store") : settled;
    });
    const verdict = Promise.race([settled, judged]).then(async (first) => {
      if (hasJudged) await this.#outage.idle();
      return first;
    });
    const inFlight = { startedAtMs: this.#now(), verdict };
    this.#inFlight.set(key, inFlight);
    return verdict;
  }

  async #ask(
    question: ReadQuestion,
    last: VerdictRecord | undefined,
    signal: AbortSignal,
  ): Promise<PrimaryAnswer> {
    const { authorization } = question;
    const answer = await this.#primary.ask(
      question,
      { signal, retriesUnauthorized: () => this.#retriesUnauthorized(authorization, last) },
      last?.right !== undefined,
    );
    // Needed later only, so not awaited.
    if (answer.kind === "allowed" && authorization !== undefined) {
      void this.#recentlyAccepted.note(authorization);
    }
    return answer;
  }

  async #retriesUnauthorized(
    authorization: string | undefined,
    last: VerdictRecord | undefined,
  ): Promise<boolean> {
    // Without a credential a 401 is the expected challenge; one that was confirmed before stays confirmed.
    if (authorization === undefined) return false;
    if (last?.answer.kind === "refused" && last.answer.status === 401) return false;
    return this.#recentlyAccepted.has(authorization);
  }

  /** Credentials known to be good are exempt: others behind the same address may send wrong ones. */
  async #guessWaitSeconds(
    key: string,
    { authorization, source }: ReadQuestion,
    known: VerdictRecord | undefined,
  ): Promise<number> {
    if (authorization === undefined || source === undefined) return 0;
    const waitSeconds = this.#wrongCredentials.waitSeconds(source);
    if (waitSeconds === 0 || known?.right !== undefined) return 0;
    if (await this.#recentlyAccepted.has(authorization)) return 0;
    return (await this.#shared.peek(key))?.record?.right === undefined ? waitSeconds : 0;
  }

  #noteGuess({ authorization, source }: ReadQuestion, { record, source: from }: FoundRecord): void {
    if (authorization === undefined || source === undefined || from !== "primary") return;
    const { answer } = record;
    if (answer.kind !== "refused" || answer.status !== 401) return;
    this.#wrongCredentials.note(source, this.loggedName(authorization));
  }

  async #verdict(record: VerdictRecord, source: VerdictSource): Promise<Verdict> {
    const { answer } = record;
    const isUnreachable = answer.kind === "undecided" && answer.cause === "unreachable";
    const isOutage = isUnreachable && (await this.#outage.judge());
    return verdictOf(record, source, this.#now(), this.#limits, isOutage);
  }
}
