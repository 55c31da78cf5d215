/** The states of `foundBy`: which one a sync leaves, and when a name may be published without REST's word. */
import { expect, test } from "vitest";
import type { BitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import type { FoundUpstream } from "../../../lib/bitbucket/upstream-by-uuid.ts";
import { NotFoundError, RenamedError, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { EMPTY_CONFIG } from "../../../lib/mirror/mirror-config.ts";
import type { SyncReason } from "../../../lib/mirror/sync-job.ts";
import type { FoundBy } from "../../../lib/repo/names.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { confirmName, foundByAfter } from "../../../lib/sync/found-by.ts";
import { jobContext, RecentChecks } from "../../../lib/sync/job-context.ts";
import type { SyncOutcome } from "../../../lib/sync/sync-repository.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const NOW = "2026-11-01T00:00:00.000Z";
const FACTS = { workspace: "acme", slug: "site", isPrivate: true, seenAt: NOW };

type Rest = "same" | "renamed" | "gone" | "away" | "refuses";

const FAILURES: Partial<Record<Rest, Error>> = {
  gone: new NotFoundError("gone"),
  away: new UpstreamError("503", { retryable: true }),
  refuses: new UpstreamError("401", { retryable: false }),
};

async function sourceOf(rest: Rest, state: FoundBy = "unknown", reason: SyncReason = "check") {
  const store = new MemoryBlobStore();
  await nameRepository(store, UUID, { workspace: "acme", slug: "site", isPrivate: true, foundBy: state });
  const repository = async () => {
    const failure = FAILURES[rest];
    if (failure !== undefined) throw failure;
    return { ...FACTS, slug: rest === "renamed" ? "page" : "Site" };
  };
  const options = {
    ...{ storage: { store, blocks: new BlockCache(store) }, log: SILENT_LOGGER, checks: new RecentChecks() },
    readConfig: async () => EMPTY_CONFIG,
    primaryOf: async () => Promise.reject(new Error("not asked for")),
  };
  const job = { kind: "repository", workspace: "acme", uuid: UUID, reason, queuedAt: NOW } as const;
  return {
    api: { repository } as unknown as BitbucketRestApi,
    context: jobContext(job, EMPTY_CONFIG, options),
  };
}

const upstream = (foundBy: FoundBy) => ({ foundBy }) as FoundUpstream;
const outcome = (kind: "published" | "unchanged") => ({ kind }) as SyncOutcome;

test.each([
  ["unknown", "uuid", "published", "away", "uuid"],
  ["name", "uuid", "unchanged", "away", "uuid"],
  ["uuid", "name", "published", "away", "name"],
  ["unknown", "name", "published", "same", "name"],
  ["uuid", "name", "unchanged", "same", "name"],
  ["uuid", "name", "unchanged", "renamed", undefined],
  ["uuid", "name", "unchanged", "gone", undefined],
  ["uuid", "name", "unchanged", "away", undefined],
  ["name", "name", "unchanged", "same", undefined],
  ["unknown", "name", "unchanged", "same", undefined],
] as const)("%s, found by %s, %s, REST %s: after it %s", async (before, found, kind, rest, after) => {
  const state = await foundByAfter(before, upstream(found), outcome(kind), FACTS, await sourceOf(rest));
  expect(state).toBe(after);
});

test.each([
  ["same", "name", "unknown", false, undefined],
  ["same", "uuid", "uuid", false, undefined],
  ["renamed", "uuid", "uuid", true, RenamedError],
  ["renamed", "name", "name", true, RenamedError],
  ["gone", "name", "name", true, RenamedError],
  ["away", "uuid", "unknown", false, undefined],
  ["refuses", "uuid", "uuid", false, undefined],
  ["away", "name", "uuid", true, UpstreamError],
  ["away", "name", "name", true, undefined],
  ["away", "name", "unknown", true, undefined],
  ["away", "name", "name", false, UpstreamError],
  ["refuses", "name", "name", true, UpstreamError],
] as const)(
  "REST %s, found by %s, in state %s, continuing %s: %s",
  async (rest, found, state, continues, error) => {
    const confirmed = confirmName(FACTS, upstream(found), continues, await sourceOf(rest, state));
    if (error === undefined) await expect(confirmed).resolves.toBeUndefined();
    else await expect(confirmed).rejects.toBeInstanceOf(error);
  },
);

test("after a push, what git found by its uuid needs no word of REST, and what it found by its name does", async () => {
  const source = await sourceOf("renamed", "uuid", "push");
  await expect(confirmName(FACTS, upstream("uuid"), true, source)).resolves.toBeUndefined();
  await expect(confirmName(FACTS, upstream("name"), true, source)).rejects.toBeInstanceOf(RenamedError);
});
