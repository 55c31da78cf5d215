import { beforeEach, expect, test } from "vitest";
import type { PrimaryAnswer, ReadQuestion } from "../../../lib/auth/ports.ts";
import { ThrottledPrimary } from "../../../lib/auth/throttled-primary.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { KEYS, NO, QUESTION, YES } from "../../support/authorizer-rig.ts";

const OTHER: ReadQuestion = { ...QUESTION, authorization: "Basic YTpj" };

let nowMs: number;
let answer: PrimaryAnswer | Promise<PrimaryAnswer>;
let asked: ReadQuestion[];
let warnings: object[];
let isAway: boolean;
let primary: ThrottledPrimary;

beforeEach(() => {
  nowMs = 1_000_000;
  answer = YES;
  asked = [];
  warnings = [];
  isAway = false;
  primary = new ThrottledPrimary({
    askPrimary: async (question) => {
      asked.push(question);
      return answer;
    },
    keys: KEYS,
    outage: { isAway: async () => isAway },
    maxConcurrentQuestions: 1,
    log: { ...SILENT_LOGGER, warn: (event, fields) => warnings.push({ event, ...fields }) },
    now: () => nowMs,
  });
});

const ask = (question = QUESTION, signal = new AbortController().signal) =>
  primary.ask(
    question,
    { retriesUnauthorized: async () => false, signal },
    { owner: question.authorization ?? "", isUrgent: false, onTurn: () => {} },
  );

test("answers are passed on", async () => {
  for (answer of [YES, NO]) expect(await ask()).toBe(answer);
  expect(warnings).toEqual([]);
  expect(await primary.withoutAsking(QUESTION)).toBeUndefined();
});

test("a caller whose rate is limited is not asked about for as long as the primary says; others are", async () => {
  answer = { kind: "undecided", cause: "rate-limited", reason: "429", retryAfterSeconds: 17 };
  expect(await ask()).toEqual(answer);
  expect(warnings).toEqual([
    {
      ...{ event: "auth:undecided", repo: "acme/site", cause: "rate-limited", reason: "429" },
      retryAfterSeconds: 17,
    },
  ]);
  answer = YES;
  nowMs += 16_001;
  const paused = { kind: "undecided", cause: "rate-limited", reason: "still paused", retryAfterSeconds: 1 };
  expect(await primary.withoutAsking(QUESTION)).toEqual(paused);
  expect(await ask()).toEqual(paused);
  expect(await primary.withoutAsking(OTHER)).toBeUndefined();
  expect(await ask(OTHER)).toBe(YES);
  expect(asked).toEqual([QUESTION, OTHER]);
  nowMs += 999;
  expect(await primary.withoutAsking(QUESTION)).toBeUndefined();
  expect(await ask()).toBe(YES);
});

test("a question that gets no turn in time is undecided, and the next one gets its turn", async () => {
  const first = Promise.withResolvers<PrimaryAnswer>();
  answer = first.promise;
  const running = ask();
  await expect.poll(() => asked.length).toBe(1);
  expect(await ask(OTHER, AbortSignal.abort())).toEqual({
    kind: "undecided",
    cause: "busy",
    reason: "too many questions at once",
  });
  const waiting = ask(OTHER);
  expect(asked).toHaveLength(1);
  first.resolve(NO);
  expect([await running, await waiting]).toEqual([NO, NO]);
});

test("a question that waited while an outage began is not asked", async () => {
  const first = Promise.withResolvers<PrimaryAnswer>();
  answer = first.promise;
  const running = ask();
  const waiting = ask(OTHER);
  await expect.poll(() => asked.length).toBe(1);
  const away = { kind: "undecided", cause: "unreachable", reason: "503" } as const;
  isAway = true;
  first.resolve(away);
  expect(await running).toEqual(away);
  expect(await waiting).toEqual({ kind: "undecided", cause: "unreachable", reason: "outage" });
  expect(asked).toHaveLength(1);
});
