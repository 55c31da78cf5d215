import { expect, test } from "vitest";
import { verdictOf } from "../../../lib/auth/verdict.ts";
import { DEFAULT_VERDICT_LIMITS, recordOf, type VerdictRecord } from "../../../lib/auth/verdict-record.ts";

const AT = 1_000_000;
const FOUND = { finalPath: "acme/site", callerName: "ann" };
const verdict = (record: VerdictRecord, laterMs: number, isOutage = true) =>
  verdictOf(record, "store", AT + laterMs, DEFAULT_VERDICT_LIMITS, isOutage);
const undecided = (answer: object = {}, right?: VerdictRecord["right"]) =>
  recordOf({ kind: "undecided", cause: "unreachable", reason: "away", ...answer }, AT, right);

test("a yes and a no have their age and the primary's words", () => {
  expect(verdict(recordOf({ kind: "allowed", ...FOUND }, AT, undefined), 250)).toEqual({
    ...{ kind: "allowed", ...FOUND, source: "store", ageMs: 250, isStale: false },
  });
  expect(verdict(recordOf({ kind: "refused", status: 401, hint: "expired" }, AT, undefined), 250)).toEqual({
    ...{ kind: "refused", status: 401, hint: "expired", source: "store", ageMs: 250 },
  });
});

test("in an outage the last yes counts, with its own age", () => {
  const right = { askedAtMs: AT - 70_000, ...FOUND };
  const stale = { kind: "allowed", source: "store", ageMs: 71_000, isStale: true };
  expect(verdict(undecided({}, right), 1_000)).toStrictEqual({ ...stale, ...FOUND });
  expect(verdict(undecided({}, { askedAtMs: AT - 70_000 }), 1_000)).toStrictEqual(stale);
  const untilMs = DEFAULT_VERDICT_LIMITS.staleMs - 70_000;
  expect(verdict(undecided({}, right), untilMs - 1)).toMatchObject({ kind: "allowed" });
  expect(verdict(undecided({}, right), untilMs)).toMatchObject({ kind: "undecided" });
  expect(verdict(undecided({}, right), 1_000, false)).toMatchObject({ kind: "undecided" });
});

test.each([
  [{}, 0, 10],
  [{ retryAfterSeconds: 30 }, 0, 30],
  [{ retryAfterSeconds: 30 }, 12_500, 18],
  [{ retryAfterSeconds: 30 }, 40_000, 1],
  [{ retryAfterSeconds: 600 }, 0, 60],
  [{ cause: "rate-limited", retryAfterSeconds: 600 }, 1_000, 599],
])("an answer %j, %i ms later, is asked for again in %i s", (answer, laterMs, retryAfterSeconds) => {
  const { cause } = { cause: "unreachable", ...answer };
  expect(verdict(undecided(answer), laterMs)).toEqual({
    ...{ kind: "undecided", source: "store", ageMs: laterMs, cause, retryAfterSeconds },
  });
});
