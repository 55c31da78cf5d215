import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { BodyAdmission } from "../../../lib/http/body-admission.ts";

const LIMITS = {
  maxRunning: 4,
  maxRunningOfCaller: 4,
  maxWaiting: 10,
  maxWaitingOfCaller: 10,
  maxWaitMs: 60_000,
  slowMs: 1_000,
};

function bodies() {
  let nowMs = 0;
  const admission = new BodyAdmission(LIMITS, { maxMs: 60_000, maxIdleMs: 60_000 }, () => nowMs);
  const outcomes: Record<string, unknown> = {};
  const { signal } = new AbortController();
  const read = (caller: string, name: string) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      outcomes[name] = "reading";
      yield new Uint8Array(1);
      await new Promise(() => undefined);
    }
    const iterate = async () => {
      for await (const _ of admission.read({ caller, signal }, chunks()));
    };
    outcomes[name] = "waits";
    iterate().catch((error: { status?: number }) => {
      outcomes[name] = error.status;
    });
  };
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { read, advance, outcomes };
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

test("the place of a body that ends, or whose reader stops, is free", async () => {
  const admission = new BodyAdmission(LIMITS, { maxMs: 60_000, maxIdleMs: 60_000 });
  const { signal } = new AbortController();
  async function* chunks() {
    yield new Uint8Array(1);
    yield new Uint8Array(1);
  }
  for (let count = 0; count < 20; count++) {
    for await (const _ of admission.read({ caller: "a", signal }, chunks())) if (count % 2 === 0) break;
  }
});
