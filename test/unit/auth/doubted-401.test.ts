/** A credential that the primary took just before is not erased for a 401 or two that it did not mean. */
import { beforeEach, describe, expect, test } from "vitest";
import { AuthorizerRig, AWAY, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const doubted = (retryAfterSeconds: number) => ({ kind: "undecided", cause: "doubted", retryAfterSeconds });

test("with no yes on record a 401 is believed at once, and asked about once", async () => {
  rig.answer = UNAUTHORIZED;
  expect(await rig.process().check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
  expect(rig.asked.map(({ retried }) => retried)).toEqual([false]);
});

test("after a yes it is asked about again, then doubted, and believed when it is said again later", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject(doubted(5));
  rig.pass(4_999);
  expect(await auth.check(QUESTION)).toMatchObject(doubted(1));
  expect(rig.asked).toHaveLength(2);
  rig.pass(1);
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 401, source: "primary" });
  expect(rig.asked.map(({ retried }) => retried)).toEqual([false, true, true]);
  // Now there is no yes on record any more.
  rig.pass(3_000);
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
  expect(rig.asked.at(-1)?.retried).toBe(false);
});

test("a yes after the doubt ends it", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  await auth.check(QUESTION);
  rig.pass(5_000);
  rig.answer = YES;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "allowed", isStale: false });
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject(doubted(5));
});

test("what is doubted is not served, also when the primary is away then", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  await auth.check(QUESTION);
  rig.pass(5_000);
  rig.answer = AWAY;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "undecided", cause: "unreachable" });
  rig.pass(3_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
});

test("another process knows of the yes and of the doubt", async () => {
  await rig.process().check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await rig.process().check(QUESTION)).toMatchObject(doubted(5));
  rig.pass(2_000);
  expect(await rig.process().check(QUESTION)).toMatchObject({ ...doubted(3), source: "store" });
  expect(rig.asked).toHaveLength(2);
  rig.pass(3_000);
  expect(await rig.process().check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
});

test("who shows no credential is challenged at once", async () => {
  const anonymous = { ...QUESTION, authorization: undefined };
  const auth = rig.process();
  await auth.check(anonymous);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(anonymous)).toMatchObject({ kind: "refused", status: 401 });
  expect(rig.asked.at(-1)?.retried).toBe(false);
});

test("a yes of more than 15 minutes ago raises no doubt, and other refusals never do", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = NO;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 404 });
  rig.pass(3_000);
  rig.answer = YES;
  await auth.check(QUESTION);
  rig.pass(15 * 60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
});

describe("for a repository that a credential asks for the first time", () => {
  const OTHER = { ...QUESTION, repositoryPath: "acme/other" };

  test("a 401 is doubted as well, if the primary took the credential elsewhere, in this process or another", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    expect(await auth.check(OTHER)).toMatchObject(doubted(5));
    rig.pass(5_000);
    expect(await auth.check(OTHER)).toMatchObject({ kind: "refused", status: 401 });
    expect(rig.asked.map(({ retried }) => retried)).toEqual([false, true, true]);
    const third = { ...QUESTION, repositoryPath: "acme/third" };
    expect(await rig.process().check(third)).toMatchObject(doubted(5));
    rig.pass(5_000);
    rig.answer = YES;
    expect(await rig.process().check(third)).toMatchObject({ kind: "allowed", isStale: false });
  });

  test("what was doubted so is never served while the primary is away", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    await auth.check(OTHER);
    rig.pass(5_000);
    rig.answer = AWAY;
    expect(await auth.check(OTHER)).toMatchObject({ kind: "undecided", cause: "unreachable" });
  });

  test("a 401 that was believed is believed from then on, though the credential is good elsewhere", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    await auth.check(OTHER);
    for (let round = 0; round < 5; round++) {
      rig.pass(5_000);
      expect(await auth.check(OTHER)).toMatchObject({ kind: "refused", status: 401 });
    }
  });

  test("another credential is none that was taken, nor is one of more than 15 minutes ago", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    const wrong = { ...OTHER, authorization: "Basic d3Jvbmc=" };
    expect(await auth.check(wrong)).toMatchObject({ kind: "refused", status: 401 });
    rig.pass(15 * 60_000);
    expect(await auth.check(OTHER)).toMatchObject({ kind: "refused", status: 401 });
  });

  test("what is known of callers survives a store that fails, and costs a write in five minutes", async () => {
    const failing = () => Promise.reject(new Error("the store is gone"));
    const alone = rig.process({ store: { read: failing, write: failing, replace: failing } });
    await alone.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    expect(await alone.check(OTHER)).toMatchObject(doubted(5));
    const auth = rig.process();
    rig.answer = YES;
    const writesFor = async (name: string) => {
      rig.store.reset();
      await auth.check({ ...QUESTION, repositoryPath: `acme/${name}` });
      return rig.store.counts().write;
    };
    expect([await writesFor("a"), await writesFor("b")]).toEqual([3, 2]);
    rig.pass(5 * 60_000);
    expect([await writesFor("c"), await writesFor("d")]).toEqual([3, 2]);
  });
});
