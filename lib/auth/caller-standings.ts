/**
 * How each credential has fared at the primary, as `auth/<caller key>`, for all processes of the mirror:
 *
 * - When the primary last accepted it, for any repository. Bitbucket sometimes answers 401 to a valid token when several jobs
 *   start together (BCLOUD-24107), often for a repository that the token was not used for yet.
 * - How many questions it asked within a minute, and how many were refused. A credential that was not accepted lately
 *   reserves each question before it is asked, by compare-and-swap: so a thousand processes ask five questions at most. One that
 *   was reserves nothing, so that a fleet of jobs does not write for each question: the fewer refusals it has left, the fewer are
 *   under way at a time.
 * - How many questions about names that mean nothing here the primary left unanswered, of all callers together: they choose these names.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { lruCache } from "../lru-cache.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { PrimaryAnswer } from "./ports.ts";
import type { CallerStanding, StoredStanding, StoredVerdicts } from "./stored-verdicts.ts";

export const RECENTLY_ACCEPTED_MS = 15 * 60_000;
const NO_GUESS_MS = 24 * 3_600_000;
/** A process writes at most this often that a caller was accepted. */
const NOTE_EVERY_MS = 5 * 60_000;
const WINDOW_MS = 60_000;
/** Without a new read of the store. */
const MEMORY_MS = 10_000;
/** The same of a credential that was refused within the minute: other processes may count as well. */
const REFUSED_MEMORY_MS = 1_000;
/**
 * New questions of an accepted credential that are under way at a time in a process, for each refusal that it has left in the minute:
 * most are answered with a yes.
 */
const UNDER_WAY_PER_REFUSAL = 3;
/** However few it has left: other jobs use it as well. */
const MIN_UNDER_WAY = 8;
/** About 300 bytes each. */
const MAX_CALLERS = 20_000;
/** More than count within a minute: of the processes that write at once, one succeeds at a time. */
const MAX_WRITE_TRIES = 30;
const MAX_CONFLICT_PAUSE_MS = 50;

type QuestionLimits = Readonly<typeof DEFAULT_QUESTION_LIMITS>;

export const DEFAULT_QUESTION_LIMITS = {
  /** Refused questions a minute of a credential that was not accepted within the last 15 minutes. */
  refusedPerMinute: 5,
  /** The same of one that was: then no new question is asked in this minute. */
  refusedPerMinuteAccepted: 20,
  /** Questions a minute about names that mean nothing here, to which the primary gave no answer. */
  unansweredPerMinute: 4,
};

export interface CallerStandingsOptions {
  readonly stored: StoredVerdicts;
  readonly keys: CallerKeys;
  readonly limits: QuestionLimits;
  readonly now: () => number;
}

/** `wait`: other questions of this credential are under way; look again soon. `stands`: the last refusal is the answer. */
export type Admission = "ask" | "wait" | "stands" | { readonly retryAfterSeconds: number };

interface Remembered {
  readonly stored: StoredStanding;
  readonly readAtMs: number;
}

const UNKNOWN: StoredStanding = { standing: {}, version: "absent" };

export class CallerStandings {
  readonly #options: CallerStandingsOptions;
  readonly #remembered = lruCache<Remembered>(MAX_CALLERS);
  readonly #reading = new Map<string, Promise<StoredStanding | undefined>>();
  /** By caller key: how many questions that this process admitted are not settled yet. */
  readonly #underWay = new Map<string, number>();
  /** By caller key: the end of the last write that this process began. */
  readonly #writing = new Map<string, Promise<unknown>>();

  constructor(options: CallerStandingsOptions) {
    this.#options = options;
  }

  /** To be called early, while other reads are under way: what this process does not know is read from the store. */
  readAhead(authorization: string): void {
    void this.#find(authorization);
  }

  /** Whether the primary accepted the credential within the last 15 minutes. Never rejects. */
  async isAccepted(authorization: string): Promise<boolean> {
    return this.#isAccepted((await this.#find(authorization)).standing);
  }

  /** Whether it did within a day: it may be revoked by now, but it is no guess. Never rejects. */
  async isNoGuess(authorization: string): Promise<boolean> {
    return this.#isAccepted((await this.#find(authorization)).standing, NO_GUESS_MS);
  }

