import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { BodyAdmission } from "../../../lib/http/body-admission.ts";

const LIMITS = {
  maxRunning: 4,
  maxRunningOfCaller: 4,
  maxWaiting: 10,
  maxWaitingOfCaller: 10,
  maxWaitMs: 60_000,
  slack: { startMs: 1_000, maxMs: 5_000 },
};
const TIME = { maxMs: 60_000, maxIdleMs: 60_000 };

function bodies() {
  let nowMs = 0;
  const admission = new BodyAdmission(LIMITS, () => nowMs);
  const outcomes: Record<string, unknown> = {};
  const arrives: Record<string, (bytes: number) => void> = {};
  const { signal } = new AbortController();
  const read = (caller: string, name: string) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      outcomes[name] = "reading";
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<number>();
        arrives[name] = resolve;
        yield new Uint8Array(await promise);
      }
    }
    const iterate = async () => {
      for await (const _ of admission.read({ caller, signal }, chunks(), TIME));
    };
    outcomes[name] = "waits";
    iterate().catch((error: { status?: number }) => {
      outcomes[name] = error.status;
    });
  };
  const advance = (ms: number) => {
    nowMs += ms;
  };
  const arrive = async (name: string, bytes: number) => {
    arrives[name]?.(bytes);
    await sleep(1);
  };
  return { read, advance, arrive, outcomes };
}

test("a slow body loses its place to one that waits, of the caller with most of them", async () => {
  const { read, advance, outcomes } = bodies();
  read("a", "a1");
  for (const name of ["b1", "b2", "b3"]) read("b", name);
  await sleep(10);
  advance(1_001);
  read("c", "c1");
  await sleep(10);
  expect(outcomes).toEqual({ a1: "reading", b1: 503, b2: "reading", b3: "reading", c1: "reading" });
});

test("no body is cut before it is slow, nor for a caller that has as many", async () => {
  const { read, advance, outcomes } = bodies();
  for (const caller of ["a", "b"]) for (const number of [1, 2]) read(caller, `${caller}${number}`);
  await sleep(10);
  advance(999);
  read("c", "c1");
  read("a", "a3");
  await sleep(10);
  expect(Object.values(outcomes)).toEqual(["reading", "reading", "reading", "reading", "waits", "waits"]);
  advance(10);
  // Looked for once a second.
  for (let count = 0; count < 100 && outcomes["c1"] === "waits"; count++) await sleep(50);
  expect(outcomes["c1"]).toBe("reading");
  expect(outcomes["a3"]).toBe("waits");
});

test("a body at the minimum rate is not cut, however long it takes; of those below it the slowest goes first", async () => {
  const { read, advance, arrive, outcomes } = bodies();
  const bytesPerSecond = { uplink: 50_000, steady: 17_000, slow: 4_000, slower: 1_000 };
  for (const name of Object.keys(bytesPerSecond)) read("a", name);
  await sleep(10);
  for (let second = 0; second < 20; second++) {
    advance(1_000);
    for (const [name, bytes] of Object.entries(bytesPerSecond)) await arrive(name, bytes);
  }
  advance(500);
  for (const [index, name] of ["b", "c", "d"].entries()) {
    read(name, name);
    await sleep(10 * (index + 1));
  }
  await expect.poll(() => outcomes["c"], { timeout: 10_000 }).toBe("reading");
  expect(outcomes).toMatchObject({
    slower: 503,
    slow: 503,
    uplink: "reading",
    steady: "reading",
    d: "waits",
  });
});

test("what one waits for this process does not count", async () => {
  const admission = new BodyAdmission({ ...LIMITS, maxRunning: 1 }, () => nowMs);
  let nowMs = 0;
  const { signal } = new AbortController();
  async function* chunks() {
    for (;;) yield new Uint8Array(1_000);
  }
  const busy = admission.read({ caller: "a", signal }, chunks(), TIME);
  for (let count = 0; count < 3; count++) {
    await busy.next();
    nowMs += 10_000;
  }
  const other = admission.read({ caller: "b", signal }, chunks(), TIME).next();
  await sleep(10);
  await busy.next();
  await busy.return();
  expect(await other).toMatchObject({ done: false });
});

test("the place of a body that ends, or whose reader stops, is free", async () => {
  const admission = new BodyAdmission(LIMITS);
  const { signal } = new AbortController();
  async function* chunks() {
    yield new Uint8Array(1);
    yield new Uint8Array(1);
  }
  for (let count = 0; count < 20; count++) {
    for await (const _ of admission.read({ caller: "a", signal }, chunks(), TIME)) if (count % 2 === 0) break;
  }
});
