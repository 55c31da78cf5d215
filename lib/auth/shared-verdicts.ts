/**
 * Asks each question once for all processes of a mirror, in these steps:
 *
 * 1. Read the stored record. If it still counts, it is the answer.
 * 2. If another process holds a claim on the question, wait and go to 1. A claim ends after `claimMs`, so a process that dies
 *    delays the others no longer than that.
 * 3. Write a claim, by compare-and-swap. On a conflict go to 1.
 * 4. Ask the primary, and replace the claim by the answer.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { PrimaryAnswer } from "./ports.ts";
import type { StoredVerdict, StoredVerdicts } from "./stored-verdicts.ts";
import type { VerdictSource } from "./verdict.ts";
import { BUSY, countsUntilMs, recordOf, type VerdictLimits, type VerdictRecord } from "./verdict-record.ts";

type SharingLimits = Readonly<typeof DEFAULT_SHARING_LIMITS>;

export const DEFAULT_SHARING_LIMITS = {
  /** How long others wait for the process that asks. Most answers take a tenth of that. */
  claimMs: 2_500,
  /** The first and the longest interval between two reads of a waiting process; each is half as long again as the last. */
  firstPollMs: 80,
  maxPollMs: 500,
};

export interface SharedVerdictsOptions {
  readonly stored: StoredVerdicts;
  readonly verdictLimits: VerdictLimits;
  readonly limits: SharingLimits;
  readonly now: () => number;
}

export interface FoundRecord {
  readonly record: VerdictRecord;
  readonly source: VerdictSource;
}

/** The answer to give without asking; `wait`: not yet; `stands`: the last one; `undefined` if the primary may be asked. */
export type WithoutAsking = PrimaryAnswer | "wait" | "stands" | undefined;

export interface SharedQuestion {
  /** Of the question under secrets that are being replaced. */
  readonly formerKeys?: readonly string[];
  /** This process's own record, used if the store cannot be read. */
  readonly known: VerdictRecord | undefined;
  /**
   * @param isClaimed - Whether another process asks now.
   * @returns What to do.
   */
  readonly withoutAsking: (last: VerdictRecord | undefined, isClaimed: boolean) => Promise<WithoutAsking>;
  /** @param known - The last record. */
  readonly ask: (known: VerdictRecord | undefined) => Promise<PrimaryAnswer>;
  /** When it aborts, other processes are waited for no longer. */
  readonly signal: AbortSignal;
}

export class SharedVerdicts {
  readonly #options: SharedVerdictsOptions;
  readonly #id = randomUUID();

  constructor(options: SharedVerdictsOptions) {
    this.#options = options;
  }