  /** The same, by what this process remembers. */
  isKnownAccepted(authorization: string): boolean {
    const remembered = this.#remembered.get(this.#keyOf(authorization));
    return remembered !== undefined && this.#isAccepted(remembered.stored.standing);
  }

  /**
   * Whether a question may be asked. Each `ask` is to be followed by `settle`. Never rejects.
   * @param wasRefused - This very question was refused within the last minute.
   */
  async admit(authorization: string, wasRefused: boolean): Promise<Admission> {
    const { refusedPerMinute, refusedPerMinuteAccepted, unansweredPerMinute } = this.#options.limits;
    const key = this.#keyOf(authorization);
    const { standing } = await this.#find(authorization);
    const { refused, unanswered = 0, sinceMs } = this.#window(standing);
    // Where refusals are usual, a new right may take a minute.
    if (wasRefused && refused >= refusedPerMinute) return "stands";
    const isAccepted = this.#isAccepted(standing);
    const maxRefused = isAccepted ? refusedPerMinuteAccepted : refusedPerMinute;
    // Whatever it is about: the limit must not tell what is mirrored.
    if (refused >= maxRefused || unanswered >= unansweredPerMinute) {
      const waitMs = sinceMs + WINDOW_MS - this.#options.now();
      return { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) };
    }
    const underWay = this.#underWay.get(key) ?? 0;
    if (isAccepted && underWay >= Math.max(MIN_UNDER_WAY, UNDER_WAY_PER_REFUSAL * (maxRefused - refused)))
      return "wait";
    this.#underWay.set(key, underWay + 1);
    if (isAccepted || (await this.#reserve(authorization))) return "ask";
    this.#endQuestion(key);
    return "wait";
  }

  /** @returns `false`: all are reserved, or another process reserves at the same time. */
  #reserve(authorization: string): Promise<boolean> {
    return this.#inTurn(authorization, async (key) => {
      const found = await this.#find(authorization);
      const questions = this.#window(found.standing);
      const reserved = { ...questions, asked: questions.asked + 1 };
      const hasRoom = reserved.asked <= this.#options.limits.refusedPerMinute;
      if (hasRoom && (await this.#replace(key, found, { ...found.standing, questions: reserved })))
        return true;
      this.#remembered.delete(key);
      return false;
    });
  }

  #endQuestion(key: string): void {
    const leftCount = (this.#underWay.get(key) ?? 0) - 1;
    if (leftCount > 0) this.#underWay.set(key, leftCount);
    else this.#underWay.delete(key);
  }

  /**
   * Notes what became of a question.
   * @param answer - `undefined`: it was not asked after all.
   * @param isReserved - Whether `admit` let it pass. Never rejects.
   */
  async settle(
    authorization: string,
    answer: PrimaryAnswer | "unanswered" | undefined,
    isReserved: boolean,
  ): Promise<void> {
    const isUnanswered = answer === "unanswered";
    // 503: the mirror itself is behind.
    const isRefused = !isUnanswered && answer?.kind === "refused" && answer.status !== 503;
    try {
      if (!isUnanswered && answer?.kind === "allowed") await this.#noteAccepted(authorization);
      else if (isRefused) await this.#write(authorization, (standing) => this.#withRefused(standing));
      else if (isUnanswered) await this.#write(authorization, (standing) => this.#withUnanswered(standing));
      else if (isReserved) await this.#write(authorization, (standing) => this.#withoutOne(standing));
    } finally {
      // Not before it is counted.
      if (isReserved) this.#endQuestion(this.#keyOf(authorization));
    }
  }

  #withRefused(standing: CallerStanding): CallerStanding | undefined {
    const { asked, refused, ...window } = this.#window(standing);
    // More change nothing.
    if (refused >= this.#options.limits.refusedPerMinuteAccepted) return undefined;
    return {
      ...standing,
      questions: { ...window, asked: Math.max(asked, refused + 1), refused: refused + 1 },
    };
  }

  #withUnanswered(standing: CallerStanding): CallerStanding | undefined {
    const { asked, refused, unanswered = 0, ...window } = this.#window(standing);
    if (unanswered >= this.#options.limits.unansweredPerMinute) return undefined;
    const questions = { ...window, asked: Math.max(refused, asked - 1), refused, unanswered: unanswered + 1 };
    return { ...standing, questions };
  }

