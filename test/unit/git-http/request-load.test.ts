/** What requests for packs may use of a process. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { RequestLoad } from "../../../lib/git-http/request-load.ts";
import { textResponse } from "../../../lib/http/error-response.ts";

const { signal } = new AbortController();
const MIB = 1024 * 1024;
const OK = () => textResponse(200, "ok");

test("plans take turns; a wait for a sync, and an answer that is only read, take none", async () => {
  const load = new RequestLoad({ maxPlans: 8, maxPlansOfCaller: 1 });
  const first = await load.serve("a", signal, async (admitted) => {
    admitted.bodyRead();
    await admitted.startPlanning(0);
    return OK();
  });
  const sync = Promise.withResolvers<void>();
  let hasPlanned = false;
  const second = load.serve("a", signal, async (admitted) => {
    await admitted.startPlanning(0);
    await admitted.outside(() => sync.promise);
    hasPlanned = true;
    return OK();
  });
  await sleep(10);
  expect(hasPlanned).toBe(false);
  // The answer is read to its end.
  for await (const _ of first.body);
  await sleep(10);
  // While the second one waits for its sync, a third one is planned.
  const third = await load.serve("a", signal, async (admitted) => {
    await admitted.startPlanning(0);
    admitted.planned(0);
    return OK();
  });
  expect(hasPlanned).toBe(false);
  sync.resolve();
  await second;
  expect(third.status).toBe(200);
});

test("a caller that leaves frees what it used", async () => {
  const load = new RequestLoad({ maxPlans: 1, maxPlansOfCaller: 1 });
  const leaving = new AbortController();
  await load.serve("a", leaving.signal, async (admitted) => {
    admitted.keep(4 * MIB);
    await admitted.startPlanning(0);
    return OK();
  });
  leaving.abort();
  for (let index = 0; index < 20; index++) {
    const { body } = await load.serve("a", signal, async (admitted) => {
      admitted.keep(4 * MIB);
      await admitted.startPlanning(0);
      return OK();
    });
    for await (const _ of body);
  }
});

test("one request keeps 4 MiB, a caller 16, and all of them 64, while small ones are served", async () => {
  const load = new RequestLoad();
  const keeping = (caller: string, bytes: number) =>
    load.serve(caller, signal, async (admitted) => {
      admitted.keep(bytes);
      return OK();
    });
  await expect(keeping("a", 4 * MIB + 1)).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
  for (let index = 0; index < 4; index++) await keeping("a", 4 * MIB);
  await expect(keeping("a", MIB)).rejects.toMatchObject({ status: 429 });
  for (let index = 0; index < 12; index++) await keeping(`b${index}`, 4 * MIB);
  await keeping("c", MIB / 4);
  await expect(keeping("d", 4 * MIB)).rejects.toMatchObject({ status: 503 });
  await keeping("d", 60_000);
});

test("a body that does not arrive is given up, and its connection is asked to end", async () => {
  const load = new RequestLoad(undefined, { maxMs: 60_000, maxIdleMs: 30 });
  let hasEnded = false;
  const dribbling = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<IteratorResult<Uint8Array>>(() => {}),
      async return() {
        hasEnded = true;
        return { done: true as const, value: undefined };
      },
    }),
  };
  const served = load.serve("a", signal, async (admitted) => {
    for await (const _ of admitted.body(dribbling));
    return OK();
  });
  await expect(served).rejects.toMatchObject({ status: 408 });
  expect(hasEnded).toBe(true);
});

test("answers that are being read hold memory: their caller waits, others do not", async () => {
  const load = new RequestLoad();
  const ask = async (caller: string, heldBytes: number) =>
    load.serve(caller, signal, async (admitted) => {
      await admitted.startPlanning(16 * MIB);
      admitted.planned(heldBytes);
      return OK();
    });
  const reading = [];
  for (let index = 0; index < 3; index++) reading.push(await ask("slow", 20 * MIB));
  let isServed = false;
  const waiting = ask("slow", MIB).then(() => {
    isServed = true;
  });
  // However many callers hold what they may, a further one finds room.
  for (let index = 0; index < 5; index++) await ask(`other-${index}`, 4 * MIB);
  expect(isServed).toBe(false);
  for await (const _ of reading[0]?.body ?? []);
  await waiting;
});
