import { expect, test } from "vitest";
import { appendAdminLog, loggedText, readAdminLog } from "../../../lib/mirror/admin-log.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const entryOf = (n: number) => ({
  at: new Date(n * 1000).toISOString(),
  who: "olga@example.com",
  action: "sync",
  detail: `${n}`,
});

test("the newest 50 entries of each action are kept, with what two processes add at once", async () => {
  const store = new MemoryBlobStore();
  expect(await readAdminLog(store, "acme")).toEqual([]);
  const pause = { ...entryOf(0), action: "pause" };
  await appendAdminLog(store, "acme", pause);
  for (let n = 0; n < 52; n++) await appendAdminLog(store, "Acme", entryOf(n));
  await Promise.all([52, 53].map((n) => appendAdminLog(store, "acme", entryOf(n))));
  const entries = await readAdminLog(store, "ACME");
  expect(entries).toHaveLength(51);
  expect(entries.slice(0, 2)).toEqual([pause, entryOf(4)]);
  expect(
    entries
      .slice(-2)
      .map(({ detail }) => detail)
      .sort(),
  ).toEqual(["52", "53"]);
  expect(await readAdminLog(store, "other")).toEqual([]);
});

test("long texts are cut, and show no characters that control a terminal or hide others", () => {
  expect(loggedText("x".repeat(10_000))).toHaveLength(500);
  expect(loggedText("A\u202eB\u001b[2J\n2026 fine")).toBe("A B [2J 2026 fine");
});
