/** A 401 to a credential that the primary accepted a short time ago is asked once more, as Bitbucket sometimes errs. */
import { beforeEach, describe, expect, test } from "vitest";
import { AuthorizerRig, AWAY, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const REFUSED = { kind: "refused", status: 401, source: "primary" };
const retried = () => rig.asked.map((asked) => asked.retried);

test("a credential that was never accepted: the 401 is believed at once", async () => {
  rig.answer = UNAUTHORIZED;
  expect(await rig.process().check(QUESTION)).toMatchObject(REFUSED);
  expect(retried()).toEqual([false]);
});

test("after a yes it is asked once more, then believed, and not asked twice again", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject(REFUSED);
  rig.pass(3_000);
  expect(await auth.check(QUESTION)).toMatchObject(REFUSED);
  expect(retried()).toEqual([false, true, false]);
});

test("a believed 401 ends the last yes, also when the primary is away afterwards", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  await auth.check(QUESTION);
  rig.pass(3_000);
  rig.answer = AWAY;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "undecided", cause: "unreachable" });
});

test("another process knows that the credential was accepted", async () => {
  await rig.process().check(QUESTION);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await rig.process().check(QUESTION)).toMatchObject(REFUSED);
  expect(retried()).toEqual([false, true]);
});

test("without a credential the challenge comes at once", async () => {
  const anonymous = { ...QUESTION, authorization: undefined };
  const auth = rig.process();
  await auth.check(anonymous);
  rig.pass(60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(anonymous)).toMatchObject(REFUSED);
  expect(retried()).toEqual([false, false]);
});

test.each([
  { minutes: 14.99, isRetried: true },
  { minutes: 15, isRetried: false },
])("$minutes minutes after the yes it is asked once more: $isRetried", async ({ minutes, isRetried }) => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(minutes * 60_000);
  rig.answer = UNAUTHORIZED;
  expect(await auth.check(QUESTION)).toMatchObject(REFUSED);
  expect(retried()).toEqual([false, isRetried]);
});

test("other refusals are never asked twice", async () => {
  const auth = rig.process();
  await auth.check(QUESTION);
  rig.pass(60_000);
  rig.answer = NO;
  expect(await auth.check(QUESTION)).toMatchObject({ kind: "refused", status: 404 });
  expect(retried()).toEqual([false, false]);
});

describe("a credential that the primary accepted for another repository", () => {
  const OTHER = { ...QUESTION, repositoryPath: "acme/other" };

  test("is asked about once more, in this process or another", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    expect(await auth.check(OTHER)).toMatchObject(REFUSED);
    expect(await rig.process().check({ ...QUESTION, repositoryPath: "acme/third" })).toMatchObject(REFUSED);
    expect(retried()).toEqual([false, true, true]);
  });

  test("and refused twice, is refused by one question from then on", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    for (let round = 0; round < 3; round++) {
      expect(await auth.check(OTHER)).toMatchObject(REFUSED);
      rig.pass(5_000);
    }
    expect(retried()).toEqual([false, true, false, false]);
  });

  test("does not vouch for another credential", async () => {
    const auth = rig.process();
    await auth.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    expect(await auth.check({ ...OTHER, authorization: "Basic d3Jvbmc=" })).toMatchObject(REFUSED);
    expect(retried()).toEqual([false, false]);
  });

  test("is remembered if the store fails, and costs one write in five minutes", async () => {
    const failing = () => Promise.reject(new Error("the store is gone"));
    const alone = rig.process({ store: { read: failing, replace: failing } });
    await alone.check(QUESTION);
    rig.answer = UNAUTHORIZED;
    await alone.check(OTHER);
    expect(retried()).toEqual([false, true]);
    const auth = rig.process();
    rig.answer = YES;
    const writesFor = async (name: string) => {
      rig.store.reset();
      await auth.check({ ...QUESTION, repositoryPath: `acme/${name}` });
      return rig.store.counts().write;
    };
    // An unknown credential reserves its question.
    expect([await writesFor("a"), await writesFor("b")]).toEqual([4, 2]);
    rig.pass(5 * 60_000);
    expect([await writesFor("c"), await writesFor("d")]).toEqual([3, 2]);
  });
});
