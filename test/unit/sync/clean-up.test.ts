/** A store that fails while a sync cleans up does not hide why the sync failed. */
import { expect, test } from "vitest";
import type { UpstreamGit } from "../../../lib/bitbucket/upstream-git.ts";
import { errorFields, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { RecentChecks } from "../../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../../lib/sync/repository-job.ts";
import { syncRepository } from "../../../lib/sync/sync-repository.ts";
import { Random } from "../../support/differential/random.ts";
import { NumberedPrimary } from "../../support/interleaving/numbered-primary.ts";
import { type BlobCall, SimulatedStoreError } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const OVERLOADED = { retryable: true, retryAfterSeconds: 1800 };

function rig(fails: (call: BlobCall) => boolean) {
  const primary = new NumberedPrimary(new Random(1));
  primary.push();
  const failed: string[] = [];
  const before = (call: BlobCall): undefined => {
    if (!fails(call)) return;
    failed.push(`${call.kind} ${call.key}`);
    throw new SimulatedStoreError(`SlowDown: ${call.kind} ${call.key}`);
  };
  const store = new MemoryBlobStore({ faults: { before } });
  const storage = { store, blocks: new BlockCache(store) };
  return { storage, failed, upstream: primary.upstream(async () => undefined) };
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.fail("it went well"),
    (error: unknown) => error,
  );

test("the primary's Retry-After survives a store that cannot record the failure", async () => {
  let isDown = false;
  const { storage, failed, upstream } = rig(({ kind }) => isDown && kind !== "read");
  const refusal = new UpstreamError("the primary answered 503", OVERLOADED);
  const refusing: UpstreamGit = {
    ...upstream,
    listRefs: async () => {
      isDown = true;
      throw refusal;
    },
  };
  const now = new Date().toISOString();
  const facts = { workspace: "acme", slug: "site", projectKey: "MAIN", isPrivate: false, seenAt: now };
  const job = { kind: "repository", workspace: "acme", uuid: UUID, reason: "new", queuedAt: now } as const;
  const error = await failureOf(
    runRepositoryJob(
      { ...job, facts, factsFrom: "rest" },
      {
        ...{ storage, log: SILENT_LOGGER, checks: new RecentChecks() },
        readConfig: async () => mirrorConfigOf([{ workspace: "acme", credential: "bot", projects: "all" }]),
        primaryOf: async () => ({
          api: {} as never,
          upstreamOf: () => ({ ...refusing, foundBy: "uuid" as const }),
        }),
      },
    ),
  );
  expect(error).toBe(refusal);
  expect(error).toMatchObject({ retryAfterSeconds: 1800, suppressed: expect.any(SimulatedStoreError) });
  expect(errorFields(error)).toMatchObject({
    code: "UPSTREAM",
    suppressed: { message: expect.stringContaining("SlowDown") },
  });
  expect(failed).not.toEqual([]);
});

test("so does what is thrown before the publish, where the new pack cannot be deleted", async () => {
  const { storage, failed, upstream } = rig(({ kind }) => kind === "delete");
  const refusal = new UpstreamError("REST answered 429", OVERLOADED);
  const confirm = () => Promise.reject(refusal);
  const error = await failureOf(syncRepository(UUID, { storage, upstream, log: SILENT_LOGGER, confirm }));
  expect(error).toBe(refusal);
  expect(error).toMatchObject({ suppressed: expect.any(SimulatedStoreError) });
  expect(failed.filter((call) => call.includes("/objects/pack/"))).not.toEqual([]);
});

test("of a store that fails twice the first failure is thrown", async () => {
  const { storage, upstream } = rig(
    ({ kind, key }) => kind === "delete" || (kind === "write" && key.endsWith(".idx")),
  );
  const error = await failureOf(syncRepository(UUID, { storage, upstream, log: SILENT_LOGGER }));
  expect(error).toMatchObject({
    message: expect.stringMatching(/^SlowDown: write .*\.idx$/),
    suppressed: { message: expect.stringMatching(/^SlowDown: delete /) },
  });
});
