/** What callers can have kept of answers, and how many answers are made ahead of readers that do not read. */
import { expect, test } from "vitest";
import type { AnswerItem, AnswerRequest } from "../../../../lib/git/ports.ts";
import { AnswerQuota, repositoryQuotaBytes } from "../../../../lib/repo/answers/answer-quota.ts";
import { AnswerSharing } from "../../../../lib/repo/answers/answer-sharing.ts";
import { TeeBudget } from "../../../../lib/repo/answers/tee-buffer.ts";
import { repositoryKeys } from "../../../../lib/repo/layout.ts";
import { CountingBlobStore } from "../../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const MIB = 1024 * 1024;
const key = (index: number): string => index.toString(16).padStart(64, "0");

async function storedBytes(store: CountingBlobStore, uuid = UUID): Promise<number> {
  let bytes = 0;
  for await (const { sizeBytes } of store.list(repositoryKeys(uuid).answerFolder)) bytes += sizeBytes;
  return bytes;
}

function answerOf(index: number, sizeMib: number, isKept = true): AnswerRequest {
  return {
    key: key(index),
    isKept,
    async *make() {
      for (let made = 0; made < sizeMib; made++) yield new Uint8Array(MIB);
    },
  };
}

async function readAll(items: AsyncIterable<AnswerItem> | undefined): Promise<number> {
  let bytes = 0;
  for await (const item of items ?? []) if (item instanceof Uint8Array) bytes += item.length;
  return bytes;
}

test.each([
  [0, 128 * MIB],
  [100 * MIB, 128 * MIB],
  [1_000 * MIB, 250 * MIB],
])("of packs of %i bytes, answers of %i bytes are kept", (packBytes, quotaBytes) => {
  expect(repositoryQuotaBytes(packBytes)).toBe(quotaBytes);
});

test("one caller has 128 MB kept in an hour, and gets every answer all the same", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  let nowMs = 0;
  const failures: unknown[] = [];
  const answers = new AnswerSharing({
    store,
    now: () => nowMs,
    maxKeepingWaitMs: 10_000,
    onFailure: (error) => failures.push(error),
  });
  const owner = { uuid: UUID, packBytes: 8_000 * MIB } as const;
  const ask = (index: number, caller: string) => answers.of({ ...owner, caller }).open(answerOf(index, 9));
  for (let index = 0; index < 16; index++) expect(await readAll(await ask(index, "a"))).toBe(9 * MIB);
  const kept = 14 * 9 * MIB;
  expect(await storedBytes(store)).toBeCloseTo(kept, -4);
  expect(await readAll(await ask(20, "b"))).toBe(9 * MIB);
  expect(await storedBytes(store)).toBeCloseTo(kept + 9 * MIB, -4);
  nowMs += 3_600_000;
  await readAll(await ask(30, "a"));
  expect(await storedBytes(store)).toBeCloseTo(kept + 18 * MIB, -4);
  expect(failures).toEqual([]);
});

test("one caller has an eighth of a repository's quota in an hour, at least one answer, and leaves the rest", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  let nowMs = 0;
  const answers = new AnswerSharing({ store, now: () => nowMs, maxKeepingWaitMs: 10_000 });
  const keptMib = async (index: number, caller: string, sizeMib: number, uuid = UUID) => {
    const before = await storedBytes(store, uuid);
    await readAll(await answers.of({ uuid, packBytes: 0, caller }).open(answerOf(index, sizeMib)));
    return Math.round(((await storedBytes(store, uuid)) - before) / MIB);
  };
  expect([await keptMib(1, "a", 3), await keptMib(2, "a", 13), await keptMib(3, "a", 1)]).toEqual([3, 13, 0]);
  expect([await keptMib(4, "b", 20), await keptMib(5, "b", 1)]).toEqual([20, 0]);
  // The same caller has as much of another repository.
  expect(await keptMib(6, "a", 8, UUID.replace("0", "1"))).toBe(8);
  nowMs += 3_600_000;
  expect(await keptMib(7, "a", 1)).toBe(1);
});

test("one caller has 125 of 1,000 answers", async () => {
  const quota = new AnswerQuota(new MemoryBlobStore());
  const keep = async (caller: string) => {
    const byte = (async function* () {
      yield new Uint8Array(1);
    })();
    for await (const _ of quota.counted(byte, { uuid: UUID, packBytes: 0, caller }));
  };
  for (let index = 0; index < 125; index++) await keep("a");
  await expect(keep("a")).rejects.toMatchObject({ code: "LIMIT_EXCEEDED" });
  await keep("b");
});

