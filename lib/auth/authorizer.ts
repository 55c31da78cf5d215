/**
 * Decides who may read, by asking the primary:
 *
 * 1. A verdict in memory that still counts is the answer; so is a question about the same thing that is under way.
 * 2. `SharedVerdicts` looks for a stored verdict, or lets one process ask for all.
 * 3. `ThrottledPrimary` asks, within limits. A 401 to a credential that the primary accepted within the last 15 minutes is
 *    asked once more before it is believed.
 * 4. If there is no answer within 2 s, or a failure, `CircuitBreaker` judges whether the primary is away for everyone. Only then
 *    the last yes counts for a limited time, and the verdict says that it is stale.
 *
 * Of a credential only an HMAC is kept.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LRUCache } from "lru-cache";
import type { Logger } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import { accountOf, type CallerKeys } from "./caller-keys.ts";
import { CallerStandings, DEFAULT_QUESTION_LIMITS } from "./caller-standings.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import type { AskPrimary, PrimaryAnswer, ProbePrimary, ReadQuestion, VerdictStore } from "./ports.ts";
import { KeyedSemaphores, MAX_CONCURRENT_FACTOR, PrioritySemaphore } from "./priority-semaphore.ts";
import { QuestionTurn } from "./question-turn.ts";
import type { WrongCredentials } from "./request-limits.ts";
import { DEFAULT_SHARING_LIMITS, type FoundRecord, SharedVerdicts } from "./shared-verdicts.ts";
import { StoredVerdicts } from "./stored-verdicts.ts";
import { ThrottledPrimary } from "./throttled-primary.ts";
import { type Verdict, type VerdictSource, verdictOf } from "./verdict.ts";
import { countsUntilMs, DEFAULT_VERDICT_LIMITS, recordOf, type VerdictRecord } from "./verdict-record.ts";

export type AuthorizerLimits = Readonly<typeof DEFAULT_AUTHORIZER_LIMITS>;

/** New questions at a time of a good credential at first; each yes adds one, and each that is not answered takes one away. */
const FIRST_OF_ACCEPTED = 4;

/** A 403 or 404, where the credential was refused often; else `refusedMs`. */
const REFUSAL_STANDS_MS = 60_000;

