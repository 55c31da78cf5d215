/** What requests for packs may use of a process. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { OverloadedError } from "../../../lib/errors.ts";
import type { UploadPackSource } from "../../../lib/git/ports.ts";
import { maxPlanBytes } from "../../../lib/git/upload-pack/plan-memory.ts";
import { RequestLoad } from "../../../lib/git-http/request-load.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import { type RequestCaller, requestCallers } from "../../../lib/request-caller.ts";

const { signal } = new AbortController();
const MIB = 1024 * 1024;
const OK = () => textResponse(200, "ok");
const from = (name: string, of = signal) => ({
  caller: { name, token: `token of ${name}`, block: `block of ${name}` },
  signal: of,
});

test("plans take turns; a wait for a sync, and an answer that is only read, take none", async () => {
  const load = new RequestLoad({ maxPlans: 8, maxPlansOfCaller: 1 });
  const first = await load.serve(from("a"), async (admitted) => {
    await admitted.startPlanning(0);
    return OK();
  });
  const sync = Promise.withResolvers<void>();
  let hasPlanned = false;
  const second = load.serve(from("a"), async (admitted) => {
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
  const third = await load.serve(from("a"), async (admitted) => {
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
  await load.serve(from("a", leaving.signal), async (admitted) => {
    admitted.keep(4 * MIB);
    await admitted.startPlanning(0);
    return OK();
  });
  leaving.abort();
  for (let index = 0; index < 20; index++) {
    const { body } = await load.serve(from("a"), async (admitted) => {
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
    load.serve(from(caller), async (admitted) => {
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

test("three callers with many long plans leave turns: small requests of others are planned at once", async () => {
  const load = new RequestLoad();
  let planned = 0;
  const plan = (name: string) =>
    void load.serve(from(name), async (admitted) => {
      await admitted.startPlanning(0);
      planned += 1;
      return OK();
    });
  for (let number = 0; number < 90; number++) plan(`caller ${number % 3}`);
  await sleep(10);
  expect(planned).toBe(24);
  // Of callers with one each, the last quarter is for callers that have none.
  for (let number = 0; number < 20; number++) plan(`other ${number}`);
  await sleep(10);
  expect(planned).toBe(44);
  for (let number = 0; number < 20; number++) plan(`other ${number}`);
  await sleep(10);
  expect(planned).toBeLessThanOrEqual(48);
  for (let number = 0; number < 10; number++) plan(`new ${number}`);
  await sleep(10);
  expect(planned).toBeGreaterThanOrEqual(54);
});

test("answers that are being read hold memory: their caller waits, others do not", async () => {
  const load = new RequestLoad();
  const ask = async (caller: string, heldBytes: number) =>
    load.serve(from(caller), async (admitted) => {
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

/** Answers that are planned, and whose readers have taken nothing yet. */
async function fillMemory(
  load: RequestLoad,
  callerOf: (index: number) => RequestCaller,
  heldBytes = 4 * MIB,
) {
  const cut: number[] = [];
  const bodies: AsyncIterator<Uint8Array>[] = [];
  for (let index = 0; index < 1_000; index++) {
    const gone = new AbortController();
    const leave = () => {
      cut.push(index);
      gone.abort();
    };
    const serving = load.serve(
      { caller: callerOf(index), signal: gone.signal, cut: leave },
      async (admitted) => {
        await admitted.startPlanning(heldBytes);
        admitted.planned(heldBytes);
        return { ...OK(), body: endlessly() };
      },
    );
    const response = await Promise.race([serving, sleep(20)]);
    if (response === undefined) {
      gone.abort();
      await serving.catch(() => undefined);
      return { cut, bodies };
    }
    const body = response.body[Symbol.asyncIterator]();
    await body.next();
    bodies.push(body);
  }
  throw new Error("the memory has no limit");
}

async function* endlessly() {
  for (;;) yield new Uint8Array(16 * 1024);
}

test("answers that are not read are cut while others wait for memory, but none that is read slowly", async () => {
  let nowMs = 0;
  const load = new RequestLoad({ maxPlans: 16, maxPlansOfCaller: 8 }, undefined, () => nowMs);
  const { cut, bodies } = await fillMemory(load, (index) => from(`reader-${index}`).caller);
  // A list of refs holds nothing.
  const refs = { ...from("refs"), cut: () => cut.push(-1) };
  const { body: refsBody } = await load.serve(refs, async () => ({ ...OK(), body: endlessly() }));
  await refsBody[Symbol.asyncIterator]().next();
  // One reads 5 KiB/s; nothing is cut while no request waits.
  for (let index = 0; index < 40; index++) {
    nowMs += 3_000;
    await bodies[0]?.next();
  }
  expect(cut).toEqual([]);
  let served = 0;
  const ask = (name: string) =>
    load.serve(from(name), async (admitted) => {
      await admitted.startPlanning(16 * MIB);
      served += 1;
      return OK();
    });
  await ask("waits");
  expect(served).toBe(1);
  expect(cut.length).toBeGreaterThan(0);
  expect(cut.length).toBeLessThanOrEqual(12);
  expect(cut).not.toContain(0);
  expect(cut).not.toContain(-1);
});

test.each([
  ["fetch", 400_000, 1],
  ["clone with many refs", 400_000, 17_880],
  ["fetch with many haves", 1_000, 16_000],
])("however many answers wait for their readers, a first %s finds memory", async (_, objectCount, named) => {
  const load = new RequestLoad({ maxPlans: 100, maxPlansOfCaller: 100 });
  await fillMemory(load, (index) => from(`reader-${index}`).caller, 16 * MIB);
  let isPlanned = false;
  void load.serve(from("first"), async (admitted) => {
    await admitted.startPlanning(maxPlanBytes({ objectCount } as UploadPackSource, named));
    isPlanned = true;
    return OK();
  });
  await sleep(10);
  expect(isPlanned).toBe(true);
});

