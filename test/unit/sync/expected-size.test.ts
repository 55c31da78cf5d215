/** What REST says of a repository's size decides how its first sync goes, and stays out of what is kept of it. */
import { expect, test } from "vitest";
import type { BitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import type { UpstreamGit } from "../../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { RecentChecks } from "../../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../../lib/sync/repository-job.ts";
import { Random } from "../../support/differential/random.ts";
import { NumberedPrimary } from "../../support/interleaving/numbered-primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";

test.each([
  ["small", 1_000_000, 0],
  ["unknown", undefined, 0],
  ["large", 3 * 2 ** 30, 1],
] as const)("%s", async (_size, sizeBytes, commitFetches) => {
  const primary = new NumberedPrimary(new Random(1));
  primary.push();
  const upstream = primary.upstream(async () => undefined);
  let count = 0;
  const counting: UpstreamGit = {
    ...upstream,
    fetchPack: (options) => {
      count += options.commitsOnly ? 1 : 0;
      return upstream.fetchPack(options);
    },
  };
  const repository = async () => ({
    ...{ uuid: UUID, workspace: "acme", slug: "site", fullName: "acme/site", isPrivate: false, sizeBytes },
    ...{ mainBranch: "main", cloneUrl: "https://bitbucket.org/acme/site.git", projectKey: "MAIN" },
    updatedOn: "2026-11-01T00:00:00Z",
  });
  const api = { repository } as unknown as BitbucketRestApi;
  const store = new MemoryBlobStore();
  const { outcome } = await runRepositoryJob(
    { kind: "repository", workspace: "acme", uuid: UUID, reason: "new", queuedAt: new Date().toISOString() },
    {
      storage: { store, blocks: new BlockCache(store) },
      readConfig: async () => mirrorConfigOf([{ workspace: "acme", credential: "bot", projects: "all" }]),
      primaryOf: async () => ({ api, upstreamOf: () => ({ ...counting, foundBy: "name" as const }) }),
      log: SILENT_LOGGER,
      checks: new RecentChecks(),
    },
  );
  expect(outcome).toMatchObject({ kind: "published", generation: 1 });
  expect(count).toBe(commitFetches);
  expect((await repositoryDocument(store, UUID).read()).value).toMatchObject({
    state: "AVAILABLE",
    slug: "site",
  });
});
