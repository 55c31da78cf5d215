/** Asks the primary, and finds the yes by which a 401 is to be doubted: to this question before, or to the same credential. */

import type { AskingHow, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import type { RecentlyAcceptedCredentials } from "./recently-accepted-credentials.ts";
import type { ThrottledPrimary } from "./throttled-primary.ts";
import {
  type ConfirmedRight,
  isDoubtful401,
  type VerdictLimits,
  type VerdictRecord,
} from "./verdict-record.ts";

export interface RetryUnauthorizedOptions {
  readonly primary: ThrottledPrimary;
  readonly recentlyAccepted: RecentlyAcceptedCredentials;
  readonly limits: VerdictLimits;
  readonly now: () => number;
}

export interface AskedAnswer {
  readonly answer: PrimaryAnswer;
  /** The last yes before, by which the answer is judged. */
  readonly right: ConfirmedRight | undefined;
}

/** @param known - What was said to this question before. */
export async function askRetryingUnauthorized(
  question: ReadQuestion,
  known: VerdictRecord | undefined,
  how: Omit<AskingHow, "retries401">,
  options: RetryUnauthorizedOptions,
): Promise<AskedAnswer> {
  const { primary, recentlyAccepted, limits, now } = options;
  const { authorization } = question;
  let lastYes: ConfirmedRight | undefined;
  const asking: AskingHow = {
    ...how,
    async retries401() {
      lastYes = await lastYesTo(authorization, known, options);
      return isDoubtful401(lastYes, now(), limits);
    },
  };
  const answer = await primary.ask(question, asking, known?.right !== undefined);
  // It is of use later, and not waited for.
  if (answer.kind === "allowed" && authorization !== undefined) void recentlyAccepted.note(authorization);
  const isUnauthorized = answer.kind === "refused" && answer.status === 401;
  return { answer, right: isUnauthorized ? lastYes : known?.right };
}

async function lastYesTo(
  authorization: string | undefined,
  known: VerdictRecord | undefined,
  { recentlyAccepted, limits, now }: RetryUnauthorizedOptions,
): Promise<ConfirmedRight | undefined> {
  // Who shows no credential cannot lose one: a 401 is the challenge that it waits for.
  if (authorization === undefined) return undefined;
  const { right, answer } = known ?? {};
  if (isDoubtful401(right, now(), limits)) return right;
  // It has been believed before, here: the credential may be good for other repositories.
  if (answer?.kind === "refused" && answer.status === 401) return undefined;
  const askedAtMs = await recentlyAccepted.takenAtMs(authorization);
  if (askedAtMs === undefined) return right;
  const doubtedAtMs = right?.doubtedAtMs;
  return { askedAtMs, ...(doubtedAtMs !== undefined && { doubtedAtMs }) };
}
