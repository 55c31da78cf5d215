/** Answers in the store stay within limits. */
import { expect, test } from "vitest";
import { sweepAnswers } from "../../../../lib/repo/answers/sweep-answers.ts";
import { repositoryKeys } from "../../../../lib/repo/layout.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const OTHER_UUID = "01234567-89ab-cdef-0123-456789abcde0";
const DAY_MS = 24 * 60 * 60 * 1000;

async function storeWith(...names: readonly string[]): Promise<MemoryBlobStore> {
  const store = new MemoryBlobStore();
  for (const name of names) {
    await store.write(repositoryKeys(UUID).answer(name), new Uint8Array(100));
    // A clock has milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return store;
}

async function namesIn(store: MemoryBlobStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { key } of store.list("")) names.push(key.slice(key.lastIndexOf("/") + 1));
  return names;
}

test("the newest stay, as far as they have room beside the prepared ones", async () => {
  const store = await storeWith("prepared", "1-oldest", "2-old", "3-new", "4-newest");
  const limits = { maxTotalBytes: 350, maxAgeMs: DAY_MS };
  expect(await sweepAnswers(store, UUID, ["prepared", "not-there"], { now: new Date(), limits })).toBe(2);
  expect(await namesIn(store)).toEqual(["3-new", "4-newest", "prepared"]);
});

test("one that is too large alone goes, and smaller ones stay", async () => {
  const store = await storeWith("1-small");
  await store.write(repositoryKeys(UUID).answer("2-large"), new Uint8Array(1000));
  await sweepAnswers(store, UUID, [], { now: new Date(), limits: { maxTotalBytes: 350, maxAgeMs: DAY_MS } });
  expect(await namesIn(store)).toEqual(["1-small"]);
});

test("what is too old goes, but for the prepared ones", async () => {
  const store = await storeWith("prepared", "1-old", "2-old");
  const limits = { maxTotalBytes: 10_000, maxAgeMs: DAY_MS };
  expect(await sweepAnswers(store, UUID, ["prepared"], { now: new Date(), limits })).toBe(0);
  const tomorrow = new Date(Date.now() + DAY_MS + 1);
  expect(await sweepAnswers(store, UUID, ["prepared"], { now: tomorrow, limits })).toBe(2);
  expect(await namesIn(store)).toEqual(["prepared"]);
});

test("nothing else of the repository is touched, nor of another one", async () => {
  const store = await storeWith();
  const others = [
    repositoryKeys(UUID).manifest,
    repositoryKeys(UUID).pack("a".repeat(40)),
    repositoryKeys(OTHER_UUID).answer("theirs"),
  ];
  for (const key of others) await store.write(key, new Uint8Array(1000));
  const limits = { maxTotalBytes: 0, maxAgeMs: 0 };
  expect(await sweepAnswers(store, UUID, [], { now: new Date(Date.now() + DAY_MS), limits })).toBe(0);
});
