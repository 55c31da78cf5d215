/**
 * One question for all processes of a mirror: whoever finds no verdict in the store claims the question there and asks, and
 * the others wait for what it learns. A process that dies with a claim is waited for as long as a claim lasts.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PrimaryAnswer } from "./ports.ts";
import type { AskedAnswer } from "./retry-unauthorized.ts";
import type { Claim, StoredVerdict, StoredVerdicts } from "./stored-verdicts.ts";
import type { VerdictSource } from "./verdict.ts";
import { countsUntilMs, recordOf, type VerdictLimits, type VerdictRecord } from "./verdict-record.ts";

export interface SharingLimits {
  /** How long others leave a question to the process that asks. Most answers take a tenth of that. */
  readonly claimMs: number;
  /** Between two looks at the store, the first and the longest; each is half as long again as the one before. */
  readonly firstPollMs: number;
  readonly maxPollMs: number;
}

export const DEFAULT_SHARING_LIMITS: SharingLimits = { claimMs: 2_500, firstPollMs: 80, maxPollMs: 500 };

export interface SharedVerdictsOptions {
  readonly stored: StoredVerdicts;
  readonly log: Logger;
  readonly verdictLimits: VerdictLimits;
  readonly limits: SharingLimits;
  readonly now: () => number;
}

export interface FoundRecord {
  readonly record: VerdictRecord;
  readonly source: VerdictSource;
}

export interface Asking {
  /** What this process knows, for when the store cannot be read. */
  readonly known: VerdictRecord | undefined;
  /** What was read from the store, before it is known whether that will do. */
  readonly onRead: (record: VerdictRecord | undefined) => void;
  /** What is said without asking, if the primary must not be asked now. */
  readonly standIn: () => PrimaryAnswer | undefined;
  /** @param known - What was said before. @param onDoubt - To be called when the primary has said what is no yes, and is asked once more. */
  readonly ask: (known: VerdictRecord | undefined, onDoubt: () => void) => Promise<AskedAnswer>;
  /** That was so in the process that is waited for. */
  readonly onDoubtElsewhere: () => void;
  /** When it aborts, others are waited for no longer. */
  readonly signal: AbortSignal;
}

type Claimed = StoredVerdict & { readonly claim: Claim };

export class SharedVerdicts {
  readonly #options: SharedVerdictsOptions;
  readonly #id = randomUUID();

  constructor(options: SharedVerdictsOptions) {
    this.#options = options;
  }

  /** Never rejects for what the primary or the store does. */
  async find(key: string, asking: Asking): Promise<FoundRecord> {
    const { verdictLimits, limits, now } = this.#options;
    const watch = new ClaimWatch(limits);
    for (;;) {
      const stored = await this.#quietly("read", () => this.#options.stored.read(key, now()));
      // Where the store was read and holds no yes, another process was told no since.
      const record = stored === undefined ? asking.known : stored.record;
      asking.onRead(record);
      if (stored?.claim?.isDoubted) asking.onDoubtElsewhere();
      if (stored !== undefined && record !== undefined && now() < countsUntilMs(record, verdictLimits)) {
        return { record, source: "store" };
      }
      const standIn = asking.standIn();
      if (standIn !== undefined) return this.#memorized(standIn, record);
      if (stored === undefined) return this.#ask(key, undefined, record, asking);
      if (!this.#isClaimedByAnother(stored, watch)) {
        const claimed = await this.#claim(key, stored);
        if (claimed !== "lost") return this.#ask(key, claimed, record, asking);
      }
      if (asking.signal.aborted) {
        const reason = "other processes have asked, and have learned nothing";
        return this.#memorized({ kind: "undecided", cause: "unreachable", reason }, record);
      }
      await sleep(watch.pauseMs(stored));
    }
  }

  /** Whether there is a yes on record. */
  async hasRight(key: string): Promise<boolean> {
    const stored = await this.#quietly("read", () => this.#options.stored.read(key, this.#options.now()));
    return stored?.record?.right !== undefined;
  }

