/**
 * What is known of one question, and what follows from it: how long an answer counts, and what a refusal means to a caller
 * who could read just before. In memory and in the store it is the same.
 */
import { z } from "zod";
import type { PrimaryAnswer } from "./ports.ts";

export interface VerdictLimits {
  /** How long a yes counts. Taking a right away on the primary takes effect here after this time at the latest. */
  readonly freshMs: number;
  /** How long a no counts: a storm of refused requests costs one check, and a right that was given works at once. */
  readonly refusedMs: number;
  /** How long nothing is asked for after the primary could not be reached, if it names no time. */
  readonly undecidedMs: number;
  /** How long a yes counts while the primary is away; 0: not at all. */
  readonly staleMs: number;
  /** The same while it limits the caller's rate: less, as a caller can bring that about. */
  readonly staleLimitedMs: number;
  /** How long after a yes a 401 is doubted: Bitbucket says it to valid tokens now and then, and git erases them for it. */
  readonly doubtedMs: number;
  /** After what time a doubted 401 is asked about again. */
  readonly recheckMs: number;
}

export const DEFAULT_VERDICT_LIMITS: VerdictLimits = {
  freshMs: 60_000,
  refusedMs: 3_000,
  undecidedMs: 3_000,
  staleMs: 15 * 60_000,
  staleLimitedMs: 5 * 60_000,
  doubtedMs: 15 * 60_000,
  recheckMs: 5_000,
};

/** When the primary names no time: soon, as most outages are short. */
export const DEFAULT_RETRY_AFTER_SECONDS = 10;
/** Bitbucket counts by the hour, so a longer pause is a mistake. */
const MAX_RATE_PAUSE_SECONDS = 3_600;
/** An outage may be over before the time that was named in it. */
export const MAX_OUTAGE_PAUSE_SECONDS = 60;

const foundFields = {
  /** Where the repository was found after redirects; absent for another host. */
  finalPath: z.string().exactOptional(),
  /** The primary's name for the caller, where it tells. */
  callerName: z.string().exactOptional(),
};

/** A yes of the primary, and when it was asked. */
const rightSchema = z.strictObject({
  askedAtMs: z.number(),
  ...foundFields,
  /** When the primary said 401 since, for the first time. */
  doubtedAtMs: z.number().exactOptional(),
});

const answerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("allowed"), ...foundFields }),
  z.strictObject({ kind: z.literal("refused"), status: z.number(), hint: z.string().exactOptional() }),
  z.strictObject({
    kind: z.literal("undecided"),
    /** `"doubted"`: the primary takes the credential no more, which it took just before. */
    cause: z.enum(["unreachable", "rate-limited", "unreadable", "doubted"]),
    retryAfterSeconds: z.number().exactOptional(),
  }),
]);

export const recordSchema = z.strictObject({
  answer: answerSchema,
  askedAtMs: z.number(),
  /** The last yes, also where the answer is none; absent since a no. */
  right: rightSchema.exactOptional(),
});

export type ConfirmedRight = z.infer<typeof rightSchema>;
export type VerdictRecord = z.infer<typeof recordSchema>;
export type UndecidedCause = Extract<VerdictRecord["answer"], { kind: "undecided" }>["cause"];

/**
 * @param askedAtMs - The time before the question: a right that is taken away while it is answered must not count from the
 *   answer.
 * @param right - The last yes before.
 */
export function recordOf(
  answer: PrimaryAnswer,
  askedAtMs: number,
  right: ConfirmedRight | undefined,
  limits: VerdictLimits,
): VerdictRecord {
  switch (answer.kind) {
    case "allowed": {
      const { kind: _, ...found } = answer;
      return { answer, askedAtMs, right: { askedAtMs, ...found } };
    }
    case "refused":
      return refusedRecord(answer, askedAtMs, right, limits);
    case "undecided": {
      const { cause, retryAfterSeconds } = answer;
      const after = retryAfterSeconds !== undefined && { retryAfterSeconds };
      return { answer: { kind: "undecided", cause, ...after }, askedAtMs, ...(right && { right }) };
    }
  }
}

function refusedRecord(
  answer: Extract<PrimaryAnswer, { kind: "refused" }>,
  askedAtMs: number,
  right: ConfirmedRight | undefined,
  limits: VerdictLimits,
): VerdictRecord {
  if (answer.status !== 401 || right === undefined || !isDoubtful401(right, askedAtMs, limits)) {
    return { answer, askedAtMs };
  }
  const { doubtedAtMs = askedAtMs } = right;
  if (askedAtMs >= doubtedAtMs + limits.recheckMs) return { answer, askedAtMs };
  return {
    answer: { kind: "undecided", cause: "doubted" },
    askedAtMs: doubtedAtMs,
    right: { ...right, doubtedAtMs },
  };
}

/** Whether a 401 may be an error of the primary's: it said yes not long ago. */
export function isDoubtful401(
  right: ConfirmedRight | undefined,
  nowMs: number,
  { doubtedMs }: VerdictLimits,
): boolean {
  return right !== undefined && nowMs < right.askedAtMs + doubtedMs;
}

/** Until when nothing is asked. */
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
  limits: VerdictLimits,
): number {
  switch (cause) {
    case "rate-limited":
      return ratePauseMs(retryAfterSeconds);
    case "unreachable":
    case "unreadable":
      return retryAfterSeconds === undefined
        ? limits.undecidedMs
        : Math.min(Math.max(retryAfterSeconds, 1), MAX_OUTAGE_PAUSE_SECONDS) * 1000;
    case "doubted":
      return limits.recheckMs;
  }
}

/** For how long the primary wants no questions of a caller. */
export function ratePauseMs(retryAfterSeconds = DEFAULT_RETRY_AFTER_SECONDS): number {
  return Math.min(Math.max(retryAfterSeconds, 1), MAX_RATE_PAUSE_SECONDS) * 1000;
}

/** The last yes, where it counts although the primary does not answer. */
export function staleRight(
  { answer, right }: VerdictRecord,
  nowMs: number,
  { staleMs, staleLimitedMs }: VerdictLimits,
): ConfirmedRight | undefined {
  if (right === undefined || right.doubtedAtMs !== undefined) return undefined;
  const isLimited = answer.kind === "undecided" && answer.cause === "rate-limited";
  const countsMs = isLimited ? Math.min(staleMs, staleLimitedMs) : staleMs;
  return nowMs < right.askedAtMs + countsMs ? right : undefined;
}
