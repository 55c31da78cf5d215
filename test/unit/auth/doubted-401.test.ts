/** A credential that the primary took just before is not erased for a 401 or two that it did not mean. */
import { beforeEach, expect, test } from "vitest";
import { AuthorizerRig, AWAY, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const doubted = (retryAfterSeconds: number) => ({ kind: "undecided", cause: "doubted", retryAfterSeconds });

test("with no yes on record a 401 is believed at once, and asked about once", async () => {
  rig.answer = UNAUTHORIZED;
  expect(await rig.process().check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
  expect(rig.asked.map(({ retries401 }) => retries401)).toEqual([false]);
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
  expect(rig.asked.map(({ retries401 }) => retries401)).toEqual([false, true, true]);
  // Now there is no yes on record any more.
  rig.pass(3_000);
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 401 });
  expect(rig.asked.at(-1)?.retries401).toBe(false);
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
  expect(rig.asked.at(-1)?.retries401).toBe(false);
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