  #withoutOne(standing: CallerStanding): CallerStanding | undefined {
    // Credentials in good standing reserve nothing in the store.
    if (this.#isAccepted(standing)) return undefined;
    const { asked, refused, ...window } = this.#window(standing);
    return { ...standing, questions: { ...window, asked: Math.max(refused, asked - 1), refused } };
  }

  async #noteAccepted(authorization: string): Promise<void> {
    const acceptedAtMs = this.#options.now();
    const isNoted = ({ acceptedAtMs: notedAtMs }: CallerStanding) =>
      notedAtMs !== undefined && acceptedAtMs < notedAtMs + NOTE_EVERY_MS;
    // It waits for no write about a refusal.
    if (isNoted((await this.#find(authorization)).standing)) return;
    await this.#write(authorization, (standing) => {
      if (isNoted(standing)) return undefined;
      const { questions, ...others } = standing;
      // Those that were not refused count no longer.
      const { refused = 0, unanswered = 0 } = questions ?? {};
      return { ...others, ...(questions && refused + unanswered > 0 && { questions }), acceptedAtMs };
    });
  }

  /** @param changed - Returns `undefined` if nothing is to be written. */
  #write(
    authorization: string,
    changed: (standing: CallerStanding) => CallerStanding | undefined,
  ): Promise<void> {
    return this.#inTurn(authorization, async (key) => {
      for (let tries = 0; tries < MAX_WRITE_TRIES; tries++) {
        const found = await this.#find(authorization);
        const standing = changed(found.standing);
        if (standing === undefined || (await this.#replace(key, found, standing))) return;
        this.#remembered.delete(key);
        await sleep(Math.random() * MAX_CONFLICT_PAUSE_MS);
      }
    });
  }

  /** The writes of one process about one credential are one after the other: none conflicts with another. */
  async #inTurn<Result>(authorization: string, work: (key: string) => Promise<Result>): Promise<Result> {
    const key = this.#keyOf(authorization);
    const done = (this.#writing.get(key) ?? Promise.resolve()).then(() => work(key));
    this.#writing.set(key, done);
    try {
      return await done;
    } finally {
      if (this.#writing.get(key) === done) this.#writing.delete(key);
    }
  }

  /** What this process knows, if that is recent, else what the store says. Never rejects. */
  async #find(authorization: string): Promise<StoredStanding> {
    const { now, keys } = this.#options;
    const key = this.#keyOf(authorization);
    const remembered = this.#remembered.get(key);
    if (remembered !== undefined && now() < this.#trustedUntilMs(remembered)) return remembered.stored;
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      const formerKeys = keys.former.map((former) => former.callerKey(authorization));
      reading = this.#read(key, formerKeys).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return (await reading) ?? remembered?.stored ?? UNKNOWN;
  }

  #trustedUntilMs({ stored: { standing }, readAtMs }: Remembered): number {
    return readAtMs + (this.#window(standing).refused > 0 ? REFUSED_MEMORY_MS : MEMORY_MS);
  }

  async #read(key: string, formerKeys: readonly string[]): Promise<StoredStanding | undefined> {
    const { stored, now } = this.#options;
    const found = await stored.logFailure("read", () => stored.readStanding(key, now(), formerKeys));
    if (found !== undefined) this.#remembered.set(key, { stored: found, readAtMs: now() });
    return found;
  }

  /** @returns `false` on a conflict. A store that fails limits nothing beyond this process. */
  async #replace(key: string, { version }: StoredStanding, standing: CallerStanding): Promise<boolean> {
    const { stored, now } = this.#options;
    const written = await stored.logFailure("write", async () => ({
      version: await stored.replaceStanding(key, { standing, version }),
    }));
    if (written !== undefined && written.version === undefined) return false;
    this.#remembered.set(key, {
      stored: { standing, version: written?.version ?? version },
      readAtMs: now(),
    });
    return true;
  }

  #isAccepted({ acceptedAtMs }: CallerStanding, withinMs = RECENTLY_ACCEPTED_MS): boolean {
    return acceptedAtMs !== undefined && this.#options.now() < acceptedAtMs + withinMs;
  }

  #window({ questions }: CallerStanding): NonNullable<CallerStanding["questions"]> {
    const nowMs = this.#options.now();
    return questions !== undefined && nowMs < questions.sinceMs + WINDOW_MS
      ? questions
      : { sinceMs: nowMs, asked: 0, refused: 0 };
  }

  #keyOf(authorization: string): string {
    return this.#options.keys.callerKey(authorization);
  }
}
