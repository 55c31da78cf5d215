/** What a record keeps of a repository's syncs: the last ones, and repeated failures as one. */
import { expect, test } from "vitest";
import { UpstreamError } from "../../../lib/errors.ts";
import { failed, firstRecord } from "../../../lib/mirror/repository-state.ts";
import {
  type RecentSync,
  type RepositoryRecord,
  withRecentSync,
} from "../../../lib/repo/repository-record.ts";

const FACTS = { workspace: "acme", slug: "vault", isPrivate: true, seenAt: "2026-11-25T12:00:00.000Z" };
const at = (minute: number) => new Date(Date.UTC(2026, 10, 25, 12, minute));

function published(minute: number): RecentSync {
  const counts = { durationMs: 900, changedRefs: 1, objects: 3, receivedBytes: 400 };
  return { kind: "published", at: at(minute).toISOString(), ...counts };
}

test("failures with one code are one entry, with when they began and how many they are", () => {
  const unavailable = new UpstreamError("no answer", { retryable: true, status: 503 });
  let record = withRecentSync(firstRecord(FACTS), published(0));
  for (const minute of [1, 2, 3]) record = failed(record, unavailable, at(minute));
  record = failed(record, new Error("another"), at(4));
  record = withRecentSync(record, published(5));
  record = failed(record, unavailable, at(6));
  expect(record.recentSyncs).toEqual([
    published(0),
    { kind: "failed", at: at(1).toISOString(), code: "UPSTREAM", tries: 3 },
    { kind: "failed", at: at(4).toISOString(), code: "INTERNAL", tries: 1 },
    published(5),
    { kind: "failed", at: at(6).toISOString(), code: "UPSTREAM", tries: 1 },
  ]);
});

test("twenty are kept", () => {
  let record: RepositoryRecord = firstRecord(FACTS);
  for (let minute = 0; minute < 25; minute++) record = withRecentSync(record, published(minute));
  expect(record.recentSyncs).toEqual(Array.from({ length: 20 }, (_, index) => published(index + 5)));
});
