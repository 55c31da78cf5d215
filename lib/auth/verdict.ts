/** The authorizer's answer to a question. */
import type { PrimaryAnswer } from "./ports.ts";
import {
  countsUntilMs,
  DEFAULT_RETRY_AFTER_SECONDS,
  staleRight,
  type UndecidedCause,
  type VerdictLimits,
  type VerdictRecord,
} from "./verdict-record.ts";

export type VerdictSource = "primary" | "memory" | "store";

type AnswerOf<Kind extends PrimaryAnswer["kind"]> = Extract<PrimaryAnswer, { readonly kind: Kind }>;

export type Verdict = {
  readonly source: VerdictSource;
  /** Since the primary was asked. */
  readonly ageMs: number;
} & (
  | (AnswerOf<"allowed"> & {
      /** The primary is unreachable, and this was its last answer. */
      readonly isStale: boolean;
    })
  | AnswerOf<"refused">
  | {
      readonly kind: "undecided";
      /**
       * `"guessing"`: too many wrong credentials came from the caller's address, and this one is not known.
       * `"refused-often"`: too many questions with this credential were refused.
       */
      readonly cause: UndecidedCause | "guessing" | "refused-often";
      readonly retryAfterSeconds: number;
    }
);

/** @param isOutage - Only then an old yes counts: a caller can bring about any other failure of a question. */
export function verdictOf(
  record: VerdictRecord,
  source: VerdictSource,
  nowMs: number,
  limits: VerdictLimits,
  isOutage: boolean,
): Verdict {
  const { answer, askedAtMs } = record;
  const ageMs = nowMs - askedAtMs;
  if (answer.kind === "allowed") return { ...answer, source, ageMs, isStale: false };
  if (answer.kind === "refused") return { ...answer, source, ageMs };
  const right = isOutage ? staleRight(record, nowMs, limits) : undefined;
  if (right !== undefined) {
    const { askedAtMs: lastAskedAtMs, ...found } = right;
    return { kind: "allowed", source, ageMs: nowMs - lastAskedAtMs, isStale: true, ...found };
  }
  const { cause, retryAfterSeconds } = answer;
  const untilMs =
    retryAfterSeconds === undefined
      ? DEFAULT_RETRY_AFTER_SECONDS * 1000
      : countsUntilMs(record, limits) - nowMs;
  return {
    kind: "undecided",
    source,
    ageMs,
    cause,
    retryAfterSeconds: Math.max(1, Math.ceil(untilMs / 1000)),
  };
}
