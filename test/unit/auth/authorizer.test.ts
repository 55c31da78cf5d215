import { beforeEach, expect, test } from "vitest";
import { Authorizer, DEFAULT_VERDICT_LIMITS } from "../../../lib/auth/authorizer.ts";
import { CallerKeys } from "../../../lib/auth/caller-keys.ts";
import type { PrimaryAnswer, ReadQuestion, VerdictStore } from "../../../lib/auth/ports.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";

const KEYS = new CallerKeys("a secret that is long enough for a test");
const QUESTION: ReadQuestion = { authorization: "Basic YTpi", repositoryPath: "acme/site" };
const YES: PrimaryAnswer = { kind: "allowed", finalPath: "acme/site" };
const AWAY: PrimaryAnswer = { kind: "undecided", cause: "unreachable", reason: "away" };

let nowMs: number;
let answer: PrimaryAnswer;
let asked: ReadQuestion[];
let texts: Map<string, string>;

beforeEach(() => {
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  answer = YES;
  asked = [];
  texts = new Map();
});

const store: VerdictStore = {
  read: async (key) => texts.get(key),
  write: async (key, text) => void texts.set(key, text),
  delete: async (key) => void texts.delete(key),
};

function authorizer(changed: { store?: VerdictStore; maxRemembered?: number } = {}): Authorizer {
  return new Authorizer({
    askPrimary: async (question) => {
      asked.push(question);
      return answer;
    },
    keys: KEYS,
    store: changed.store ?? store,
    log: SILENT_LOGGER,
    limits: {
      ...DEFAULT_VERDICT_LIMITS,
      ...(changed.maxRemembered && { maxRemembered: changed.maxRemembered }),
    },
    now: () => nowMs,
  });
}

test("identical questions at once are asked once, others each", async () => {
  const auth = authorizer();
  const other = { ...QUESTION, repositoryPath: "acme/other" };
  await Promise.all([...Array(50)].flatMap(() => [auth.check(QUESTION), auth.check(other)]));
  expect(asked).toEqual([QUESTION, other]);
});

test("a yes for one credential or repository is none for another", async () => {
  const auth = authorizer();
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
  answer = { kind: "refused", status: 404 };
  expect((await auth.check({ ...QUESTION, authorization: "Basic YTpj" })).kind).toBe("refused");
  expect((await auth.check({ ...QUESTION, authorization: undefined })).kind).toBe("refused");
  expect((await auth.check({ ...QUESTION, repositoryPath: "acme/vault" })).kind).toBe("refused");
});

test("what is stored names nobody, and is of no use under another secret", async () => {
  await authorizer().check(QUESTION);
  const [[key, text] = ["", ""]] = texts;
  expect(key).toMatch(/^auth\/[0-9a-f]{64}$/);
  expect(text).toBe('{"askedAt":"2026-01-01T00:00:00.000Z","finalPath":"acme/site"}');
  const other = new CallerKeys("another secret that is long enough, too");
  expect(`auth/${other.questionKey(QUESTION)}`).not.toBe(key);
  expect(() => new CallerKeys("short")).toThrow(RangeError);
});

test.each([
  "",
  "{",
  "null",
  '{"askedAt":"yesterday"}',
  '{"askedAt":"2027-01-01T00:00:00Z"}',
  '{"askedAt":"2026-01-01T00:00:00Z","extra":1}',
])("a stored verdict %j counts for nothing", async (text) => {
  texts.set(`auth/${KEYS.questionKey(QUESTION)}`, text);
  answer = AWAY;
  expect((await authorizer().check(QUESTION)).kind).toBe("undecided");
  expect(asked).toHaveLength(1);
});

test("a store that fails changes no decision", async () => {
  const failing = () => Promise.reject(new Error("the store is gone"));
  const auth = authorizer({ store: { read: failing, write: failing, delete: failing } });
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
  nowMs += 60_000;
  answer = { kind: "refused", status: 404 };
  expect((await auth.check(QUESTION)).kind).toBe("refused");
});

test("a right that is taken away while the primary answers counts from the question", async () => {
  const auth = new Authorizer({
    askPrimary: async (question) => {
      asked.push(question);
      nowMs += 9_000;
      return YES;
    },
    keys: KEYS,
    store,
    log: SILENT_LOGGER,
    now: () => nowMs,
  });
  await auth.check(QUESTION);
  nowMs += 51_000;
  await auth.check(QUESTION);
  expect(asked).toHaveLength(2);
});

test("a primary that comes back decides again within seconds", async () => {
  const auth = authorizer();
  answer = AWAY;
  expect((await auth.check(QUESTION)).kind).toBe("undecided");
  answer = YES;
  nowMs += 2_999;
  expect((await auth.check(QUESTION)).kind).toBe("undecided");
  nowMs += 1;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: false });
});

test("a Retry-After beyond reason keeps a caller waiting for an hour at the most", async () => {
  const auth = authorizer();
  answer = { kind: "undecided", cause: "rate-limited", reason: "429", retryAfterSeconds: 1e9 };
  await auth.check(QUESTION);
  answer = YES;
  nowMs += 3_600_000;
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
});

test("memory has a bound: the verdict unused for longest is forgotten", async () => {
  const auth = authorizer({
    maxRemembered: 2,
    store: { read: async () => undefined, write: async () => {}, delete: async () => {} },
  });
  const named = (name: string) => ({ ...QUESTION, repositoryPath: `acme/${name}` });
  await auth.check(named("a"));
  await auth.check(named("b"));
  await auth.check(named("a"));
  await auth.check(named("c"));
  await auth.check(named("a"));
  expect(asked).toHaveLength(3);
  await auth.check(named("b"));
  expect(asked).toHaveLength(4);
});

test("a process does not keep its own last yes once another has been told no, unless the store cannot be read", async () => {
  let isStoreAway = false;
  const read = async (key: string) =>
    isStoreAway ? Promise.reject(new Error("the store is gone")) : texts.get(key);
  const [one, two] = [authorizer({ store: { ...store, read } }), authorizer()];
  await one.check(QUESTION);
  nowMs += 61_000;
  answer = { kind: "refused", status: 404 };
  expect((await two.check(QUESTION)).kind).toBe("refused");
  answer = AWAY;
  isStoreAway = true;
  expect(await one.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
  nowMs += 3_000;
  isStoreAway = false;
  expect((await one.check(QUESTION)).kind).toBe("undecided");
});

test("one credential has one key, however it is written, and no other one has it", () => {
  const spellings = ["Basic YTpi", "basic YTpi", "BASIC  YTpi", "Basic YTpi "];
  expect(new Set(spellings.map((spelling) => KEYS.callerKey(spelling))).size).toBe(1);
  expect(KEYS.callerKey("Basic YTpiYw==")).toBe(KEYS.callerKey("Basic YTpiYw"));
  expect(KEYS.callerKey("Bearer YTpi")).toBe(KEYS.callerKey("bearer YTpi"));
  const others = ["Basic YTpi", "Basic YTpj", "Basic YTpi?", "Bearer YTpi", "Bearer YTpI", "Basic", "YTpi"];
  expect(new Set(others.map((other) => KEYS.callerKey(other))).size).toBe(others.length);
});
