import type { CallerKeys } from "./caller-keys.ts";
import type { CallerStandings } from "./caller-standings.ts";
import { AWAY } from "./circuit-breaker.ts";
import type { PrimaryAnswer, ReadQuestion } from "./ports.ts";
import type { KeyedSemaphores, LeaveSemaphore, PrioritySemaphore } from "./priority-semaphore.ts";
import type { WithoutAsking } from "./shared-verdicts.ts";
import { BUSY } from "./verdict-record.ts";

interface TurnOptions {
  readonly callers: CallerStandings;
  /** By credential. */
  readonly turns: KeyedSemaphores;
  /** By credential, of those that are known to be good: the more questions are answered, the more are asked at a time. */
  readonly acceptedTurns: KeyedSemaphores;
  /** Of all credentials that are not known to be good; addresses take turns. */
  readonly allTurns: PrioritySemaphore;
  readonly keys: CallerKeys;
}

/** One question on its way to the primary, within the limits of its caller. Without a credential there are none here. */
export class QuestionTurn {
  readonly #question: ReadQuestion;
  readonly #options: TurnOptions;
  #leave: (() => void) | undefined;
  #leaveAccepted: LeaveSemaphore | undefined;
  #answer: PrimaryAnswer | undefined;
  #isReserved = false;
  #settling: Promise<void> | undefined;
  /** After how many seconds the caller may ask again. */
  limitedSeconds = 0;

  /** By `performance.now`, since when nothing of this process delays it; `undefined`: it is queued. */
  startedAtMs: number | undefined = performance.now();

  constructor(question: ReadQuestion, options: TurnOptions) {
    this.#question = question;
    this.#options = options;
  }

  /**
   * @param last - The last answers to this very question. After a yes it may always be asked.
   * @returns As `SharedQuestion.withoutAsking`.
   */
  async begin(
    last: { readonly hasRight: boolean; readonly wasRefused: boolean },
    signal: AbortSignal,
  ): Promise<WithoutAsking> {
    const { callers } = this.#options;
    const { authorization } = this.#question;
    if (authorization === undefined || this.#isReserved || last.hasRight) return undefined;
    if (!(await callers.isAccepted(authorization))) {
      this.startedAtMs = undefined;
      this.#leave ??= await this.#takeTurns(authorization, signal);
      this.start();
      if (this.#leave === undefined) return BUSY;
    }
    // It may have been accepted meanwhile: then the rest waits no longer.
    if (await callers.isAccepted(authorization)) this.#leaveTurn();
    if (!(await this.#takeAcceptedTurn(authorization, signal))) return BUSY;
    const admission = await callers.admit(authorization, last.wasRefused);
    if (admission === "stands") return "stands";
    if (admission === "wait") return signal.aborted ? BUSY : "wait";
    this.#isReserved = admission === "ask";
    if (admission === "ask") return undefined;
    this.limitedSeconds = admission.retryAfterSeconds;
    return BUSY;
  }

  async #takeAcceptedTurn(authorization: string, signal: AbortSignal): Promise<boolean> {
    const { acceptedTurns, keys } = this.#options;
    if (this.#leaveAccepted !== undefined) return true;
    this.startedAtMs = undefined;
    this.#leaveAccepted = await acceptedTurns.take(keys.callerKey(authorization), signal);
    this.start();
    return this.#leaveAccepted !== undefined;
  }

  start(): void {
    this.startedAtMs = performance.now();
  }

  noteAnswer(answer: PrimaryAnswer): PrimaryAnswer {
    this.#answer = answer;
    this.#settle(answer);
    return answer;
  }

  /** Resolves when everything is noted: Lambda may freeze the process afterwards. */
  async end(): Promise<void> {
    if (this.#isReserved) this.#settle(undefined);
    // The next one is to find it counted.
    if (this.#answer?.kind === "undecided") await this.#settling;
    this.leaveTurns();
    await this.#settling;
  }

  async #takeTurns(authorization: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    const { turns, allTurns, keys } = this.#options;
    const leave = await turns.take(keys.callerKey(authorization), signal);
    if (leave === undefined) return undefined;
    const { source = "", repositoryPath } = this.#question;
    const release = await allTurns.take(signal, { owner: source, subject: repositoryPath });
    if (release === undefined) {
      leave();
      return undefined;
    }
    return () => {
      release();
      leave();
    };
  }

  /** May be called more than once. */
  leaveTurns(): void {
    this.#leaveTurn();
    const kind = this.#answer?.kind ?? "undecided";
    this.#leaveAccepted?.(kind === "allowed" ? "grow" : kind === "undecided" ? "shrink" : undefined);
    this.#leaveAccepted = undefined;
  }

  #leaveTurn(): void {
    this.#leave?.();
    this.#leave = undefined;
  }

  #settle(answer: PrimaryAnswer | undefined): void {
    const { authorization } = this.#question;
    if (authorization === undefined || this.#settling !== undefined) return;
    const isUnanswered =
      answer?.kind === "undecided" && answer.cause === "unreachable" && answer.reason !== AWAY.reason;
    // A name that means nothing here is the caller's choice.
    const noted = isUnanswered && this.#question.uuid === undefined ? "unanswered" : answer;
    this.#settling = this.#options.callers.settle(authorization, noted, this.#isReserved);
  }
}