  #isClaimedByAnother({ claim, version }: StoredVerdict, watch: ClaimWatch): boolean {
    // One of this process's own: the store was asked twice below its port, and the second conflicted with the first.
    if (claim === undefined || claim.by === this.#id) return false;
    const { limits, now } = this.#options;
    const leftMs = claim.untilMs - now();
    return leftMs > 0 && leftMs <= 2 * limits.claimMs && !watch.isOver(version);
  }

  /** @returns What to replace with the answer; `undefined` where the store fails. */
  async #claim(key: string, stored: StoredVerdict): Promise<Claimed | "lost" | undefined> {
    const { limits, now } = this.#options;
    const claimed = { ...stored, claim: { by: this.#id, untilMs: now() + limits.claimMs } };
    return this.#quietly("claim", async () => {
      const version = await this.#options.stored.replace(key, claimed);
      return version === undefined ? "lost" : { ...claimed, version };
    });
  }

  /** @param claimed - Over this the answer is written, or over an unfinished claim: whoever has asked since knows more. */
  async #ask(
    key: string,
    claimed: Claimed | undefined,
    known: VerdictRecord | undefined,
    { ask }: Asking,
  ): Promise<FoundRecord> {
    const { verdictLimits, now } = this.#options;
    const askedAtMs = now();
    let written = Promise.resolve(claimed);
    const onDoubt = (): void => {
      written = written.then((last) => last && this.#doubt(key, last));
    };
    const { answer, right } = await ask(known, onDoubt);
    const record = recordOf(answer, askedAtMs, right, verdictLimits);
    const last = await written;
    if (last !== undefined) {
      const { version } = last;
      await this.#quietly("write", () => this.#write(key, { record, version }));
    }
    return { record, source: "primary" };
  }

  /** Those who wait are to know that a yes of before does not count meanwhile. */
  async #doubt(key: string, claimed: Claimed): Promise<Claimed> {
    if (claimed.claim.isDoubted) return claimed;
    const doubted: Claimed = { ...claimed, claim: { ...claimed.claim, isDoubted: true } };
    const version = await this.#quietly("doubt", () => this.#options.stored.replace(key, doubted));
    return version === undefined ? claimed : { ...doubted, version };
  }

  async #write(key: string, answered: StoredVerdict & { readonly record: VerdictRecord }): Promise<void> {
    const { stored, now } = this.#options;
    if ((await stored.replace(key, answered)) !== undefined) return;
    // S3 says so as well where another's write was only under way, and failed.
    const { claim, record, version } = await stored.read(key, now());
    if (claim?.by === this.#id) await stored.replace(key, { ...answered, version });
    // Where the primary takes longer than a claim lasts, those who wait need not wait for the one that has taken over as well.
    else if (claim !== undefined && !isNewer(record, answered.record))
      await stored.replace(key, { ...answered, claim, version });
  }

  #memorized(answer: PrimaryAnswer, known: VerdictRecord | undefined): FoundRecord {
    const { verdictLimits, now } = this.#options;
    return { record: recordOf(answer, now(), known?.right, verdictLimits), source: "memory" };
  }

  /** The primary decides; without the store's help it only decides more often. */
  async #quietly<Result>(action: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.log.error("auth:store-failed", { action, ...errorFields(error) });
      return undefined;
    }
  }
}

function isNewer(stored: VerdictRecord | undefined, { askedAtMs }: VerdictRecord): boolean {
  return stored !== undefined && stored.askedAtMs >= askedAtMs;
}

/** How long a claim has been seen: by the waiting itself, whatever the clocks of two machines say. */
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

  /** Until the next look, after which it is taken for over. */
  pauseMs({ version }: StoredVerdict): number {
    if (version !== this.#version) this.#seenMs = 0;
    this.#version = version;
    // Spread out, as those who wait have begun in the same moment.
    const pauseMs = this.#nextPauseMs * (0.75 + Math.random() / 2);
    this.#nextPauseMs = Math.min(this.#nextPauseMs * 1.5, this.#limits.maxPollMs);
    this.#seenMs += pauseMs;
    return pauseMs;
  }
}
