/** Credentials are not tried out through the mirror, and who shares an address with a guesser is served all the same. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { accountOf } from "../../../lib/auth/caller-keys.ts";
import type { ReadQuestion } from "../../../lib/auth/ports.ts";
import type { Verdict } from "../../../lib/auth/verdict.ts";
import { AuthorizerRig, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

const ADDRESS = "203.0.113.9";
const GOOD: ReadQuestion = { ...QUESTION, source: ADDRESS };
const guess = (index: number, changed: Partial<ReadQuestion> = {}): ReadQuestion => ({
  ...GOOD,
  authorization: `Bearer guess-${index}`,
  ...changed,
});
const LIMITED = { kind: "undecided", cause: "guessing" };

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
  rig.answer = UNAUTHORIZED;
});

const limitedTo = (wrongCredentialsPerMinute: number) => rig.process({ wrongCredentialsPerMinute });

const basic = (account: string, token: string | number): Partial<ReadQuestion> => ({
  authorization: `Basic ${btoa(`${account}:${token}`)}`,
});
const ELSEWHERE = { repositoryPath: "acme/elsewhere" };

test("over the limit of one address, one that was rejected is not asked about again within the minute", async () => {
  const auth = limitedTo(3);
  for (const index of [1, 2, 3]) expect((await auth.check(guess(index))).kind).toBe("refused");
  rig.pass(10_000);
  expect(await auth.check(guess(1))).toMatchObject({ ...LIMITED, retryAfterSeconds: 50 });
  expect(rig.asked).toHaveLength(3);
  expect((await auth.check(guess(1, { source: "203.0.113.10" }))).kind).toBe("refused");
  rig.pass(10_000);
  expect((await auth.check(guess(5))).kind).toBe("refused");
  expect(rig.asked).toHaveLength(5);
});

test("new callers behind the address of a guesser take turns with the accounts that it guesses for", async () => {
  const auth = limitedTo(3);
  for (const index of [1, 2, 3]) await auth.check(guess(index));
  rig.answer = async ({ question }) =>
    accountOf(question.authorization ?? "") === "mallory" ? UNAUTHORIZED : YES;
  const guesses = Array.from({ length: 150 }, (_, index) =>
    auth.check(guess(index, basic("mallory", index))),
  );
  const newcomers = Array.from({ length: 6 }, (_, index) =>
    auth.check(guess(index, basic(`new-${index}`, 1))),
  );
  for (const verdict of await Promise.all(newcomers)) expect(verdict.kind).toBe("allowed");
  const names = rig.asked.slice(3).map(({ question }) => question.authorization);
  // The first guess was alone, and one more may have had its turn before the last newcomer.
  expect(names.length).toBeLessThanOrEqual(9);
  void Promise.allSettled(guesses);
});

test("20 of an address wait behind rejected ones, the account with the most is refused at once", async () => {
  const auth = limitedTo(1);
  await auth.check(guess(1));
  const limited: Verdict[] = [];
  for (let index = 0; index < 250; index++) {
    const checked = auth.check(guess(index, basic("mallory", index)));
    void checked.then((verdict) => verdict.kind === "undecided" && limited.push(verdict));
  }
  await expect.poll(() => limited.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(225);
  expect(limited[0]).toMatchObject({ ...LIMITED, retryAfterSeconds: 4 });
  rig.answer = YES;
  expect((await auth.check(guess(0, basic("newcomer", 1)))).kind).toBe("allowed");
  expect(rig.asked.length).toBeLessThan(40);
});

test("a newcomer that waits is not pushed out by those who come with ever new names", async () => {
  const auth = limitedTo(1);
  await auth.check(guess(1));
  rig.answer = async ({ question }) =>
    accountOf(question.authorization ?? "") === "new" ? YES : UNAUTHORIZED;
  const newcomers: ReturnType<typeof auth.check>[] = [];
  const later = Array.from({ length: 400 }, (_, index) => {
    if (index === 10) newcomers.push(auth.check(guess(index, basic("new", 1))));
    return auth.check(guess(index, basic(`mallory-${index}`, 1)));
  });
  const refused = later.slice(21).map(async (verdict) => expect(await verdict).toMatchObject(LIMITED));
  await Promise.all(refused);
  expect(await newcomers[0]).toMatchObject({ kind: "allowed" });
  void Promise.allSettled(later);
});

test("150 that wait for slow answers are refused once enough are rejected, but for 20", async () => {
  const auth = limitedTo(10);
  let reject: (() => void) | undefined;
  const rejected = new Promise<void>((resolve) => {
    reject = resolve;
  });
  rig.answer = async () => {
    await rejected;
    return UNAUTHORIZED;
  };
  let limitedCount = 0;
  const guesses = Array.from({ length: 160 }, (_, index) =>
    auth.check(guess(index, basic(`mallory-${index}`, 1))).then((verdict) => {
      if (verdict.kind === "undecided") limitedCount += 1;
    }),
  );
  await expect.poll(() => rig.asked.length).toBeGreaterThanOrEqual(10);
  expect(limitedCount).toBe(0);
  reject?.();
  await expect.poll(() => limitedCount, { timeout: 20_000 }).toBeGreaterThanOrEqual(80);
  void Promise.allSettled(guesses);
});

test("a credential that was accepted within a day waits for no guesser", async () => {
  rig.answer = YES;
  await rig.process().check(GOOD);
  rig.pass(20 * 3_600_000);
  const auth = limitedTo(1);
  rig.answer = UNAUTHORIZED;
  await auth.check(guess(1));
  const guesses = Array.from({ length: 100 }, (_, index) => auth.check(guess(index)));
  rig.answer = async ({ question }) => (question.authorization === GOOD.authorization ? YES : UNAUTHORIZED);
  const startedMs = performance.now();
  expect(await auth.check({ ...GOOD, ...ELSEWHERE })).toMatchObject({ kind: "allowed" });
  // Those that wait before it take 4 s.
  expect(performance.now() - startedMs).toBeLessThan(3_000);
  void Promise.allSettled(guesses);
});

test("a new caller behind the address of a guesser is served, however many it has tried", async () => {
  const auth = limitedTo(60);
  for (let index = 0; index < 64; index++) await auth.check(guess(index));
  rig.answer = YES;
  expect(await auth.check(guess(99))).toMatchObject({ kind: "allowed" });
});

test("one that has expired counts once, however often and for whatever it is shown", async () => {
  const auth = limitedTo(2);
  for (let round = 0; round < 4; round++) {
    expect((await auth.check(guess(1, { repositoryPath: `acme/site-${round}` }))).kind).toBe("refused");
  }
  expect((await auth.check(guess(2))).kind).toBe("refused");
  expect(await auth.check(guess(1, ELSEWHERE))).toMatchObject(LIMITED);
});

test("a right that is missing is no wrong credential, and a challenge none either", async () => {
  const auth = limitedTo(1);
  rig.answer = NO;
  for (const index of [1, 2, 3]) await auth.check(guess(index));
  rig.answer = UNAUTHORIZED;
  await auth.check({ ...GOOD, authorization: undefined });
  rig.pass(3_000);
  rig.answer = YES;
  expect((await auth.check(GOOD)).kind).toBe("allowed");
});

test("who could read before is asked about from the same address, also in a process that has not seen it", async () => {
  rig.answer = YES;
  await rig.process().check(GOOD);
  rig.pass(60_000);
  const auth = limitedTo(1);
  rig.answer = UNAUTHORIZED;
  await auth.check(guess(1));
  rig.answer = YES;
  expect(await auth.check(guess(1, ELSEWHERE))).toMatchObject(LIMITED);
  expect(await auth.check(GOOD)).toMatchObject({ kind: "allowed", isStale: false });
  expect((await auth.check({ ...GOOD, authorization: undefined })).kind).toBe("allowed");
});

test("what one address may not ask another may, with the same credential and at the same time", async () => {
  const auth = limitedTo(1);
  await auth.check(guess(1));
  rig.answer = YES;
  const asked = [guess(1, ELSEWHERE), guess(1, { ...ELSEWHERE, source: "198.51.100.1" })];
  const [limited, allowed] = await Promise.all(asked.map((question) => auth.check(question)));
  expect([limited?.kind, allowed?.kind]).toEqual(["undecided", "allowed"]);
});

test("0 is no limit", async () => {
  const auth = limitedTo(0);
  for (let index = 0; index < 50; index++) expect((await auth.check(guess(index))).kind).toBe("refused");
});

const answeredAfterMs =
  (ms: number, isGood: (account: string) => boolean): typeof rig.answer =>
  async ({ question }) => {
    await sleep(ms);
    return isGood(accountOf(question.authorization ?? "")) ? YES : UNAUTHORIZED;
  };

test("200 wrong ones at once from one address: the limit is asked, then five a second; elsewhere and good ones go on", async () => {
  const auth = limitedTo(20);
  rig.answer = answeredAfterMs(0, (account) => account !== "mallory");
  expect((await auth.check(guess(0, basic("known", 1)))).kind).toBe("allowed");
  rig.asked.length = 0;
  rig.answer = answeredAfterMs(600, (account) => account !== "mallory");
  const startedMs = performance.now();
  const guesses = Array.from({ length: 200 }, (_, index) =>
    auth.check(guess(index, basic("mallory", index))),
  );
  const askedOf = (account: string) =>
    rig.asked.filter(({ question }) => accountOf(question.authorization ?? "") === account).length;
  const newcomer = (account: string, source: string) =>
    auth.check(guess(0, { ...basic(account, 1), source })).then(({ kind }) => kind);
  const known = auth.check(guess(0, { ...basic("known", 1), ...ELSEWHERE }));
  const elsewhere = newcomer("elsewhere", "198.51.100.1");
  const here = newcomer("here", ADDRESS);
  await expect.poll(() => [askedOf("known"), askedOf("elsewhere")]).toEqual([1, 1]);
  expect(await Promise.all([known.then(({ kind }) => kind), elsewhere, here])).toEqual(
    Array(3).fill("allowed"),
  );
  const turns = Math.ceil((performance.now() - startedMs) / 200);
  expect(askedOf("mallory")).toBeGreaterThanOrEqual(20);
  expect(askedOf("mallory")).toBeLessThanOrEqual(20 + 1 + turns);
  void Promise.allSettled(guesses);
});

test("60 good ones at once from one address do not wait for turns: each answer lets the next one start", async () => {
  const auth = limitedTo(10);
  rig.answer = answeredAfterMs(10, () => true);
  const startedMs = performance.now();
  const verdicts = await Promise.all(
    Array.from({ length: 60 }, (_, index) => auth.check(guess(index, basic(`new-${index}`, 1)))),
  );
  expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["allowed"]));
  // Fifty turns take 10 s.
  expect(performance.now() - startedMs).toBeLessThan(8_000);
});

test("1,000 wrong ones from 100 addresses: 32 are under way at a time, and a newcomer is among the next", async () => {
  const auth = limitedTo(20);
  let runningCount = 0;
  let maxRunning = 0;
  rig.answer = async ({ question }) => {
    maxRunning = Math.max(maxRunning, ++runningCount);
    await sleep(20);
    runningCount -= 1;
    return accountOf(question.authorization ?? "") === "newcomer" ? YES : UNAUTHORIZED;
  };
  const fromEach = (index: number) =>
    auth.check(guess(index, { ...basic("mallory", index), source: `198.51.100.${index % 100}` }));
  const guesses = Array.from({ length: 1_000 }, (_, index) => fromEach(index));
  expect((await auth.check(guess(0, { ...basic("newcomer", 1) }))).kind).toBe("allowed");
  expect(rig.asked.length).toBeLessThan(400);
  await Promise.all(guesses);
  expect(maxRunning).toBe(32);
});