test("however many answers wait for their readers, a first request's caller may send a second one at once", async () => {
  const load = new RequestLoad({ maxPlans: 100, maxPlansOfCaller: 100 });
  // Of a history of 120,000 objects, and of as many callers as there is memory for.
  await fillMemory(load, (index) => from(`reader-${index % 60}`).caller, 4.5 * MIB);
  let plannedCount = 0;
  const planned = [1.5 * MIB, 4.5 * MIB].map(async (planBytes) => {
    await load.serve(from("new"), async (admitted) => {
      await admitted.startPlanning(planBytes);
      plannedCount += 1;
      return OK();
    });
  });
  await sleep(10);
  expect(plannedCount).toBe(2);
  await Promise.all(planned);
});

test("large first requests do not use up what is for small ones", async () => {
  const load = new RequestLoad({ maxPlans: 100, maxPlansOfCaller: 100 });
  await fillMemory(load, (index) => from(`reader-${index}`).caller, 8 * MIB);
  await load.serve(from("small"), async (admitted) => {
    await admitted.startPlanning(4 * MIB);
    return OK();
  });
});

const NO_REQUEST = { method: "POST", path: "/", query: new URLSearchParams(), body: endlessly(), signal };

test("tokens of one account share, and so do all callers of an address", async () => {
  const callerOf = requestCallers();
  const at = (remoteAddress: string, credential?: string) =>
    callerOf({
      ...{
        method: "POST",
        path: "/",
        query: new URLSearchParams(),
        body: endlessly(),
        signal,
        remoteAddress,
      },
      headers: credential === undefined ? {} : { authorization: `Basic ${btoa(credential)}` },
    });
  const admittedOf = async (credentialOf: (index: number) => string | undefined) =>
    (await fillMemory(new RequestLoad(), (index) => at("192.0.2.1", credentialOf(index)))).bodies.length;
  const ofOne = await admittedOf(() => "eve:token");
  expect(ofOne).toBeLessThanOrEqual(20);
  expect(await admittedOf((index) => `eve:token-${index}`)).toBe(ofOne);
  // With any token the name may be this one, and it says nothing.
  expect(await admittedOf((index) => `x-token-auth:token-${index}`)).toBeGreaterThan(ofOne);
  expect(await admittedOf((index) => `eve-${index}:token`)).toBe(ofOne);
  const ofAddress = await admittedOf((index) => `eve-${index}:token-${index}`);
  expect(ofAddress * 4 * MIB).toBeLessThanOrEqual((320 * MIB * 3) / 4);
  // A caller who claims another account's name takes none of its share; one credential counts from each address.
  expect(at("192.0.2.1", "ann:a").name).not.toBe(at("192.0.2.2", "ann:b").name);
  expect(at("192.0.2.1", "ann:a").token).toBe(at("192.0.2.2", "ben:a").token);
  const tokenOf = (authorization: string) => callerOf({ ...NO_REQUEST, headers: { authorization } }).token;
  expect(tokenOf("Bearer one")).not.toBe(tokenOf("Bearer two"));
});

test("while the process is short of memory, small first requests are served, and others one at a time", async () => {
  let isShort = true;
  const load = new RequestLoad({ maxPlans: 16, maxPlansOfCaller: 8, isShort: () => isShort });
  const served: string[] = [];
  const ask = (name: string, planBytes: number) =>
    load.serve(from(name), async (admitted) => {
      await admitted.startPlanning(planBytes);
      served.push(name);
      return { ...OK(), body: endlessly() };
    });
  await ask("first", 16 * MIB);
  const large = ask("large", 16 * MIB);
  await ask("small", MIB);
  expect(served).toEqual(["first", "small"]);
  isShort = false;
  await large;
});

test("requests that wait for refs are shares: a caller and an address leave room to others, and an end frees it", async () => {
  const load = new RequestLoad();
  const end = Promise.withResolvers<string>();
  const waits: Promise<string>[] = [];
  const start = async (caller: RequestCaller): Promise<number> => {
    let count = 0;
    for (let tries = 0; tries < 1_000; tries++) {
      const wait = load.waitForRefs(caller, () => end.promise);
      const status = await Promise.race([wait.catch((error: OverloadedError) => error.status), sleep(1, 0)]);
      if (status !== 0) return count;
      waits.push(wait);
      count += 1;
    }
    return count;
  };
  const counts: number[] = [];
  // Two addresses, each with many credentials.
  for (let number = 0; number < 10; number++)
    counts.push(await start({ name: `a${number}`, token: `t${number}`, block: `b${number % 2}` }));
  const total = counts.reduce((sum, count) => sum + count, 0);
  expect(counts[0]).toBeGreaterThan(300);
  expect(total).toBeLessThan(700);
  const other = { name: "other", token: "other", block: "other" };
  await expect(load.waitForRefs(other, async () => "there")).resolves.toBe("there");
  const late = { name: "late", token: "late", block: "b0" };
  await expect(load.waitForRefs(late, async () => "there")).rejects.toMatchObject({ status: 429 });
  end.resolve("there");
  expect((await Promise.all(waits)).length).toBe(total);
  await expect(load.waitForRefs(late, async () => "there")).resolves.toBe("there");
});
