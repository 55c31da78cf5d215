/** While the primary is away or slow, callers are answered soon, and it is asked one question at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { PrimaryAnswer, ReadQuestion } from "../../../lib/auth/ports.ts";
import { AuthorizerRig, QUESTION, YES } from "../../support/authorizer-rig.ts";

const SILENT: PrimaryAnswer = {
  kind: "undecided",
  cause: "unreachable",
  reason: "no answer",
  outage: "certain",
};
const BROKEN: PrimaryAnswer = { ...SILENT, reason: "connection reset", outage: "likely" };
const ODD: PrimaryAnswer = { kind: "undecided", cause: "unreachable", reason: "not git's" };
const LIMITED: PrimaryAnswer = {
  kind: "undecided",
  cause: "rate-limited",
  reason: "429",
  retryAfterSeconds: 900,
};

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const about = (name: string): ReadQuestion => ({ ...QUESTION, repositoryPath: `acme/${name}` });
const unreachable = (retryAfterSeconds: number) => ({
  kind: "undecided",
  cause: "unreachable",
  retryAfterSeconds,
});

describe("a pause", () => {
  test("begins with the first silence: others are answered without a question, for 5 s", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.pass(60_000);
    rig.answer = SILENT;
    expect(await auth.check(about("a"))).toMatchObject(unreachable(10));
    rig.answer = YES;
    rig.store.reset();
    expect(await auth.check(about("b"))).toMatchObject(unreachable(5));
    expect(rig.store.counts()).toMatchObject({ requests: 1, write: 0 });
    expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
    expect(rig.asked).toHaveLength(2);
    rig.pass(5_000);
    expect(await auth.check(about("b"))).toMatchObject({ kind: "allowed", isStale: false });
    expect(await auth.check(about("c"))).toMatchObject({ kind: "allowed" });
  });

  test.each([
    [30, 30],
    [0, 1],
    [100_000, 60],
  ])("of Retry-After: %i lasts %i s", async (retryAfterSeconds, pauseSeconds) => {
    const auth = rig.process();
    rig.answer = { ...SILENT, retryAfterSeconds };
    expect(await auth.check(about("a"))).toMatchObject(unreachable(pauseSeconds));
    rig.answer = YES;
    expect(await auth.check(about("b"))).toMatchObject(unreachable(pauseSeconds));
    rig.pass(pauseSeconds * 1000 - 1);
    expect(await auth.check(about("c"))).toMatchObject(unreachable(1));
    expect(await auth.check(about("a"))).toMatchObject(unreachable(1));
    // What is remembered is in whole seconds.
    rig.pass(1_000);
    for (const name of ["a", "b", "c"]) expect((await auth.check(about(name))).kind).toBe("allowed");
  });

  test("begins with the second broken connection, unless there was an answer between them", async () => {
    const auth = rig.process();
    const say = async (answer: PrimaryAnswer, name: string) => {
      rig.answer = answer;
      await auth.check(about(name));
    };
    await say(BROKEN, "a");
    await say(YES, "b");
    await say(BROKEN, "c");
    await say(ODD, "d");
    expect(rig.asked).toHaveLength(4);
    await say(BROKEN, "e");
    await say(YES, "f");
    expect(rig.asked).toHaveLength(5);
  });

  test("is not begun by what the primary says of one repository", async () => {
    const auth = rig.process();
    rig.answer = ODD;
    for (const name of ["a", "b", "c", "d"]) await auth.check(about(name));
    expect(rig.asked).toHaveLength(4);
  });
});

test("after a pause one question at a time finds out whether the primary is back", async () => {
  const auth = rig.process();
  rig.answer = SILENT;
  await auth.check(about("a"));
  rig.pass(5_000);
  let answerProbe: (answer: PrimaryAnswer) => void = () => {};
  rig.answer = () =>
    new Promise((resolve) => {
      answerProbe = resolve;
    });
  const probe = auth.check(about("b"));
  await sleep(20);
  const others = await Promise.all(["c", "d", "e"].map((name) => auth.check(about(name))));
  for (const other of others) expect(other).toMatchObject(unreachable(1));
  expect(rig.asked).toHaveLength(2);
  answerProbe(SILENT);
  expect((await probe).kind).toBe("undecided");
  rig.answer = YES;
  rig.pass(4_999);
  expect(await auth.check(about("f"))).toMatchObject(unreachable(1));
  rig.pass(1);
  expect((await auth.check(about("g"))).kind).toBe("allowed");
});

describe("while the primary takes its time", () => {
  test("a question of an hour ago is not waited for: the process may have been frozen meanwhile", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.pass(60_000);
    let answerLate: (answer: PrimaryAnswer) => void = () => {};
    rig.answer = () =>
      new Promise((resolve) => {
        answerLate = resolve;
      });
    void auth.check(QUESTION);
    await sleep(10);
    rig.pass(3_600_000);
    rig.answer = { kind: "refused", status: 404 };
    expect((await auth.check(QUESTION)).kind).toBe("refused");
    // What was asked an hour ago does not count either when its answer comes.
    answerLate(YES);
    await sleep(10);
    expect((await auth.check(QUESTION)).kind).toBe("refused");
  });

  test("a caller with a last yes goes before a queue of other questions", async () => {
    const auth = rig.process({ limits: { maxConcurrentQuestions: 4 } });
    await auth.check(QUESTION);
    rig.pass(14 * 60_000);
    rig.answer = async () => {
      await sleep(60);
      return { kind: "refused", status: 404 };
    };
    const flood = Array.from({ length: 60 }, (_, index) => auth.check(about(String(index))));
    expect((await auth.check(QUESTION)).kind).toBe("refused");
    await Promise.all(flood);
  });

  test("others wait until it has answered", async () => {
    const auth = rig.process();
    rig.answer = async () => {
      await sleep(100);
      return YES;
    };
    expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: false });
  });

  test("it is asked no more questions at once than it may be, and the rest in their turn or not at all", async () => {
    const auth = rig.process({ limits: { maxConcurrentQuestions: 3, deadlineMs: 500 } });
    let running = 0;
    let most = 0;
    rig.answer = async () => {
      running += 1;
      most = Math.max(most, running);
      await sleep(200);
      running -= 1;
      return YES;
    };
    const names = Array.from({ length: 30 }, (_, index) => `site-${index}`);
    const kinds = (await Promise.all(names.map((name) => auth.check(about(name))))).map(({ kind }) => kind);
    expect(most).toBe(3);
    expect(kinds).toEqual([...Array(9).fill("allowed"), ...Array(21).fill("undecided")]);
    expect(rig.asked).toHaveLength(9);
    // Those who left the line have not taken a turn with them.
    rig.pass(3_000);
    expect((await auth.check(about("next"))).kind).toBe("allowed");
  });
});

test("who is limited in rate is served for five minutes after the last yes, another outage for fifteen", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = LIMITED;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
  rig.pass(4 * 60_000);
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "undecided", cause: "rate-limited" });
  const other = new AuthorizerRig();
  const elsewhere = other.process();
  await elsewhere.check(QUESTION);
  other.pass(14 * 60_000);
  other.answer = SILENT;
  expect(await elsewhere.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: true });
});
