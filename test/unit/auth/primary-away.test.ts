/** During an outage: who is served by an old yes, and how processes share one judgement. */
import { beforeEach, describe, expect, test } from "vitest";
import type { PrimaryAnswer, ReadQuestion } from "../../../lib/auth/ports.ts";
import { AuthorizerRig, AWAY, NO, QUESTION, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const about = (name: string): ReadQuestion => ({ ...QUESTION, repositoryPath: `acme/${name}` });
const UNREACHABLE = { kind: "undecided", cause: "unreachable", retryAfterSeconds: 10 };
const STALE = { kind: "allowed", isStale: true, finalPath: "acme/site" };
const SOON = { judgeOutageAfterMs: 20 };
const never = () => new Promise<PrimaryAnswer>(() => {});

/** One cold process after the other, as Lambda may start them. */
const cold = (question = QUESTION, limits = {}) => rig.process({ limits }).check(question);

describe("while the primary is away", () => {
  beforeEach(async () => {
    await cold();
    rig.pass(60_000);
    rig.isPrimaryUp = false;
    rig.answer = AWAY;
    rig.asked.length = 0;
  });

  test("a caller with a yes of the last 15 minutes is served, and others get 503", async () => {
    expect(await cold()).toMatchObject(STALE);
    expect(await cold(about("other"))).toMatchObject(UNREACHABLE);
    rig.pass(14 * 60_000 - 1);
    expect(await cold()).toMatchObject(STALE);
    rig.pass(1);
    expect(await cold()).toMatchObject(UNREACHABLE);
  });

  test("cold processes share one judgement for 10 s, and ask nothing meanwhile", async () => {
    expect(await cold()).toMatchObject(STALE);
    expect([rig.asked.length, rig.probes]).toEqual([1, 1]);
    rig.pass(3_000);
    for (let index = 0; index < 20; index++) {
      expect(await cold()).toMatchObject(STALE);
      expect(await cold(about(`b${index}`))).toMatchObject(UNREACHABLE);
    }
    expect([rig.asked.length, rig.probes]).toEqual([1, 1]);
  });

  test("it is probed again before a caller's question is asked, and then by one process", async () => {
    expect(await cold()).toMatchObject(STALE);
    rig.pass(10_000);
    const auths = Array.from({ length: 20 }, () => rig.process());
    for (const verdict of await Promise.all(auths.map((auth) => auth.check(QUESTION)))) {
      expect(verdict).toMatchObject(STALE);
    }
    expect([rig.asked.length, rig.probes]).toEqual([1, 2]);
    rig.pass(10_000);
    rig.isPrimaryUp = true;
    rig.answer = YES;
    expect(await cold()).toMatchObject({ kind: "allowed", isStale: false });
    expect(await cold(about("other"))).toMatchObject({ kind: "allowed", isStale: false });
    expect(rig.probes).toBe(3);
  });

  test("other processes are answered at once while one probes again", async () => {
    expect(await cold()).toMatchObject(STALE);
    rig.pass(10_000);
    const probe = Promise.withResolvers<boolean>();
    rig.isPrimaryUp = () => probe.promise;
    const first = cold(about("a"));
    await expect.poll(() => rig.probes).toBe(2);
    expect(await cold()).toMatchObject(STALE);
    probe.resolve(false);
    expect(await first).toMatchObject(UNREACHABLE);
    expect(rig.probes).toBe(2);
  });

  test("and silent, the judgement counts for 10 s from the end of its probe", async () => {
    rig.isPrimaryUp = async () => {
      rig.pass(10_000);
      return false;
    };
    expect(await cold()).toMatchObject(STALE);
    rig.pass(9_000);
    expect(await cold()).toMatchObject(STALE);
    expect(rig.probes).toBe(1);
  });

  test("within one process, others are answered at once while it is probed again", async () => {
    const auth = rig.process();
    expect(await auth.check(QUESTION)).toMatchObject(STALE);
    rig.pass(10_000);
    let end: (isUp: boolean) => void = () => {};
    rig.isPrimaryUp = () =>
      new Promise((resolve) => {
        end = resolve;
      });
    const first = auth.check(about("a"));
    await expect.poll(() => rig.probes).toBe(2);
    expect(await auth.check(about("b"))).toMatchObject(UNREACHABLE);
    end(false);
    expect(await first).toMatchObject(UNREACHABLE);
  });

  test("and silent, a caller is answered once that is judged", async () => {
    rig.answer = never;
    const startMs = performance.now();
    expect(await cold(QUESTION, SOON)).toMatchObject(STALE);
    expect(await cold(about("other"), SOON)).toMatchObject(UNREACHABLE);
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(rig.probes).toBe(1);
  });

  test("no yes outlives a no", async () => {
    rig.isPrimaryUp = true;
    rig.answer = NO;
    expect(await cold()).toMatchObject({ kind: "refused" });
    rig.pass(3_000);
    rig.isPrimaryUp = false;
    rig.answer = AWAY;
    expect(await cold()).toMatchObject(UNREACHABLE);
  });

  test("no caller is served with a limit of 0", async () => {
    expect(await cold(QUESTION, { staleMs: 0 })).toMatchObject(UNREACHABLE);
  });

  test("a store that fails changes no judgement of one process", async () => {
    const failing = () => Promise.reject(new Error("the store is gone"));
    const auth = rig.process({ store: { read: failing, replace: failing } });
    rig.answer = YES;
    await auth.check(QUESTION);
    rig.pass(60_000);
    rig.answer = AWAY;
    expect(await auth.check(QUESTION)).toMatchObject(STALE);
  });
});
