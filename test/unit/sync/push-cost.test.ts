/** What a push costs that a new process takes in, as on Lambda: requests to the store and the primary, and bytes. */
import { expect, test } from "vitest";
import type { BitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import type { UpstreamGit } from "../../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { RecentChecks } from "../../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../../lib/sync/repository-job.ts";
import { Random } from "../../support/differential/random.ts";
import { NumberedPrimary } from "../../support/interleaving/numbered-primary.ts";
import { CountingBlobStore, type StoreCounts } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";

interface Cost {
  readonly store: StoreCounts;
  readonly wholeReads: ReadonlyMap<string, number>;
  /** Requests by git and by REST. */
  readonly questions: readonly string[];
  /** Lists and whole reads of the first sync. */
  readonly firstOrder: readonly string[];
}

/** @param commitCount - Of the history before the push. */
async function pushAfter(commitCount: number): Promise<Cost> {
  const primary = new NumberedPrimary(new Random(7));
  for (let i = 0; i < commitCount; i++) primary.push();
  const blobs = new MemoryBlobStore();
  const order: string[] = [];
  const run = async (reason: "new" | "push"): Promise<Omit<Cost, "firstOrder">> => {
    const wholeReads = new Map<string, number>();
    const counting = new CountingBlobStore(blobs);
    const read: CountingBlobStore["read"] = counting.read.bind(counting);
    const list: CountingBlobStore["list"] = counting.list.bind(counting);
    const store = Object.assign(counting, {
      list: (...args: Parameters<typeof list>) => {
        order.push(`list ${args[0]}`);
        return list(...args);
      },
      read: (...args: Parameters<typeof read>) => {
        order.push(`read ${args[0]}`);
        wholeReads.set(args[0], (wholeReads.get(args[0]) ?? 0) + 1);
        return read(...args);
      },
    });
    const questions: string[] = [];
    const upstream = primary.upstream(async () => undefined);
    const asked: UpstreamGit = {
      listRefs: async (known) => {
        questions.push(...(known === undefined ? ["advertisement"] : []), "refs");
        return { ...(await upstream.listRefs()), capabilities: ["ls-refs=unborn"] };
      },
      fetchPack: (options) => {
        questions.push("fetch");
        return upstream.fetchPack(options);
      },
    };
    const repository = async () => {
      questions.push("rest");
      return {
        ...{ uuid: UUID, workspace: "acme", slug: "site", fullName: "acme/site", isPrivate: false },
        ...{ mainBranch: "main", cloneUrl: "https://bitbucket.org/acme/site.git", projectKey: "MAIN" },
        updatedOn: "2026-11-01T00:00:00Z",
      };
    };
    const api = { repository } as unknown as BitbucketRestApi;
    const { outcome } = await runRepositoryJob(
      { kind: "repository", workspace: "acme", uuid: UUID, reason, queuedAt: new Date().toISOString() },
      {
        storage: { store, blocks: new BlockCache(store), answers: new AnswerSharing({ store }) },
        readConfig: async () => mirrorConfigOf([{ workspace: "acme", credential: "bot", projects: "all" }]),
        primaryOf: async () => ({ api, upstreamOf: () => ({ ...asked, foundBy: "uuid" as const }) }),
        log: SILENT_LOGGER,
        checks: new RecentChecks(),
      },
    );
    expect(outcome.kind).toBe("published");
    return { store: store.counts(), wholeReads, questions };
  };
  await run("new");
  const firstOrder = [...order];
  const refsBefore = primary.snapshotSha256;
  while (primary.snapshotSha256 === refsBefore) primary.push();
  return { ...(await run("push")), firstOrder };
}

test("a push asks the primary for its refs and one pack, and takes nine writes", async () => {
  const { store, questions, wholeReads } = await pushAfter(5);
  expect(questions).toEqual(["refs", "fetch"]);
  // Pack, index, history, snapshot of the refs, packed-refs, manifest, record; an excerpt of the indexes, and a prepared answer.
  expect(store.write + store.completeUpload).toBe(9);
  expect(store.requests).toBeLessThanOrEqual(25);
  expect(store.rounds).toBeLessThanOrEqual(20);
  for (const [key, count] of wholeReads) if (key.startsWith("repos/")) expect(count, key).toBe(1);
  const packFolder = repositoryKeys(UUID).packFolder;
  const opened = [...wholeReads].filter(([key]) => key.startsWith(packFolder));
  expect(opened.length).toBeGreaterThan(0);
  for (const [key, count] of opened) expect(count, key).toBe(1);
});

test("after a longer history it takes no more requests", async () => {
  const [short, long] = [await pushAfter(5), await pushAfter(300)];
  expect(long.store.requests).toBeLessThanOrEqual(short.store.requests + 2);
  expect(long.store.rounds).toBeLessThanOrEqual(short.store.rounds + 2);
});

test("the janitor reads the manifest after its list, although the job has read it before", async () => {
  const { firstOrder: order } = await pushAfter(5);
  const { packFolder, manifest } = repositoryKeys(UUID);
  const listed = order.lastIndexOf(`list ${packFolder}`);
  expect(listed).toBeGreaterThan(order.indexOf(`read ${manifest}`));
  expect(order.slice(listed)).toContain(`read ${manifest}`);
});
