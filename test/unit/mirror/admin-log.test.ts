import { expect, test } from "vitest";
import { appendAdminLog, readAdminLog } from "../../../lib/mirror/admin-log.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const entryOf = (n: number) => ({
  at: new Date(n * 1000).toISOString(),
  who: "olga@example.com",
  action: "sync",
  detail: `${n}`,
});

test("the newest 200 entries of a workspace are kept, with what two processes add at once", async () => {
  const store = new MemoryBlobStore();
  expect(await readAdminLog(store, "acme")).toEqual([]);
  for (let n = 0; n < 202; n++) await appendAdminLog(store, "Acme", entryOf(n));
  await Promise.all([202, 203].map((n) => appendAdminLog(store, "acme", entryOf(n))));
  const entries = await readAdminLog(store, "ACME");
  expect(entries).toHaveLength(200);
  expect(entries[0]).toEqual(entryOf(4));
  expect(
    entries
      .slice(-2)
      .map(({ detail }) => detail)
      .sort(),
  ).toEqual(["202", "203"]);
  expect(await readAdminLog(store, "other")).toEqual([]);
});

test("long texts are cut", async () => {
  const store = new MemoryBlobStore();
  await appendAdminLog(store, "acme", {
    ...entryOf(1),
    detail: "x".repeat(10_000),
    problem: "y".repeat(10_000),
  });
  const [entry] = await readAdminLog(store, "acme");
  expect([entry?.detail?.length, entry?.problem?.length]).toEqual([500, 500]);
});
