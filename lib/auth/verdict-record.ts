/** What is known of one question, in memory and in the store, and how long each kind of answer counts. */
import * as z from "zod/mini";
import type { PrimaryAnswer } from "./ports.ts";

export type VerdictLimits = Readonly<typeof DEFAULT_VERDICT_LIMITS>;

export const DEFAULT_VERDICT_LIMITS = {
  /** How long a yes counts: a right revoked at the primary ends here after this time at the latest. */
  freshMs: 60_000,
  /** How long a no counts: a storm of refused requests costs one question, and a new right works soon. */
  refusedMs: 3_000,
  /** How long nothing is asked after the primary could not be reached, if it sent no Retry-After. */
  undecidedMs: 3_000,
  /** How long a yes counts during an outage of the primary; 0: not at all. */
  staleMs: 15 * 60_000,
};

/** Without Retry-After: soon, as most outages are short. */
export const DEFAULT_RETRY_AFTER_SECONDS = 10;
/** Bitbucket counts by the hour, so a longer pause is a mistake. */
const MAX_RATE_PAUSE_SECONDS = 3_600;
/** An outage may end before the time that was announced. */
const MAX_OUTAGE_PAUSE_SECONDS = 60;

const foundFields = {
  /** The repository's path after redirects; absent if it is on another host. */
  finalPath: z.exactOptional(z.string()),
  /** The primary's name for the caller, if it sends one. */
  callerName: z.exactOptional(z.string()),
};

/** A yes of the primary, and when it was asked. */
const rightSchema = z.looseObject({ askedAtMs: z.number(), ...foundFields });

const answerSchema = z.discriminatedUnion("kind", [
  z.looseObject({ kind: z.literal("allowed"), ...foundFields }),
  z.looseObject({ kind: z.literal("refused"), status: z.number(), hint: z.exactOptional(z.string()) }),
  z.looseObject({
    kind: z.literal("undecided"),
    cause: z.enum(["unreachable", "rate-limited", "unreadable", "busy"]),
    retryAfterSeconds: z.exactOptional(z.number()),
  }),
]);

export const recordSchema = z.looseObject({
  answer: answerSchema,
  askedAtMs: z.number(),
  /** The last yes, kept while later answers are undecided; a no removes it. */
  right: z.exactOptional(rightSchema),
});

export type ConfirmedRight = z.infer<typeof rightSchema>;
export type VerdictRecord = z.infer<typeof recordSchema>;
export type UndecidedCause = Extract<VerdictRecord["answer"], { kind: "undecided" }>["cause"];

/**
 * @param askedAtMs - The time before the question: a right revoked while the question is answered must not count from the
 *   answer.
 * @param right - The last yes before.
 */
export function recordOf(
  answer: PrimaryAnswer,
  askedAtMs: number,
  right: ConfirmedRight | undefined,
): VerdictRecord {
  switch (answer.kind) {
    case "allowed": {
      const { kind: _, ...found } = answer;
      return { answer, askedAtMs, right: { askedAtMs, ...found } };
    }
    case "refused":
      return { answer, askedAtMs };
    case "undecided": {
      const { cause, retryAfterSeconds } = answer;
      const after = retryAfterSeconds !== undefined && { retryAfterSeconds };
      return { answer: { kind: "undecided", cause, ...after }, askedAtMs, ...(right && { right }) };
    }
  }
}

/** Until when the primary is not asked again. */
export function countsUntilMs({ answer, askedAtMs }: VerdictRecord, limits: VerdictLimits): number {
  switch (answer.kind) {
    case "allowed":
      return askedAtMs + limits.freshMs;
    case "refused":
      return askedAtMs + limits.refusedMs;
    case "undecided":
      return askedAtMs + pauseMs(answer, limits);
  }
}

function pauseMs(
  { cause, retryAfterSeconds }: { cause: UndecidedCause; retryAfterSeconds?: number },
  { undecidedMs }: VerdictLimits,
): number {
  if (cause === "rate-limited") return ratePauseMs(retryAfterSeconds);
  if (retryAfterSeconds === undefined) return undecidedMs;
  return Math.min(Math.max(retryAfterSeconds, 1), MAX_OUTAGE_PAUSE_SECONDS) * 1000;
}

/** How long the primary is not asked for a caller whose rate it limits. */
export function ratePauseMs(retryAfterSeconds = DEFAULT_RETRY_AFTER_SECONDS): number {
  return Math.min(Math.max(retryAfterSeconds, 1), MAX_RATE_PAUSE_SECONDS) * 1000;
}

/** The last yes, if it counts during an outage. */
export function staleRight(
  { right }: VerdictRecord,
  nowMs: number,
  { staleMs }: VerdictLimits,
): ConfirmedRight | undefined {
  return right !== undefined && nowMs < right.askedAtMs + staleMs ? right : undefined;
}

/** Too many questions of this process waited until the deadline of this one. */
export const BUSY: PrimaryAnswer = { kind: "undecided", cause: "busy", reason: "too many questions at once" };
