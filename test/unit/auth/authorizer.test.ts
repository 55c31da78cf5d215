import { beforeEach, expect, test } from "vitest";
import { CallerKeys } from "../../../lib/auth/caller-keys.ts";
import type { VerdictStore } from "../../../lib/auth/ports.ts";
import { textBlobs } from "../../../lib/repo/text-blobs.ts";
import { AuthorizerRig, AWAY, KEYS, NO, QUESTION, SECRET, YES } from "../../support/authorizer-rig.ts";

const STORED_KEY = `auth/${KEYS.questionKey(QUESTION)}`;

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

test("identical questions at once are asked once, others each", async () => {
  const auth = rig.process();
  const other = { ...QUESTION, repositoryPath: "acme/other" };
  await Promise.all([...Array(50)].flatMap(() => [auth.check(QUESTION), auth.check(other)]));
  expect(rig.asked).toHaveLength(2);
  expect(rig.asked.map(({ question }) => question)).toEqual(expect.arrayContaining([QUESTION, other]));
});

test("a yes for one credential or repository is none for another", async () => {
  const auth = rig.process();
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
  rig.answer = NO;
  expect((await auth.check({ ...QUESTION, authorization: "Basic YTpj" })).kind).toBe("refused");
  expect((await auth.check({ ...QUESTION, authorization: undefined })).kind).toBe("refused");
  expect((await auth.check({ ...QUESTION, repositoryPath: "acme/vault" })).kind).toBe("refused");
});

test("what is stored names no caller, and is of no use under another secret", async () => {
  await rig.process().check(QUESTION);
  const keys: string[] = [];
  for await (const { key } of rig.store.list("")) keys.push(key);
  const callerKey = `auth/${KEYS.callerKey(QUESTION.authorization)}`;
  expect(keys.toSorted()).toEqual([STORED_KEY, callerKey].toSorted());
  expect(STORED_KEY).toMatch(/^auth\/[0-9a-f]{64}$/);
  const askedAtMs = rig.nowMs;
  expect(JSON.parse((await textBlobs(rig.store).read(STORED_KEY))?.text ?? "")).toEqual({
    record: { answer: YES, askedAtMs, right: { askedAtMs, finalPath: "acme/site" } },
  });
  const accepted = (await textBlobs(rig.store).read(callerKey))?.text;
  expect(accepted).toBe(`{"acceptedAtMs":${askedAtMs}}`);
  const other = new CallerKeys("another secret that is long enough too");
  expect(`auth/${other.questionKey(QUESTION)}`).not.toBe(STORED_KEY);
  expect(() => new CallerKeys("short")).toThrow(RangeError);
});

test("while the secret is replaced, what is stored under the old one counts, and answers are stored under the new one", async () => {
  const NEW = "the next secret that is long enough as well";
  await rig.process().check(QUESTION);
  rig.pass(1_000);
  const both = () => rig.process({ keys: new CallerKeys(`${NEW},${SECRET}`) });
  expect(await both().check(QUESTION)).toMatchObject({ kind: "allowed", source: "store" });
  expect(rig.asked).toHaveLength(1);
  // What is no answer any more is still a right, and the credential one that was accepted.
  rig.pass(120_000);
  rig.answer = AWAY;
  rig.isPrimaryUp = false;
  expect(await both().check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
  rig.pass(120_000);
  rig.answer = YES;
  rig.isPrimaryUp = true;
  expect((await both().check(QUESTION)).kind).toBe("allowed");
  const askedCount = rig.asked.length;
  expect(askedCount).toBeGreaterThan(1);
  // Then the old one is not needed; processes that have not learned of the new one ask once more.
  expect((await rig.process({ keys: new CallerKeys(NEW) }).check(QUESTION)).kind).toBe("allowed");
  expect(rig.asked).toHaveLength(askedCount);
});

const SOUND = { answer: { kind: "allowed" }, askedAtMs: Date.parse("2025-12-31T23:58:00Z") };
const LATE = { ...SOUND, askedAtMs: Date.parse("2027-01-01T00:00:00Z") };

test.each([
  "",
  "{",
  "null",
  JSON.stringify({ record: { ...SOUND, askedAtMs: "yesterday" } }),
  JSON.stringify({ record: { ...LATE, right: { askedAtMs: LATE.askedAtMs } } }),
  JSON.stringify({ record: { ...SOUND, right: { askedAtMs: LATE.askedAtMs } } }),
  JSON.stringify({ record: { ...SOUND, right: { askedAtMs: SOUND.askedAtMs, extra: 1 } } }),
  JSON.stringify({ askedAt: "2026-01-01T00:00:00Z" }),
])("a stored verdict %j counts for nothing, and is replaced", async (text) => {
  await rig.store.write(STORED_KEY, new TextEncoder().encode(text));
  rig.answer = AWAY;
  expect((await rig.process().check(QUESTION)).kind).toBe("undecided");
  expect(rig.asked).toHaveLength(1);
  rig.pass(3_000);
  rig.answer = YES;
  await rig.process().check(QUESTION);
  rig.answer = AWAY;
  rig.isPrimaryUp = false;
  expect((await rig.process().check(QUESTION)).kind).toBe("allowed");
});

test("a store that fails changes no decision", async () => {
  const failing = () => Promise.reject(new Error("the store is gone"));
  const auth = rig.process({ store: { read: failing, replace: failing } });
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
  rig.nowMs += 60_000;
  rig.answer = NO;
  expect((await auth.check(QUESTION)).kind).toBe("refused");
});

test("a right that is taken away while the primary answers counts from the question", async () => {
  const auth = rig.process();
  rig.answer = async () => {
    rig.pass(9_000);
    return YES;
  };
  await auth.check(QUESTION);
  rig.pass(51_000);
  await auth.check(QUESTION);
  expect(rig.asked).toHaveLength(2);
});

test("a primary that comes back decides again within seconds", async () => {
  const auth = rig.process();
  rig.answer = AWAY;
  expect((await auth.check(QUESTION)).kind).toBe("undecided");
  rig.answer = YES;
  rig.nowMs += 2_999;
  expect((await auth.check(QUESTION)).kind).toBe("undecided");
  rig.nowMs += 1;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: false });
});

