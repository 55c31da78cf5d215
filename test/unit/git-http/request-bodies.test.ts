/** The bodies of requests: how many are read at a time, and for how long. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { StreamBudget } from "../../../lib/git/pack/stream-prefetch.ts";
import type { UploadPackSource } from "../../../lib/git/ports.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { RequestLoad } from "../../../lib/git-http/request-load.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import type { RequestCaller } from "../../../lib/request-caller.ts";
import { requestFor } from "../../support/http-request.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";

const { signal } = new AbortController();
const OK = () => textResponse(200, "ok");
const notNeeded = () => Promise.reject(new Error("not needed here"));
const NO_SOURCE: UploadPackSource = {
  forReader: () => NO_SOURCE,
  objectCount: 0,
  readRefs: notNeeded,
  openObjects: notNeeded,
  mayHoldUnreachable: false,
  packBodies: [],
  streamBudget: new StreamBudget(),
  openPacks: notNeeded,
  handsOutUrls: false,
  offerBundles: async () => [],
};
const from = (name: string) => ({
  caller: { name, token: `token of ${name}`, block: `block of ${name}` },
  signal,
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
  const served = load.serve(from("a"), async (admitted) => {
    for await (const _ of admitted.body(dribbling));
    return OK();
  });
  await expect(served).rejects.toMatchObject({ status: 408 });
  expect(hasEnded).toBe(true);
});

test("slow bodies of 12 callers leave places: a new caller's body is read at once", async () => {
  const load = new RequestLoad();
  const { bodies, read } = heldBodies(load);
  for (let number = 0; number < 12 * 16; number++) read(from(`caller ${number % 12}`).caller);
  await sleep(10);
  const openCount = bodies.length;
  expect(openCount).toBeLessThan(128 - 16);
  for (let number = 0; number < 10; number++) read(from(`new caller ${number}`).caller);
  await sleep(10);
  expect(bodies.length).toBe(openCount + 10);
});

test("slow bodies of one token, or of one address, leave half of the places", async () => {
  for (const [callerOf, most] of [
    [(n: number) => ({ name: `caller ${n}`, token: "one", block: `block ${n}` }), 32],
    [(n: number) => ({ name: `caller ${n}`, token: `token ${n}`, block: "one" }), 64],
  ] as const) {
    const { bodies, read } = heldBodies(new RequestLoad());
    for (let number = 0; number < 200; number++) read(callerOf(number));
    await sleep(10);
    expect(bodies.length).toBe(most);
  }
});

/** Bodies of which nothing arrives. */
function heldBodies(load: RequestLoad) {
  const bodies: string[] = [];
  const read = (caller: RequestCaller) => {
    async function* held(): AsyncGenerator<Uint8Array> {
      bodies.push(caller.name);
      await new Promise(() => undefined);
    }
    void load.serve({ caller, signal }, async (admitted) => {
      for await (const _ of admitted.body(held()));
      return OK();
    });
  };
  return { bodies, read };
}

test("of git-lfs 16 bodies of a caller are read at once, and 32 of a token; others have theirs", async () => {
  const load = new RequestLoad();
  let openCount = 0;
  const end = Promise.withResolvers<void>();
  async function* held(): AsyncGenerator<Uint8Array> {
    openCount += 1;
    await end.promise;
    yield new Uint8Array(3);
  }
  const read = async (name: string, token: string) => {
    const request = { caller: { name, token, block: name }, signal };
    let bytes = 0;
    for await (const chunk of load.lfsBody(request, held())) bytes += chunk.length;
    return bytes;
  };
  const all = Array.from({ length: 100 }, () => read("one", "token"));
  await sleep(10);
  expect(openCount).toBe(16);
  for (let number = 0; number < 100; number++) all.push(read(`address ${number}`, "token"));
  await sleep(10);
  expect(openCount).toBeLessThanOrEqual(32);
  const heldCount = openCount;
  all.push(read("other", "other token"));
  await sleep(10);
  expect(openCount).toBe(heldCount + 1);
  end.resolve();
  expect(new Set(await Promise.all(all))).toEqual(new Set([3]));
});

test("a body of git-lfs that does not arrive ends with 408, and its place is free", async () => {
  const load = new RequestLoad(undefined, { maxMs: 30, maxIdleMs: 30 });
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
  const read = async () => {
    for await (const _ of load.lfsBody(from("a"), never));
  };
  const ended = await Promise.allSettled(Array.from({ length: 40 }, read));
  expect(ended.map((one) => (one.status === "rejected" ? one.reason.status : "read"))).toEqual(
    Array(40).fill(408),
  );
});

test("batches of git-lfs are read within the same limits as they come over HTTP", async () => {
  let openCount = 0;
  const end = Promise.withResolvers<void>();
  async function* held(): AsyncGenerator<Uint8Array> {
    openCount += 1;
    await end.promise;
    yield new Uint8Array(3);
  }
  const handler = gitHttp({
    ...OPEN_ACCESS,
    find: async () => ({ ...NO_SOURCE, uuid: "a-uuid" }),
    lfs: async ({ request }) => {
      for await (const _ of request.body);
      return OK();
    },
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
  const answers = Array.from({ length: 100 }, () =>
    handler({ ...requestFor("/acme/site/info/lfs/objects/batch", { method: "POST" }), body: held() }),
  );
  await sleep(50);
  expect(openCount).toBe(16);
  end.resolve();
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(100).fill(200));
});