test("a repository has its quota, for all callers, in all processes; the oldest make room after an hour", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  let nowMs = Date.now();
  const keep = async (index: number) => {
    const quota = new AnswerQuota(store, () => nowMs);
    const chunks = answerOf(index, 10).make?.(new AbortController().signal) as AsyncIterable<Uint8Array>;
    const pieces: Uint8Array[] = [];
    try {
      const owner = { uuid: UUID, packBytes: 0, caller: `caller-${index}` } as const;
      for await (const chunk of quota.counted(chunks, owner)) pieces.push(chunk);
      await store.write(repositoryKeys(UUID).answer(key(index)), Buffer.concat(pieces));
      return "kept";
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  const results = [];
  for (let index = 0; index < 16; index++) results.push(await keep(index));
  expect(results).toEqual([...Array(12).fill("kept"), ...Array(4).fill("LIMIT_EXCEEDED")]);
  nowMs += 3_700_000;
  expect(await keep(99)).toBe("kept");
  expect(await storedBytes(store)).toBeLessThanOrEqual(128 * MIB);
  // One list for each process.
  expect(store.counts().list).toBeLessThanOrEqual(40);
});

test("what the mirror prepares itself has no limit", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const answers = new AnswerSharing({ store, maxKeepingWaitMs: 10_000 }).of({ uuid: UUID, packBytes: 0 });
  await readAll(await answers.open(answerOf(1, 70)));
  expect(await storedBytes(store)).toBeGreaterThan(70 * MIB);
});

test("answers of readers that do not read stop at the budget, and a reader that reads gets its own", async () => {
  const budget = new TeeBudget(8 * MIB, 2 * MIB);
  let madeMib = 0;
  const answers = new AnswerSharing({
    store: new CountingBlobStore(new MemoryBlobStore()),
    budget,
  }).of({ uuid: UUID, packBytes: 0 });
  const open = (index: number) =>
    answers.open({
      key: key(index),
      isKept: false,
      async *make() {
        for (let made = 0; made < 20; made++) {
          madeMib += 1;
          yield new Uint8Array(MIB);
        }
      },
    });
  const readers = [];
  for (let index = 0; index < 12; index++) readers.push(await open(index));
  await expect.poll(() => budget.isUsedUp).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // Each may be a piece ahead when the budget ends.
  expect(madeMib).toBeLessThanOrEqual(8 + 2 * 12);
  // Without room it is not shared: each request makes its own.
  expect(await open(99)).toBeUndefined();
  // The readers get all of it, each at its own pace.
  const sizes = await Promise.all(readers.map((items) => readAll(items)));
  expect(sizes).toEqual(Array(12).fill(20 * MIB));
  expect(budget.isUsedUp).toBe(false);
});

test("one caller's unread answers leave room to others, and are removed when they are not read", async () => {
  let steadyMs = 0;
  const budget = new TeeBudget(16 * MIB, 2 * MIB);
  const sharing = new AnswerSharing({
    store: new CountingBlobStore(new MemoryBlobStore()),
    ...{ budget, steadyNow: () => steadyMs },
  });
  const open = (caller: string, index: number, sizeMib = 4) =>
    sharing.of({ uuid: UUID, packBytes: 0, caller }).open(answerOf(index, sizeMib, false));
  const unread: AsyncIterator<AnswerItem>[] = [];
  for (let index = 0; index < 40; index++) {
    const items = (await open("a", index))?.[Symbol.asyncIterator]();
    await items?.next();
    if (items !== undefined) unread.push(items);
  }
  await expect.poll(() => budget.isUsedUpBy("a")).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // A third of all, and what those that were begun are ahead.
  expect(budget.bytesOf("a")).toBeLessThanOrEqual(12 * MIB);
  expect(await open("a", 99)).toBeUndefined();
  // Others share as before: the second one of them makes nothing.
  const shared = await Promise.all([open("b", 100), open("c", 100)]);
  expect(await Promise.all(shared.map(readAll))).toEqual([4 * MIB, 4 * MIB]);
  // Once they are idle they make room, also for their own caller.
  steadyMs = 61_000;
  for (let index = 0; index < 40; index++) await open("a", 99);
  await expect.poll(() => budget.isUsedUpBy("a")).toBe(false);
  expect(await open("a", 99)).toBeDefined();
  await expect(unread[0]?.next()).rejects.toMatchObject({ status: 408 });
});

test("who reads on pays for an answer whose first reader has left", async () => {
  const budget = new TeeBudget(16 * MIB, 2 * MIB);
  const sharing = new AnswerSharing({ store: new CountingBlobStore(new MemoryBlobStore()), budget });
  const open = async (caller: string) =>
    sharing.of({ uuid: UUID, packBytes: 0, caller }).open(answerOf(1, 3, false));
  const [first, second] = [await open("a"), await open("b")];
  const stalled = second?.[Symbol.asyncIterator]();
  await stalled?.next();
  await readAll(first);
  expect([budget.bytesOf("a"), budget.bytesOf("b")]).toEqual([0, 3 * MIB]);
  await stalled?.return?.();
  await expect.poll(() => budget.bytesOf("b")).toBe(0);
});

test("a caller that asks for much pushes out no repetition that others are noticed by", () => {
  const sharing = new AnswerSharing({ store: new CountingBlobStore(new MemoryBlobStore()) });
  const asked = (caller: string, index: number) =>
    sharing.of({ uuid: UUID, packBytes: 0, caller }).isRepeated(key(index));
  expect(asked("b", 0)).toBe(false);
  for (let index = 1; index < 20_000; index++) asked("a", index);
  expect(asked("b", 0)).toBe(true);
});
