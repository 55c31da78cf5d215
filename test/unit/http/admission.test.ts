import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Admission } from "../../../lib/http/admission.ts";
import { ByteBudget } from "../../../lib/http/byte-budget.ts";

const LIMITS = {
  maxRunning: 4,
  maxRunningOfCaller: 2,
  maxWaiting: 6,
  maxWaitingOfCaller: 3,
  maxWaitMs: 60_000,
};
const { signal } = new AbortController();
const status = (promise: Promise<unknown>) =>
  promise.then(
    () => "entered",
    (error: { status?: number; name: string }) => error.status ?? error.name,
  );

const waits = async (promise: Promise<unknown>) => Promise.race([status(promise), sleep(20, "waits")]);

test("a caller runs two at a time, three wait beside others, and further ones are refused at once", async () => {
  const admission = new Admission(LIMITS);
  const ends = [await admission.enter("a", signal), await admission.enter("a", signal)];
  for (let index = 0; index < 2; index++) await admission.enter("b", signal);
  const leaving = new AbortController();
  const other = status(admission.enter("b", leaving.signal));
  const waiting = [1, 2, 3].map(() => admission.enter("a", signal));
  expect(await status(admission.enter("a", signal))).toBe(429);
  leaving.abort();
  expect(await other).toBe("AbortError");
  ends[0]?.();
  // Twice counts once.
  ends[0]?.();
  const next = await waiting[0];
  expect(await waits(waiting[1] as Promise<unknown>)).toBe("waits");
  next?.();
  (await waiting[1])?.();
  ends[1]?.();
  (await waiting[2])?.();
  // Nothing is left behind.
  for (let index = 0; index < 20; index++) (await admission.enter("a", signal))();
});

test("alone, a caller fills the queue, and what is above its share leaves as others come", async () => {
  const admission = new Admission(LIMITS);
  const ends = [await admission.enter("a", signal), await admission.enter("a", signal)];
  for (let index = 0; index < 2; index++) await admission.enter("b", signal);
  const outcomes: unknown[] = [];
  const waiting = Array.from({ length: 6 }, async (_, index) => {
    outcomes[index] = await status(admission.enter("a", signal));
  });
  expect(await status(admission.enter("a", signal))).toBe(429);
  const others = ["c", "d", "e", "f", "g"].map((caller) => admission.enter(caller, signal));
  await Promise.all(waiting.slice(1));
  expect(outcomes).toEqual([undefined, 429, 429, 429, 429, 429]);
  // Each has one now, and those before it get their turns.
  expect(await status(admission.enter("h", signal))).toBe(503);
  for (const end of ends) end();
  await Promise.all([waiting[0], others[0]]);
});

test("several callers that fill the queue, each within its share, leave room to a new one", async () => {
  const admission = new Admission({ ...LIMITS, maxRunning: 1 });
  const leaving = new AbortController();
  await admission.enter("a", signal);
  const outcomes: Record<string, unknown> = {};
  const enter = async (name: string, caller: string) => {
    outcomes[name] = await status(admission.enter(caller, leaving.signal));
  };
  for (const number of [1, 2, 3]) for (const caller of ["a", "b"]) void enter(caller + number, caller);
  void enter("c1", "c");
  await sleep(1);
  expect(outcomes).toEqual({ a3: 429 });
  // One that has fewer, but not none, too: then all have the same.
  void enter("c2", "c");
  await sleep(1);
  expect(outcomes).toEqual({ a3: 429, b3: 429 });
  expect(await status(admission.enter("c", leaving.signal))).toBe(503);
  leaving.abort();
});

test("many tasks that end at once cost one look at those that wait, and each gets its turn before newcomers", async () => {
  const admission = new Admission({ ...LIMITS, maxRunning: 200, maxWaiting: 1_000 });
  let looks = 0;
  const group = (key: string) => ({
    get key() {
      looks += 1;
      return key;
    },
    maxRunning: 200,
  });
  const running = await Promise.all(
    Array.from({ length: 200 }, (_, number) => admission.enter(`runs ${number}`, signal)),
  );
  const started: string[] = [];
  const enter = (caller: string, weight: number) =>
    void admission
      .enterWith(caller, signal, { weight, groups: [group(caller)] })
      .then(() => started.push(caller));
  for (let number = 0; number < 500; number++) enter(`large ${number}`, 150);
  enter("small", 100);
  looks = 0;
  for (const end of running.slice(0, 100)) end();
  enter("newcomer", 100);
  await sleep(1);
  expect(started).toEqual(["small"]);
  expect(looks).toBeLessThan(2_000);
});