export const DEFAULT_AUTHORIZER_LIMITS = {
  ...DEFAULT_VERDICT_LIMITS,
  ...DEFAULT_SHARING_LIMITS,
  ...DEFAULT_QUESTION_LIMITS,
  /** For one question. API Gateway gives an authorizer 29 s, and a former name takes two questions, one after the other. */
  deadlineMs: 13_000,
  /** How long the primary takes for a question before an outage is considered. */
  judgeOutageAfterMs: 2_000,
  /**
   * At the primary, of one process: further ones wait, and callers take turns. While questions hang, a caller with none of them and
   * fewer than two others waits for none of them: up to four times as many.
   */
  maxConcurrentQuestions: 64,
  /** Of a credential that the primary has not accepted lately: further ones wait, and do not read the store meanwhile. */
  maxConcurrentQuestionsOfUnknown: 8,
  /** Of all such credentials, of one process: addresses take turns, before claims and reservations are written. */
  maxConcurrentQuestionsOfAllUnknown: 32,
  /** About 500 bytes each. */
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

function limited(cause: "guessing" | "refused-often", retryAfterSeconds: number): Verdict {
  return { kind: "undecided", source: "memory", ageMs: 0, cause, retryAfterSeconds };
}

interface AskContext {
  /** The last one. */
  readonly record: VerdictRecord | undefined;
  readonly signal: AbortSignal;
  readonly turn: QuestionTurn;
}

interface InFlight {
  readonly startedAtMs: number;
  readonly verdict: Promise<Verdict>;
}

export class Authorizer {
  readonly #primary: ThrottledPrimary;
  readonly #outage: CircuitBreaker;
  readonly #callers: CallerStandings;
  readonly #turns: KeyedSemaphores;
  readonly #acceptedTurns: KeyedSemaphores;
  readonly #allTurns: PrioritySemaphore;
  readonly #shared: SharedVerdicts;
  readonly #keys: CallerKeys;
  readonly #wrongCredentials: WrongCredentials;
  readonly #limits: AuthorizerLimits;
  readonly #now: () => number;
  readonly #remembered: LRUCache<string, VerdictRecord>;
  readonly #inFlight = new Map<string, InFlight>();

  constructor(options: AuthorizerOptions) {
    const { keys, store, log, limits = DEFAULT_AUTHORIZER_LIMITS, now = Date.now } = options;
    const stored = new StoredVerdicts(store, log);
    this.#outage = new CircuitBreaker({ ...options, stored, key: keys.outageKey(), log, now });
    this.#primary = new ThrottledPrimary({ ...options, ...limits, outage: this.#outage, log, now });
    this.#callers = new CallerStandings({ stored, keys, limits, now });
    this.#turns = new KeyedSemaphores(limits.maxConcurrentQuestionsOfUnknown);
    this.#acceptedTurns = new KeyedSemaphores(FIRST_OF_ACCEPTED, limits.maxConcurrentQuestions);
    const { maxConcurrentQuestionsOfAllUnknown: maxUnknown } = limits;
    this.#allTurns = new PrioritySemaphore(maxUnknown, MAX_CONCURRENT_FACTOR * maxUnknown);
    this.#shared = new SharedVerdicts({ stored, verdictLimits: limits, limits, now });
    this.#keys = keys;
    this.#wrongCredentials = options.wrongCredentials;
    this.#limits = limits;
    this.#now = now;
    this.#remembered = lruCache(limits.maxRemembered);
  }

  /** Never rejects because of the primary or the store. */
  async check(question: ReadQuestion): Promise<Verdict> {
    const key = this.#keys.questionKey(question);
    const known = this.#remembered.get(key);
    if (known !== undefined && this.#now() < countsUntilMs(known, this.#limits)) {
      return this.#verdict(known, "memory");
    }
    const begun = await this.#waitBehindGuesses(key, question, known);
    if (typeof begun === "number") return limited("guessing", begun);
    const { startedAtMs = 0, verdict } = this.#inFlight.get(key) ?? {};
    // Lambda freezes a process between requests, maybe for hours: a question from before is outdated.
    const isCurrent = this.#now() < startedAtMs + this.#limits.deadlineMs;
    if (!isCurrent || verdict === undefined) return this.#decide(key, question, known, begun);
    begun?.();
    return verdict;
  }

  /** Whether the primary has accepted the caller, as far as this process remembers. */
  isKnown(question: ReadQuestion): boolean {
    const { authorization } = question;
    if (this.#remembered.get(this.#keys.questionKey(question))?.right !== undefined) return true;
    return authorization !== undefined && this.#callers.isKnownAccepted(authorization);
  }

  /** The caller's name in logs. */
  loggedName(authorization: string | undefined): string {
    return this.#keys.loggedName(authorization);
  }

  /** @param onSettled - Called when the answer is noted, which may be later than the verdict. */
  #decide(
    key: string,
    question: ReadQuestion,
    known: VerdictRecord | undefined,
    onSettled: (() => void) | undefined,
  ): Promise<Verdict> {
    const { deadlineMs, judgeOutageAfterMs } = this.#limits;
    const signal = AbortSignal.timeout(deadlineMs);
    // At the same time as the verdict.
    void this.#outage.readLast();
    if (question.authorization !== undefined) this.#callers.readAhead(question.authorization);
    let last = known;
    let isSettled = false;
    const turn = new QuestionTurn(question, {
      ...{ callers: this.#callers, keys: this.#keys, turns: this.#turns, allTurns: this.#allTurns },
      acceptedTurns: this.#acceptedTurns,
    });
    const finding = this.#shared.find(key, {
      known,
      formerKeys: this.#keys.former.map((keys) => keys.questionKey(question)),
      withoutAsking: async (record, isClaimed) => {
        last = record;
        const answer = await this.#primary.withoutAsking(question);
        if (answer !== undefined || isClaimed) return answer;
        const hasRight = record?.right !== undefined;
        return turn.begin({ hasRight, wasRefused: this.#wasRefusedLately(record) }, signal);
      },
      ask: async (record) => turn.noteAnswer(await this.#ask(question, { record, signal, turn })),
      signal,
    });
    const settled = finding
      .then(async (found) => {
        if (found.source !== "memory") this.#remembered.set(key, found.record);
        this.#noteGuess(question, found);
        await turn.end();
        if (turn.limitedSeconds > 0) return limited("refused-often", turn.limitedSeconds);
        return this.#verdict(found.record, found.source);
      })
      .catch(async (error: unknown) => {
        await turn.end();
        throw error;
      })
      .finally(() => {
        isSettled = true;
        turn.leaveTurns();
        onSettled?.();
        if (this.#inFlight.get(key) === inFlight) this.#inFlight.delete(key);
      });
    // The question stays under way, and its answer counts for the next caller.
    let hasJudged = false;
    const judge = async (): Promise<Verdict> => {
      for (;;) {
        const startedAtMs = turn.startedAtMs ?? performance.now();
        const leftMs = startedAtMs + judgeOutageAfterMs - performance.now();
        if (leftMs > 0) await sleep(leftMs, undefined, { ref: false });
        if (isSettled) return settled;
        if (turn.startedAtMs !== undefined && turn.startedAtMs > startedAtMs) continue;
        hasJudged = true;
        const isQueued = turn.startedAtMs === undefined;
        // A question that waits here is no reason to probe; those under way may have found an outage.
        if (isQueued) await this.#outage.idle();
        if (await (isQueued ? this.#outage.isAway() : this.#outage.judge())) {
          return this.#verdict(recordOf(NO_ANSWER, this.#now(), last?.right), "store");
        }
        if (!isQueued) return settled;
      }
    };
    const verdict = Promise.race([settled, judge()]).then(async (first) => {
      if (hasJudged) await this.#outage.idle();
      return first;
    });
    const inFlight = { startedAtMs: this.#now(), verdict };
    this.#inFlight.set(key, inFlight);
    return verdict;
  }

  #wasRefusedLately(record: VerdictRecord | undefined): boolean {
    if (record?.answer.kind !== "refused" || ![403, 404].includes(record.answer.status)) return false;
    return this.#now() < record.askedAtMs + REFUSAL_STANDS_MS;
  }

  async #ask(question: ReadQuestion, { record, signal, turn }: AskContext): Promise<PrimaryAnswer> {
    const { authorization, source = "" } = question;
    const retriesUnauthorized = () => this.#retriesUnauthorized(authorization, record);
    const isUrgent = record?.right !== undefined;
    // Credentials that are not known share the turn of their address: many of them get no more.
    const isKnown =
      isUrgent || (authorization !== undefined && (await this.#callers.isAccepted(authorization)));
    const owner = isKnown ? this.#keys.callerKey(authorization) : source;
    turn.startedAtMs = undefined;
    return this.#primary.ask(
      question,
      { signal, retriesUnauthorized },
      { owner, isUrgent, onTurn: () => turn.start() },
    );
  }

  async #retriesUnauthorized(
    authorization: string | undefined,
    last: VerdictRecord | undefined,
  ): Promise<boolean> {
    // Without a credential a 401 is the expected challenge; one that was confirmed before stays confirmed.
    if (authorization === undefined) return false;
    if (last?.answer.kind === "refused" && last.answer.status === 401) return false;
    return this.#callers.isAccepted(authorization);
  }

  /**
   * Credentials known to be good are exempt: others behind the same address may send wrong ones.
   * @returns After how many seconds the caller may try again; else what to call when the answer is noted, if it is to count.
   */
  async #waitBehindGuesses(
    key: string,
    { authorization, source }: ReadQuestion,
    known: VerdictRecord | undefined,
  ): Promise<number | (() => void) | undefined> {
    if (authorization === undefined || source === undefined || known?.right !== undefined) return undefined;
    const caller = this.loggedName(authorization);
    if (this.#wrongCredentials.isOverLimit(source, caller)) {
      if (await this.#callers.isNoGuess(authorization)) return undefined;
      if ((await this.#shared.peek(key))?.record?.right !== undefined) return undefined;
      const waitSeconds = await this.#wrongCredentials.takeTurn(source, caller, accountOf(authorization));
      if (waitSeconds > 0) return waitSeconds;
    }
    return this.#wrongCredentials.begin(source, caller);
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