  /** Never rejects because of the primary or the store. */
  async find(key: string, question: SharedQuestion): Promise<FoundRecord> {
    const { stored: store, verdictLimits, limits, now } = this.#options;
    const watch = new ClaimWatch(limits);
    for (;;) {
      const stored = await store.logFailure("read", () => store.read(key, now(), question.formerKeys));
      // A store that was read wins over memory: another process may have got a no since.
      const record = stored === undefined ? question.known : stored.record;
      if (stored !== undefined && record !== undefined && now() < countsUntilMs(record, verdictLimits)) {
        return { record, source: "store" };
      }
      const isClaimed = stored !== undefined && this.#isClaimedByAnother(stored, watch);
      const answer = await question.withoutAsking(record, isClaimed);
      if (answer === "stands" && record !== undefined) return { record, source: "store" };
      if (answer !== undefined && answer !== "wait" && answer !== "stands") {
        return { record: recordOf(answer, now(), record?.right), source: "memory" };
      }
      if (!isClaimed && answer !== "wait") {
        const claimed = stored && (await this.#claim(key, stored));
        if (claimed !== "conflict") return this.#ask(key, claimed, record, question);
      }
      if (question.signal.aborted) {
        // Its own limits delayed it, not the primary.
        if (answer === "wait") return { record: recordOf(BUSY, now(), record?.right), source: "memory" };
        const reason = "other processes have asked and got no answer";
        const noAnswer = { kind: "undecided", cause: "unreachable", reason } as const;
        return { record: recordOf(noAnswer, now(), record?.right), source: "memory" };
      }
      await sleep(watch.pauseMs(stored?.version ?? "unreadable"));
    }
  }

  /** Only reads. @returns `undefined` if the store fails. */
  async peek(key: string): Promise<StoredVerdict | undefined> {
    const { stored, now } = this.#options;
    return stored.logFailure("read", () => stored.read(key, now()));
  }

  #isClaimedByAnother({ claim, version }: StoredVerdict, watch: ClaimWatch): boolean {
    // Its own claim is seen here if a retry below the store's port conflicted with its first attempt.
    if (claim === undefined || claim.by === this.#id) return false;
    const { limits, now } = this.#options;
    const leftMs = claim.untilMs - now();
    return leftMs > 0 && leftMs <= 2 * limits.claimMs && !watch.isOver(version);
  }

  /** @returns The version written; `undefined` if the store fails. */
  async #claim(key: string, stored: StoredVerdict): Promise<string | "conflict" | undefined> {
    const { limits, now, stored: store } = this.#options;
    const claim = { by: this.#id, untilMs: now() + limits.claimMs };
    const replace = async () => (await store.replace(key, { ...stored, claim })) ?? "conflict";
    return store.logFailure("claim", replace);
  }

  /** @param version - Of the claim; `undefined`: the answer is not stored. */
  async #ask(
    key: string,
    version: string | undefined,
    known: VerdictRecord | undefined,
    { ask }: SharedQuestion,
  ): Promise<FoundRecord> {
    const askedAtMs = this.#options.now();
    const answer = await ask(known);
    const record = recordOf(answer, askedAtMs, known?.right);
    // The claim ends by itself, and then another process may ask.
    if (answer.kind === "undecided" && answer.cause === "busy") return { record, source: "memory" };
    if (version !== undefined) {
      await this.#options.stored.logFailure("write", () => this.#write(key, { record, version }));
    }
    return { record, source: "primary" };
  }

  /** Replaces the claim, or a later claim that has no answer yet, but never a later answer. */
  async #write(key: string, answered: StoredVerdict & { readonly record: VerdictRecord }): Promise<void> {
    const { stored, now } = this.#options;
    if ((await stored.replace(key, answered)) !== undefined) return;
    // S3 reports a conflict also if another process's write was under way and failed.
    const { claim, record, version } = await stored.read(key, now());
    if (claim?.by === this.#id) await stored.replace(key, { ...answered, version });
    // The primary took longer than a claim lasts: the waiting processes need not wait for the one that took over.
    else if (claim !== undefined && !isNewer(record, answered.record))
      await stored.replace(key, { ...answered, claim, version });
  }
}

function isNewer(stored: VerdictRecord | undefined, { askedAtMs }: VerdictRecord): boolean {
  return stored !== undefined && stored.askedAtMs >= askedAtMs;
}

/** Measures by its own pauses how long one claim has been seen, as the clocks of two machines may differ. */
class ClaimWatch {
  readonly #limits: SharingLimits;
  #version: string | undefined;
  #seenMs = 0;
  #nextPauseMs: number;

  constructor(limits: SharingLimits) {
    this.#limits = limits;
    this.#nextPauseMs = limits.firstPollMs;
  }

  isOver(version: string): boolean {
    return version === this.#version && this.#seenMs >= this.#limits.claimMs;
  }

  /** The time until the next read. */
  pauseMs(version: string): number {
    if (version !== this.#version) this.#seenMs = 0;
    this.#version = version;
    // With jitter, as the waiting processes started at the same moment.
    const pauseMs = this.#nextPauseMs * (0.75 + Math.random() / 2);
    this.#nextPauseMs = Math.min(this.#nextPauseMs * 1.5, this.#limits.maxPollMs);
    this.#seenMs += pauseMs;
    return pauseMs;
  }
}