test("callers that were refused, left, or waited too long are forgotten", async () => {
  const admission = new Admission({ ...LIMITS, maxRunning: 1, maxWaiting: 2, maxWaitMs: 20 });
  const end = await admission.enter("a", signal);
  const leaving = new AbortController();
  const waiting = [admission.enter("left", leaving.signal), admission.enter("late", signal)].map(status);
  for (let index = 0; index < 10; index++)
    expect(await status(admission.enter(`refused-${index}`, signal))).toBe(503);
  leaving.abort();
  expect(await Promise.all(waiting)).toEqual(["AbortError", 503]);
  expect(admission.callerCount).toBe(1);
  end();
  expect(admission.callerCount).toBe(0);
});

test("callers take turns, however many requests one has", async () => {
  const admission = new Admission({ ...LIMITS, maxRunning: 1, maxRunningOfCaller: 1, maxWaitingOfCaller: 5 });
  const order: string[] = [];
  const run = async (caller: string) => {
    const end = await admission.enter(caller, signal);
    order.push(caller);
    await sleep(1);
    end();
  };
  const many = Array.from({ length: 5 }, () => run("many"));
  await Promise.all([...many, run("one"), run("two")]);
  expect(order).toEqual(["many", "many", "one", "two", "many", "many", "many"]);
});

const WITH_RESERVE = {
  ...LIMITS,
  maxRunning: 5,
  maxRunningOfCaller: 4,
  reserve: { weight: 2, maxWeight: 1 },
};

test("the reserve is for callers that have nothing running, and the rest for all in turn", async () => {
  const admission = new Admission(WITH_RESERVE);
  const ends = [];
  for (const caller of ["a", "a", "b"]) ends.push(await admission.enter(caller, signal));
  const started: string[] = [];
  for (const caller of ["a", "b", "c", "d"])
    void admission.enter(caller, signal).then(() => started.push(caller));
  await sleep(1);
  expect(started).toEqual(["c"]);
  for (const end of ends) end();
  await sleep(1);
  expect(started).toEqual(["c", "a", "b", "d"]);
});

test("ever new callers do not keep out one that has a task that runs", async () => {
  const admission = new Admission({ ...WITH_RESERVE, maxWaiting: 100 });
  await admission.enter("ci", signal);
  const running: (() => void)[] = [];
  const comes = (name: string) => void admission.enter(name, signal).then((end) => running.push(end));
  for (let index = 0; index < 10; index++) comes(`new ${index}`);
  let served = 0;
  for (let index = 0; index < 3; index++) void admission.enter("ci", signal).then(() => served++);
  for (let index = 10; index < 40 && served === 0; index++) {
    await sleep(0);
    running.shift()?.();
    comes(`new ${index}`);
  }
  expect(served).toBe(1);
});

test("all callers together have a limit, and it says 503", async () => {
  const admission = new Admission({ ...LIMITS, maxWaiting: 2 });
  for (const caller of ["a", "b"])
    for (let index = 0; index < 2; index++) await admission.enter(caller, signal);
  const leaving = new AbortController();
  const waiting = ["c", "d"].map((caller) => status(admission.enter(caller, leaving.signal)));
  expect(await status(admission.enter("e", signal))).toBe(503);
  // Who leaves makes room.
  leaving.abort();
  expect(await Promise.all(waiting)).toEqual(["AbortError", "AbortError"]);
  expect(await status(admission.enter("e", leaving.signal))).toBe("AbortError");
  expect(await waits(admission.enter("e", signal))).toBe("waits");
});

test("a wait ends after a time", async () => {
  const admission = new Admission({ ...LIMITS, maxRunning: 2, maxWaitMs: 20 });
  await admission.enter("a", signal);
  await admission.enter("a", signal);
  expect(
    await Promise.all([status(admission.enter("a", signal)), status(admission.enter("b", signal))]),
  ).toEqual([429, 503]);
});

test("tasks have weights: what one gives up lets others run, and a caller leaves room for the next", async () => {
  const limits = { ...LIMITS, maxRunning: 100, maxRunningOfCaller: 100, shareOfFree: 1 / 4 };
  const admission = new Admission(limits);
  // The first one may be large.
  const large = await admission.enterWith("a", signal, { weight: 60 });
  const second = admission.enterWith("a", signal, { weight: 10 });
  expect(await waits(second)).toBe("waits");
  const other = await admission.enterWith("b", signal, { weight: 5 });
  large.resizeTo(9);
  await second;
  // It is counted, not refused.
  other.resizeTo(70);
  expect(await waits(admission.enterWith("b", signal, { weight: 1 }))).toBe("waits");
  await admission.enterWith("c", signal, { weight: 11 });
});

test("bytes count for a caller and for all, until they are released", () => {
  const budget = new ByteBudget(100, 60);
  budget.take("a", 60);
  expect(() => budget.take("a", 1)).toThrow(expect.objectContaining({ status: 429 }));
  budget.take("b", 40);
  expect(() => budget.take("c", 1)).toThrow(expect.objectContaining({ status: 503 }));
  budget.release("a", 60);
  budget.take("c", 60);
});
