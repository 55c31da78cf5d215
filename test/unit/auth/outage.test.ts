/** An outage is judged by the mirror's own questions, never by callers', and only then an old yes counts. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { PrimaryAnswer, ReadQuestion, VerdictStore } from "../../../lib/auth/ports.ts";
import { textBlobs } from "../../../lib/repo/text-blobs.ts";
import { AuthorizerRig, AWAY, KEYS, NO, QUESTION, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const about = (name: string): ReadQuestion => ({ ...QUESTION, repositoryPath: `acme/${name}` });
const UNREACHABLE = { kind: "undecided", cause: "unreachable", retryAfterSeconds: 10 };
const SOON = { judgeOutageAfterMs: 20 };
const LIMITED: PrimaryAnswer = {
  kind: "undecided",
  cause: "rate-limited",
  reason: "429",
  retryAfterSeconds: 900,
};
const UNREADABLE: PrimaryAnswer = { kind: "undecided", cause: "unreadable", reason: "damaged" };

/** One cold process after the other, as Lambda may start them. */
const cold = (question = QUESTION, limits = {}) => rig.process({ limits }).check(question);

describe("while the primary answers the mirror itself", () => {
  test.each([
    ["unreachable", AWAY],
    ["rate-limited", LIMITED],
    ["unreadable", UNREADABLE],
  ])("a revoked right ends after 60 s, though the caller's questions are %s", async (cause, answer) => {
    await cold();
    rig.pass(60_000);
    rig.answer = answer;
    for (let round = 0; round < 20; round++) {
      expect(await cold()).toMatchObject({ kind: "undecided", cause });
      rig.pass(4_000);
    }
  });

  test("it ends as well if they are never answered", async () => {
    await cold();
    rig.pass(60_000);
    rig.answer = async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return AWAY;
    };
    const startMs = performance.now();
    expect(await cold(QUESTION, { ...SOON, deadlineMs: 300 })).toMatchObject(UNREACHABLE);
    expect(performance.now() - startMs).toBeGreaterThan(250);
  });

  test("one caller's questions without an answer keep no other caller out", async () => {
    const auth = rig.process();
    rig.answer = async ({ question }) => (question.authorization === "Basic d3Jvbmc=" ? AWAY : YES);
    for (let index = 0; index < 20; index++) {
      await auth.check({ authorization: "Basic d3Jvbmc=", repositoryPath: `acme/odd-${index}` });
    }
    expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: false });
    expect(await cold(about("other"))).toMatchObject({ kind: "allowed", isStale: false });
  });

  test("it is probed once in 10 s, by all processes together", async () => {
    rig.answer = AWAY;
    for (let index = 0; index < 20; index++)
      expect(await cold(about(`a${index}`))).toMatchObject(UNREACHABLE);
    expect(rig.probes).toBe(1);
    rig.pass(10_000);
    await Promise.all(Array.from({ length: 20 }, (_, index) => cold(about(`b${index}`))));
    expect(rig.probes).toBe(2);
  });

  test("a question that is answered in time costs no probe", async () => {
    const auth = rig.process({ limits: SOON });
    await auth.check(QUESTION);
    rig.answer = NO;
    await auth.check(about("other"));
    await sleep(60);
    expect(rig.probes).toBe(0);
  });

  test("a judgement that other processes keep claimed is none", async () => {
    const texts = textBlobs(rig.store);
    await cold();
    rig.pass(60_000);
    rig.answer = AWAY;
    rig.isPrimaryUp = false;
    const outageKey = `auth/${KEYS.outageKey()}`;
    const store: VerdictStore = {
      ...texts,
      replace: async (key, ...write) => (key === outageKey ? undefined : texts.replace(key, ...write)),
    };
    expect(await rig.process({ store }).check(QUESTION)).toMatchObject(UNREACHABLE);
    expect(rig.probes).toBe(0);
  });

  test("a probe that was frozen with its process proves nothing", async () => {
    await cold();
    rig.pass(60_000);
    rig.answer = AWAY;
    rig.isPrimaryUp = async () => {
      rig.pass(3_600_000);
      return false;
    };
    expect(await cold()).toMatchObject(UNREACHABLE);
    expect(await cold(about("other"))).toMatchObject(UNREACHABLE);
    rig.answer = YES;
    rig.isPrimaryUp = true;
    expect(await cold()).toMatchObject({ kind: "allowed", isStale: false });
  });

  test("no answer leaves while a probe is under way, so that none is frozen", async () => {
    const probe = Promise.withResolvers<boolean>();
    rig.isPrimaryUp = () => probe.promise;
    rig.answer = async () => {
      await sleep(60);
      return YES;
    };
    let hasLeft = false;
    const verdict = cold(QUESTION, SOON).finally(() => {
      hasLeft = true;
    });
    await sleep(150);
    expect([rig.probes, hasLeft]).toEqual([1, false]);
    probe.resolve(true);
    expect(await verdict).toMatchObject({ kind: "allowed", isStale: false });
  });

  test("a slow answer is waited for", async () => {
    rig.answer = async () => {
      await sleep(100);
      return YES;
    };
    expect(await cold(QUESTION, SOON)).toMatchObject({ kind: "allowed", isStale: false });
    expect(rig.probes).toBe(1);
  });
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
    await expect.poll(() => rig.asked.length).toBe(2);
    rig.pass(3_600_000);
    rig.answer = NO;
    expect((await auth.check(QUESTION)).kind).toBe("refused");
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
      return NO;
    };
    const flood = Array.from({ length: 60 }, (_, index) => auth.check(about(String(index))));
    expect((await auth.check(QUESTION)).kind).toBe("refused");
    await Promise.all(flood);
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
    const allowed = kinds.filter((kind) => kind === "allowed").length;
    expect(rig.asked).toHaveLength(allowed);
    expect(allowed).toBeLessThan(30);
    // Questions that were aborted in the queue have not taken a turn with them.
    rig.pass(3_000);
    expect((await auth.check(about("next"))).kind).toBe("allowed");
  });
});
