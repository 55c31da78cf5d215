/** What the authorizer says to a question. */
import {
  countsUntilMs,
  DEFAULT_RETRY_AFTER_SECONDS,
  staleRight,
  type UndecidedCause,
  type VerdictLimits,
  type VerdictRecord,
} from "./verdict-record.ts";

/** Where a verdict comes from. */
export type VerdictSource = "primary" | "memory" | "store";

export type Verdict =
  | {
      readonly kind: "allowed";
      readonly source: VerdictSource;
      /** Since the primary was asked. */
      readonly ageMs: number;
      /** The primary is away, and this is what it said before. */
      readonly isStale: boolean;
      readonly finalPath?: string;
      readonly callerName?: string;
    }
  | {
      readonly kind: "refused";
      readonly source: VerdictSource;
      readonly ageMs: number;
      readonly status: number;
      readonly hint?: string;
    }
  | {
      readonly kind: "undecided";
      readonly source: VerdictSource;
      readonly ageMs: number;
      /** `"guessing"`: the caller's address tries credentials out, and this one has not been seen before. */
      readonly cause: UndecidedCause | "guessing";
      readonly retryAfterSeconds: number;
    };

export function verdictOf(
  record: VerdictRecord,
  source: VerdictSource,
  nowMs: number,
  limits: VerdictLimits,
): Verdict {
  const { answer, askedAtMs } = record;
  const ageMs = nowMs - askedAtMs;
  if (answer.kind === "allowed") return { ...answer, source, ageMs, isStale: false };
  if (answer.kind === "refused") return { ...answer, source, ageMs };
  const right = staleRight(record, nowMs, limits);
  if (right !== undefined) {
    const { askedAtMs: lastAskedAtMs, finalPath, callerName } = right;
    return {
      kind: "allowed",
      source,
      ageMs: nowMs - lastAskedAtMs,
      isStale: true,
      ...(finalPath !== undefined && { finalPath }),
      ...(callerName !== undefined && { callerName }),
    };
  }
  const { cause, retryAfterSeconds } = answer;
  const isTold = retryAfterSeconds !== undefined || cause === "doubted";
  const untilMs = isTold ? countsUntilMs(record, limits) - nowMs : DEFAULT_RETRY_AFTER_SECONDS * 1000;
  return {
    kind: "undecided",
    source,
    ageMs,
    cause,
    retryAfterSeconds: Math.max(1, Math.ceil(untilMs / 1000)),
  };
}
