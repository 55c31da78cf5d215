/** Questions that the primary leaves unanswered hold places for a long time, and keep no other caller waiting. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { ReadQuestion } from "../../../lib/auth/ports.ts";
import { AuthorizerRig, QUESTION, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
  rig.answer = async ({ question, signal }) => {
    if (!question.repositoryPath.startsWith("acme/hangs")) return YES;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return { kind: "undecided", cause: "unreachable", reason: "hangs" };
  };
});

/** About a name that means nothing here, of a caller of its own. */
const asked = (caller: string, name: string, source: string): ReadQuestion => ({
  ...{ authorization: `Basic ${btoa(`${caller}:1`)}`, repositoryPath: `acme/${name}`, source },
});
const ask = (auth: ReturnType<AuthorizerRig["process"]>, questions: ReadQuestion[]) =>
  Promise.allSettled(questions.map((question) => auth.check(question)));
const hangingCount = () => rig.asked.filter(({ question }) => question.uuid === undefined).length;

test.each([
  [
    "different names, from one address",
    (index: number) => ({ name: `hangs-${index}`, source: "203.0.113.1" }),
    32,
  ],
  [
    "one name, from an address each",
    (index: number) => ({ name: "hangs", source: `203.0.113.${index}` }),
    64,
  ],
] as const)("60 unknown callers that ask for %s", async (_, chosen, maxAsked) => {
  const auth = rig.process();
  const startedMs = performance.now();
  const flood = ask(
    auth,
    Array.from({ length: 60 }, (_, index) => {
      const { name, source } = chosen(index);
      return asked(`unknown-${index}`, name, source);
    }),
  );
  await expect.poll(hangingCount).toBeGreaterThanOrEqual(32);
  const newcomer = { ...QUESTION, source: "198.51.100.1" };
  expect(await auth.check(newcomer)).toMatchObject({ kind: "allowed" });
  // It did not wait until the others' deadline, which is after 13 s.
  expect(performance.now() - startedMs).toBeLessThan(9_000);
  void flood;
  expect(hangingCount()).toBeLessThanOrEqual(maxAsked);
});

test("many good callers, each with names of its own", async () => {
  const auth = rig.process();
  const callers = Array.from({ length: 40 }, (_, index) => `good-${index}`);
  await ask(
    auth,
    callers.map((caller) => asked(caller, "site", "203.0.113.1")),
  );
  rig.asked.length = 0;
  const startedMs = performance.now();
  const flood = ask(
    auth,
    callers.flatMap((caller, index) =>
      [0, 1, 2].map((number) => asked(caller, `hangs-${index}-${number}`, "203.0.113.1")),
    ),
  );
  await expect.poll(() => rig.asked.length).toBeGreaterThanOrEqual(64);
  for (const name of ["new-0", "new-1", "new-2"]) {
    const question = { ...QUESTION, authorization: `Basic ${btoa(`${name}:1`)}`, source: "198.51.100.1" };
    expect(await auth.check(question)).toMatchObject({ kind: "allowed" });
  }
  expect(performance.now() - startedMs).toBeLessThan(9_000);
  void flood;
});

test("60 good callers, each with four names: those whose questions hang get no more places", async () => {
  const auth = rig.process();
  const callers = Array.from({ length: 60 }, (_, index) => ({
    name: `good-${index}`,
    source: `203.0.113.${index}`,
  }));
  await ask(
    auth,
    callers.map(({ name, source }) => asked(name, "site", source)),
  );
  rig.asked.length = 0;
  const flood = ask(
    auth,
    [0, 1, 2, 3].flatMap((number) =>
      callers.map(({ name, source }, index) => asked(name, `hangs-${index}-${number}`, source)),
    ),
  );
  await expect.poll(hangingCount, { timeout: 10_000 }).toBeGreaterThanOrEqual(64);
  await sleep(1_000);
  expect(await auth.check({ ...QUESTION, source: "198.51.100.1" })).toMatchObject({ kind: "allowed" });
  expect(hangingCount()).toBe(64);
  void flood;
});
