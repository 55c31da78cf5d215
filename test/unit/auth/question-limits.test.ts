/** How many refused questions one credential may ask, over all processes of a mirror. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { ReadQuestion } from "../../../lib/auth/ports.ts";
import { AuthorizerRig, AWAY, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const about = (name: string, changed: Partial<ReadQuestion> = {}): ReadQuestion => ({
  ...QUESTION,
  repositoryPath: `acme/${name}`,
  ...changed,
});
const names = (count: number) => Array.from({ length: count }, (_, index) => about(`site-${index}`));
const LIMITED = { kind: "undecided", cause: "refused-often" };

async function storedCount(): Promise<number> {
  let count = 0;
  for await (const _ of rig.store.list("auth/")) count += 1;
  return count;
}

describe("a credential that the primary has not accepted", () => {
  test.each(["one process", "a process each"])(
    "1,000 names at once cost 5 questions and 6 files, in %s",
    async (where) => {
      rig.answer = async () => {
        await sleep(20);
        return UNAUTHORIZED;
      };
      const one = rig.process();
      const process = () => (where === "one process" ? one : rig.process());
      const count = where === "one process" ? 1_000 : 100;
      const verdicts = await Promise.all(names(count).map((question) => process().check(question)));
      expect(rig.asked).toHaveLength(5);
      expect(verdicts.filter(({ kind }) => kind === "refused")).toHaveLength(5);
      expect(
        verdicts.filter((verdict) => verdict.kind === "undecided" && verdict.cause === "refused-often"),
      ).toHaveLength(count - 5);
      expect(await storedCount()).toBe(6);
      // The next minute.
      rig.pass(60_000);
      expect(await rig.process().check(about("next"))).toMatchObject({ kind: "refused" });
    },
  );

  test("a later process reads that from the store, and asks and writes nothing", async () => {
    rig.answer = NO;
    for (const question of names(5)) await rig.process().check(question);
    rig.pass(20_000);
    rig.store.reset();
    expect(await rig.process().check(about("next"))).toMatchObject({ ...LIMITED, retryAfterSeconds: 40 });
    expect([rig.asked.length, rig.store.counts().write]).toEqual([5, 0]);
    // The same question as before is asked no more either, and others' credentials are no concern of it.
    expect(await rig.process().check(about("site-0"))).toMatchObject({ kind: "refused", status: 404 });
    expect(rig.asked).toHaveLength(5);
    rig.answer = YES;
    const other = about("next", { authorization: "Basic b3RoZXI6MQ==" });
    expect(await rig.process().check(other)).toMatchObject({ kind: "allowed" });
  });

  test.each(["one process", "a process each"])(
    "that is good is accepted once, and asks for 60 repositories at once, in %s",
    async (where) => {
      rig.answer = async () => {
        await sleep(10);
        return YES;
      };
      const one = rig.process();
      const verdicts = await Promise.all(
        names(60).map((question) => (where === "one process" ? one : rig.process()).check(question)),
      );
      expect(verdicts.filter(({ kind }) => kind === "allowed")).toHaveLength(60);
      expect(rig.asked).toHaveLength(60);
    },
  );

  test.each([
    ["wrong", UNAUTHORIZED, "refused"],
    ["good", YES, "allowed"],
  ] as const)(
    "that is %s is asked about once, if 40 processes ask the same at once",
    async (_, answer, kind) => {
      rig.answer = async () => {
        await sleep(30);
        return answer;
      };
      const verdicts = await Promise.all(Array.from({ length: 40 }, () => rig.process().check(QUESTION)));
      expect(verdicts.map((verdict) => verdict.kind)).toEqual(Array(40).fill(kind));
      expect(rig.asked).toHaveLength(1);
    },
  );

  test("questions without an answer do not count", async () => {
    rig.answer = AWAY;
    for (const question of names(8)) await rig.process().check(question);
    rig.answer = YES;
    expect(await rig.process().check(about("next"))).toMatchObject({ kind: "allowed" });
  });
});

describe("a credential that the primary accepted lately", () => {
  beforeEach(async () => {
    await rig.process().check(QUESTION);
    rig.asked.length = 0;
    rig.answer = NO;
  });

  test("may be refused 20 times a minute, over all processes", async () => {
    const auths = [rig.process(), rig.process(), rig.process()];
    for (const [index, question] of names(20).entries()) {
      rig.pass(250);
      expect(await auths[index % 3]?.check(question)).toMatchObject({ kind: "refused" });
    }
    expect(await rig.process().check(about("next"))).toMatchObject(LIMITED);
    expect(rig.asked).toHaveLength(20);
  });

  const refusedSlowly: typeof rig.answer = async () => {
    await sleep(Math.random() * 30);
    return NO;
  };

  test("that asks for 300 refused names at once asks few more than 20 of them", async () => {
    rig.answer = refusedSlowly;
    const auth = rig.process();
    const verdicts = await Promise.all(names(300).map((question) => auth.check(question)));
    expect(rig.asked.length).toBeGreaterThanOrEqual(20);
    expect(rig.asked.length).toBeLessThan(20 + 4);
    expect(verdicts.filter(({ kind }) => kind === "refused")).toHaveLength(rig.asked.length);
    expect(await rig.process().check(about("next"))).toMatchObject(LIMITED);
  });

  test("that asks for 60 refused names in a process each loses no count", async () => {
    rig.answer = refusedSlowly;
    const processes = names(60).map(() => rig.process());
    const checks = names(60).map((question, index) => processes[index]?.check(question));
    expect(new Set((await Promise.all(checks)).map((verdict) => verdict?.kind))).toContain("refused");
    const askedCount = rig.asked.length;
    expect(askedCount).toBeLessThanOrEqual(60);
    rig.pass(1_000);
    for (const process of processes) expect(await process.check(about("next"))).toMatchObject(LIMITED);
    expect(rig.asked).toHaveLength(askedCount);
  });

  test.each([0, 19])(
    "after %i refusals it may read 200 repositories, asked about side by side",
    async (refused) => {
      const auth = rig.process();
      for (let index = 0; index < refused; index++) await auth.check(about(`refused-${index}`));
      let running = 0;
      let most = 0;
      rig.answer = async () => {
        most = Math.max(most, ++running);
        await sleep(100);
        running -= 1;
        return YES;
      };
      const verdicts = await Promise.all(names(200).map((question) => auth.check(question)));
      expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["allowed"]));
      expect(most).toBeGreaterThanOrEqual(refused === 0 ? 40 : 8);
      expect(most).toBeLessThanOrEqual(refused === 0 ? 60 : 8);
    },
  );

  test("that was refused often is not asked within the minute about what was refused; a new right works soon else", async () => {
    const auth = rig.process();
    for (const question of names(4)) await auth.check(question);
    rig.pass(5_000);
    await auth.check(about("site-0"));
    expect(rig.asked).toHaveLength(5);
    rig.pass(5_000);
    for (const process of [auth, rig.process()]) {
      expect(await process.check(about("site-0"))).toMatchObject({ kind: "refused", ageMs: 5_000 });
    }
    expect(rig.asked).toHaveLength(5);
    rig.pass(55_000);
    rig.answer = YES;
    expect(await auth.check(about("site-0"))).toMatchObject({ kind: "allowed" });
  });

  test("is always asked about what it could read, whatever was refused", async () => {
    const auth = rig.process({ limits: { refusedPerMinuteAccepted: 3 } });
    for (const question of names(5)) await auth.check(question);
    expect(rig.asked).toHaveLength(3);
    rig.answer = YES;
    for (const process of [auth, rig.process({ limits: { refusedPerMinuteAccepted: 3 } })]) {
      rig.pass(60_000);
      for (const question of names(3)) await process.check(question);
      expect(await process.check(QUESTION)).toMatchObject({ kind: "allowed", source: "primary" });
    }
  });

  test("asks 60 questions at a time, and another caller waits for one of them at most", async () => {
    let running = 0;
    let most = 0;
    rig.answer = async () => {
      running += 1;
      most = Math.max(most, running);
      await sleep(100);
      running -= 1;
      return YES;
    };
    const auth = rig.process();
    const fleet = Promise.all(names(300).map((question) => auth.check(question)));
    await expect.poll(() => rig.asked.length).toBeGreaterThanOrEqual(20);
    await auth.check(about("next", { authorization: "Basic b3RoZXI6MQ==" }));
    expect(rig.asked.length).toBeLessThan(300);
    expect((await fleet).every(({ kind }) => kind === "allowed")).toBe(true);
    expect(most).toBeLessThanOrEqual(60 + 1);
  });

  test.each([
    ["served in their turn", 13_000, "allowed"],
    ["limited by the mirror at their deadline", 250, "busy"],
  ])("questions that wait for a turn are %s, and prove no outage", async (_, deadlineMs, outcome) => {
    rig.answer = async () => {
      await sleep(100);
      return YES;
    };
    const limits = { maxConcurrentQuestions: 1, judgeOutageAfterMs: 150, deadlineMs };
    const auth = rig.process({ limits });
    const verdicts = await Promise.all(names(6).map((question) => auth.check(question)));
    const outcomes = verdicts.map((verdict) => (verdict.kind === "undecided" ? verdict.cause : verdict.kind));
    expect(outcomes.at(-1)).toBe(outcome);
    expect(new Set(outcomes)).toEqual(new Set(["allowed", outcome]));
    expect(rig.probes).toBe(0);
    // Nothing was stored that another process could take for an answer.
    expect(await rig.process().check(about("site-5"))).toMatchObject({ kind: "allowed" });
  });
});

describe.each(["accepted lately", "not accepted yet"])("a credential %s", (standing) => {
  const nowhere = (name: string): ReadQuestion => {
    const { uuid: _, ...question } = about(name);
    return question;
  };
  const unanswered = (count: number) => Array.from({ length: count }, (_, index) => nowhere(`away-${index}`));

  beforeEach(async () => {
    if (standing === "accepted lately") await rig.process().check(QUESTION);
    rig.asked.length = 0;
  });

  test("that asks for names about which the primary says nothing asks 5 times a minute", async () => {
    rig.answer = async () => {
      await sleep(20);
      return AWAY;
    };
    const auth = rig.process();
    const verdicts = await Promise.all(unanswered(40).map((question) => auth.check(question)));
    expect(rig.asked.length).toBeLessThanOrEqual(5);
    expect(verdicts.at(-1)).toMatchObject(LIMITED);
    // A mirrored name and an unknown one get the same answer.
    expect(await rig.process().check(about("mirrored"))).toMatchObject(LIMITED);
    expect(await rig.process().check(nowhere("unknown"))).toMatchObject(LIMITED);
    rig.pass(60_000);
    rig.answer = NO;
    expect(await rig.process().check(nowhere("unknown"))).toMatchObject({ kind: "refused" });
  });
});
