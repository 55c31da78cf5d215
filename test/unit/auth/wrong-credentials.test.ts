/** Credentials are not tried out through the mirror, and who shares an address with a guesser is served all the same. */
import { beforeEach, expect, test } from "vitest";
import type { ReadQuestion } from "../../../lib/auth/ports.ts";
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

test("over the limit of one address no other is asked about, until fewer count", async () => {
  const auth = limitedTo(3);
  for (const index of [1, 2, 3]) expect((await auth.check(guess(index))).kind).toBe("refused");
  rig.pass(10_000);
  expect(await auth.check(guess(4))).toMatchObject({ ...LIMITED, retryAfterSeconds: 10 });
  expect(await auth.check(guess(1))).toMatchObject({ ...LIMITED, retryAfterSeconds: 10 });
  expect(rig.asked).toHaveLength(3);
  expect((await auth.check(guess(4, { source: "203.0.113.10" }))).kind).toBe("refused");
  rig.pass(10_000);
  expect((await auth.check(guess(5))).kind).toBe("refused");
  expect(rig.asked).toHaveLength(5);
});

test("a new caller behind the address of a guesser waits for its turn, and is served", async () => {
  const auth = limitedTo(60);
  for (let index = 0; index < 80; index++) await auth.check(guess(index));
  rig.answer = YES;
  expect(await auth.check(guess(99))).toMatchObject({ kind: "allowed" });
});

test("one that has expired counts once, however often and for whatever it is shown", async () => {
  const auth = limitedTo(2);
  for (let round = 0; round < 4; round++) {
    expect((await auth.check(guess(1, { repositoryPath: `acme/site-${round}` }))).kind).toBe("refused");
  }
  expect((await auth.check(guess(2))).kind).toBe("refused");
  expect(await auth.check(guess(3))).toMatchObject(LIMITED);
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
  expect(await auth.check(guess(2))).toMatchObject(LIMITED);
  expect(await auth.check(GOOD)).toMatchObject({ kind: "allowed", isStale: false });
  expect((await auth.check({ ...GOOD, authorization: undefined })).kind).toBe("allowed");
});

test("what one address may not ask another may, with the same credential and at the same time", async () => {
  const auth = limitedTo(1);
  await auth.check(guess(1));
  rig.answer = YES;
  const elsewhere = { ...GOOD, source: "198.51.100.1" };
  const [limited, allowed] = await Promise.all([auth.check(GOOD), auth.check(elsewhere)]);
  expect([limited.kind, allowed.kind]).toEqual(["undecided", "allowed"]);
});

test("0 is no limit", async () => {
  const auth = limitedTo(0);
  for (let index = 0; index < 50; index++) expect((await auth.check(guess(index))).kind).toBe("refused");
});