test("a Retry-After beyond reason keeps a caller waiting for an hour at the most", async () => {
  const auth = rig.process();
  rig.answer = { kind: "undecided", cause: "rate-limited", reason: "429", retryAfterSeconds: 1e9 };
  await auth.check(QUESTION);
  rig.answer = YES;
  rig.nowMs += 3_600_000;
  expect((await auth.check(QUESTION)).kind).toBe("allowed");
});

test("memory has a bound: the verdict unused for longest is forgotten", async () => {
  const auth = rig.process({
    limits: { maxRemembered: 2 },
    store: { read: async () => undefined, replace: async () => "1" },
  });
  const named = (name: string) => ({ ...QUESTION, repositoryPath: `acme/${name}` });
  await auth.check(named("a"));
  await auth.check(named("b"));
  await auth.check(named("a"));
  await auth.check(named("c"));
  await auth.check(named("a"));
  expect(rig.asked).toHaveLength(3);
  await auth.check(named("b"));
  expect(rig.asked).toHaveLength(4);
});

test("a process does not keep its own last yes once another got a no, unless the store cannot be read", async () => {
  let isStoreAway = false;
  const texts = textBlobs(rig.store);
  const store: VerdictStore = {
    ...texts,
    read: (key) => (isStoreAway ? Promise.reject(new Error("the store is gone")) : texts.read(key)),
  };
  const [one, two] = [rig.process({ store }), rig.process()];
  await one.check(QUESTION);
  rig.nowMs += 61_000;
  rig.answer = NO;
  expect((await two.check(QUESTION)).kind).toBe("refused");
  rig.answer = AWAY;
  rig.isPrimaryUp = false;
  isStoreAway = true;
  expect(await one.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
  rig.nowMs += 3_000;
  isStoreAway = false;
  expect((await one.check(QUESTION)).kind).toBe("undecided");
});

test("one credential has one key, however it is written, and no other one has it", () => {
  const spellings = ["Basic YTpi", "basic YTpi", "BASIC  YTpi", "Basic YTpi "];
  expect(new Set(spellings.map((spelling) => KEYS.callerKey(spelling))).size).toBe(1);
  expect(KEYS.callerKey("Basic YTpiYw==")).toBe(KEYS.callerKey("Basic YTpiYw"));
  expect(KEYS.callerKey("Bearer YTpi")).toBe(KEYS.callerKey("bearer YTpi"));
  const others = ["Basic YTpi", "Basic YTpj", "Bearer YTpi", "Bearer YTpI", "Basic", "YTpi"];
  expect(new Set(others.map((other) => KEYS.callerKey(other))).size).toBe(others.length);
});
