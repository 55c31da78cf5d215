/**
 * How each credential has fared at the primary, as `auth/<caller key>`, for all processes of the mirror:
 *
 * - When the primary last accepted it, for any repository. Bitbucket sometimes answers 401 to a valid token when several jobs
 *   start together (BCLOUD-24107), often for a repository that the token was not used for yet.
 * - How many questions it asked within a minute, and how many were refused. A credential that was not accepted lately
 *   reserves each question before it is asked, by compare-and-swap: so a thousand processes ask five questions at most.
 * - How many questions about names that mean nothing here the primary left unanswered, of all callers together: they choose these names.
 */
import { lruCache } from "../lru-cache.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { PrimaryAnswer } from "./ports.ts";
import type { CallerStanding, StoredStanding, StoredVerdicts } from "./stored-verdicts.ts";

export const RECENTLY_ACCEPTED_MS = 15 * 60_000;
/** A process writes at most this often that a caller was accepted. */
const NOTE_EVERY_MS = 5 * 60_000;
const WINDOW_MS = 60_000;
/** Without a new read of the store. */
const MEMORY_MS = 10_000;
/** About 300 bytes each. */
const MAX_CALLERS = 20_000;
const MAX_WRITE_TRIES = 4;

type QuestionLimits = Readonly<typeof DEFAULT_QUESTION_LIMITS>;

export const DEFAULT_QUESTION_LIMITS = {
  /** Refused questions a minute of a credential that was not accepted within the last 15 minutes. */
  refusedPerMinute: 5,
  /** The same of one that was. */
  refusedPerMinuteAccepted: 60,
  /** Questions a minute about names that mean nothing here, to which the primary gave no answer. */
  unansweredPerMinute: 4,
};

export interface CallerStandingsOptions {
  readonly stored: StoredVerdicts;
  readonly keys: CallerKeys;
  readonly limits: QuestionLimits;
  readonly now: () => number;
}

/** `wait`: other questions of this credential are under way; look again soon. */
export type Admission = "ask" | "wait" | { readonly retryAfterSeconds: number };

interface Remembered {
  readonly stored: StoredStanding;
  readonly readAtMs: number;
}

const UNKNOWN: StoredStanding = { standing: {}, version: "absent" };

export class CallerStandings {
  readonly #options: CallerStandingsOptions;
  readonly #remembered = lruCache<Remembered>(MAX_CALLERS);
  readonly #reading = new Map<string, Promise<StoredStanding | undefined>>();

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

  /** The same, by what this process remembers. */
  isKnownAccepted(authorization: string): boolean {
    const remembered = this.#remembered.get(this.#keyOf(authorization));
    return remembered !== undefined && this.#isAccepted(remembered.stored.standing);
  }

  /** Whether a question may be asked. Each `ask` is to be followed by `settle`. Never rejects. */
  async admit(authorization: string): Promise<Admission> {
    const key = this.#keyOf(authorization);
    const found = await this.#find(authorization);
    const { refusedPerMinute, refusedPerMinuteAccepted, unansweredPerMinute } = this.#options.limits;
    const questions = this.#window(found.standing);
    const isAccepted = this.#isAccepted(found.standing);
    const maxRefused = isAccepted ? refusedPerMinuteAccepted : refusedPerMinute;
    // Whatever it is about: the limit must not tell what is mirrored.
    if (questions.refused >= maxRefused || (questions.unanswered ?? 0) >= unansweredPerMinute) {
      const waitMs = questions.sinceMs + WINDOW_MS - this.#options.now();
      return { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) };
    }
    if (isAccepted) return "ask";
    const isFull = questions.asked >= refusedPerMinute;
    const reserved = { ...questions, asked: questions.asked + 1 };
    if (!isFull && (await this.#replace(key, found, { ...found.standing, questions: reserved })))
      return "ask";
    this.#remembered.delete(key);
    return "wait";
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
    const key = this.#keyOf(authorization);
    const isUnanswered = answer === "unanswered";
    if (!isUnanswered && answer?.kind === "allowed") return this.#noteAccepted(authorization);
    // 503: the mirror itself is behind.
    const isRefused = !isUnanswered && answer?.kind === "refused" && answer.status !== 503;
    if (!isRefused && !isUnanswered && !isReserved) return;
    for (let tries = 0; tries < MAX_WRITE_TRIES; tries++) {
      const found = await this.#find(authorization);
      // Credentials in good standing reserve nothing.
      if (!isRefused && !isUnanswered && this.#isAccepted(found.standing)) return;
      const { asked, refused, unanswered = 0, ...window } = this.#window(found.standing);
      const questions = {
        ...window,
        ...(isRefused
          ? { asked: Math.max(asked, refused + 1), refused: refused + 1 }
          : { asked: Math.max(refused, asked - 1), refused }),
        ...(isUnanswered ? { unanswered: unanswered + 1 } : unanswered > 0 && { unanswered }),
      };
      if (await this.#replace(key, found, { ...found.standing, questions })) return;
      this.#remembered.delete(key);
    }
  }

  async #noteAccepted(authorization: string): Promise<void> {
    const key = this.#keyOf(authorization);
    const acceptedAtMs = this.#options.now();
    for (let tries = 0; tries < MAX_WRITE_TRIES; tries++) {
      const found = await this.#find(authorization);
      const { acceptedAtMs: notedAtMs, questions, ...others } = found.standing;
      if (notedAtMs !== undefined && acceptedAtMs < notedAtMs + NOTE_EVERY_MS) return;
      // Those that were not refused count no longer.
      const { refused = 0, unanswered = 0 } = questions ?? {};
      const kept = questions !== undefined && refused + unanswered > 0 && { questions };
      if (await this.#replace(key, found, { ...others, ...kept, acceptedAtMs })) return;
      this.#remembered.delete(key);
    }
  }

  /** What this process knows, if that is recent, else what the store says. Never rejects. */
  async #find(authorization: string): Promise<StoredStanding> {
    const { now, keys } = this.#options;
    const key = this.#keyOf(authorization);
    const remembered = this.#remembered.get(key);
    if (remembered !== undefined && now() < remembered.readAtMs + MEMORY_MS) return remembered.stored;
    let reading = this.#reading.get(key);
    if (reading === undefined) {
      const formerKeys = keys.former.map((former) => former.callerKey(authorization));
      reading = this.#read(key, formerKeys).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return (await reading) ?? remembered?.stored ?? UNKNOWN;
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

  #isAccepted({ acceptedAtMs }: CallerStanding): boolean {
    return acceptedAtMs !== undefined && this.#options.now() < acceptedAtMs + RECENTLY_ACCEPTED_MS;
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
