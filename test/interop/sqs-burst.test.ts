/** The deployed path of a push without Lambda: webhook, SQS, consumer, sync. */

import { afterEach, beforeEach, expect, test } from "vitest";
import { bitbucketAccess } from "../../functions/wiring/bitbucket-access.ts";
import { queuedSyncRequests } from "../../functions/wiring/sync-requests.ts";
import { QueueError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { type MirrorConfig, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryNews } from "../../lib/mirror/repository-news.ts";
import { parseSyncJob, type RepositoryJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import { sqsJobConsumer } from "../../lib/queue/sqs-job-consumer.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { RecentChecks, type RepositoryJobOptions } from "../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { reserve } from "../support/named-repository.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { startEventSource } from "../support/queue/event-source.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";

const GONE_UUID = "0a1b2c3d-0000-4000-8000-00000000dead";
const UUID = stableUuid("repository", "acme/sample");

let primary: Primary;
let server: SqsServer;
let config: MirrorConfig;
let options: RepositoryJobOptions;

beforeEach(async () => {
  [primary, server] = await Promise.all([startPrimary(), startSqsServer()]);
  config = mirrorConfigOf([{ workspace: "acme", projects: "all" }]);
  const store = new MemoryBlobStore();
  const { primaryOf } = bitbucketAccess({ ...primary.fake, accountOf: async () => ({ kind: "none" }) });
  options = {
    storage: { store, blocks: new BlockCache(store) },
    readConfig: async () => config,
    primaryOf,
    log: SILENT_LOGGER,
    checks: new RecentChecks(),
    clockMarginMs: 0,
  };
});

afterEach(async () => {
  await server.close();
  await primary.close();
});

function job(): RepositoryJob {
  return {
    kind: "repository",
    workspace: "acme",
    uuid: UUID,
    reason: "push",
    queuedAt: new Date().toISOString(),
  };
}

test("300 pushes that wait in SQS end in one sync, by processes that know nothing of each other", async () => {
  const { client } = server;
  const { queueUrl } = await server.createQueues({ maxReceiveCount: 5 });
  const requests = queuedSyncRequests(new SqsJobQueue(client, queueUrl));
  for (let push = 0; push < 300; push++) {
    await requests.request([{ job: job(), eventId: `event-${push}` }]);
    if (push % 100 === 0) await primary.commit("main", "count.txt", `${push}\n`);
  }
  const last = await primary.commit("main", "count.txt", "last\n");
  await requests.request([{ job: job(), eventId: "event-last" }]);
  const kinds: string[] = [];
  const run = async (one: SyncJob): Promise<void> => {
    if (one.kind !== "repository") throw new Error("unexpected");
    // Each job in a process of its own.
    kinds.push((await runRepositoryJob(one, { ...options, checks: new RecentChecks() })).outcome.kind);
  };
  primary.fake.controls.clearRequests();
  const consume = sqsJobConsumer({ client, queueUrl, parse: parseSyncJob, run, log: SILENT_LOGGER });
  const handler = (event: unknown) => consume(event, { getRemainingTimeInMillis: () => 900_000 });
  const source = startEventSource({ client, queueUrl, handler, concurrency: 4 });
  await source.drained();
  await source.close();
  expect(kinds).toHaveLength(301);
  expect(kinds.filter((kind) => kind !== "current")).toEqual(["published"]);
  const asked = primary.fake.controls.requests.map(
    ({ surface, path }) => `${surface} ${path.split("/").at(-1)}`,
  );
  const braced = encodeURIComponent(`{${UUID}}`);
  expect(asked).toEqual([`rest ${braced}`, "git refs", "git git-upload-pack", "git git-upload-pack"]);
  const repository = await openRepository(options.storage, UUID);
  const { refs } = await repository.readRefs();
  expect(refs.find(({ name }) => name === "refs/heads/main")?.id).toBe(last);
});

test("a failure is kept in the state, in words, and gone after the next sync that goes well", async () => {
  const { store } = options.storage;
  const state = async () => (await repositoryDocument(store, UUID).read()).value;
  primary.fake.controls.misbehave({ failWithStatus: 503, appliesTo: "git" });
  await expect(runRepositoryJob(job(), options)).rejects.toThrow("503");
  await expect(runRepositoryJob(job(), options)).rejects.toThrow("503");
  expect(await state()).toMatchObject({
    state: "ERROR_INITIALIZING",
    failedSyncCount: 2,
    lastError: { code: "UPSTREAM", message: expect.stringContaining("503") },
  });
  primary.fake.controls.behave();
  await runRepositoryJob(job(), options);
  const available = await state();
  expect(available).toMatchObject({ state: "AVAILABLE", failedSyncCount: 0, slug: "sample" });
  expect(available).not.toHaveProperty("lastError");
  expect(available?.hashes.content).toBe((await openRepository(options.storage, UUID)).manifest.refs.sha256);
  primary.fake.controls.misbehave({ failWithStatus: 503, appliesTo: "git" });
  await expect(runRepositoryJob(job(), options)).rejects.toThrow("503");
  expect(await state()).toMatchObject({ state: "ERROR_AVAILABLE", failedSyncCount: 1 });
  primary.fake.controls.behave();
});

test("an event that the relay's queue rejects is announced when the job comes again", async () => {
  const announced: RepositoryNews[] = [];
  let isDown = true;
  const announce = async (news: RepositoryNews) => {
    if (isDown) throw new QueueError("down");
    announced.push(news);
  };
  const first = job();
  await expect(runRepositoryJob(first, { ...options, announce })).rejects.toThrow("down");
  isDown = false;
  // As SQS hands it out again, perhaps to another process.
  for (const checks of [options.checks, new RecentChecks()]) {
    const { outcome } = await runRepositoryJob(first, { ...options, checks, announce });
    expect(outcome.kind).toBe(checks === options.checks ? "unchanged" : "current");
  }
  expect(announced).toMatchObject([{ uuid: UUID, generation: 1, isFirst: true, changes: undefined }]);
  await primary.commit("main", "second.txt", "2\n");
  // One without a relay leaves it to the next job that has one.
  const second = job();
  expect((await runRepositoryJob(second, options)).outcome.kind).toBe("published");
  await runRepositoryJob(second, { ...options, checks: new RecentChecks(), announce });
  expect(announced[1]).toMatchObject({ generation: 2, isFirst: false, changes: undefined });
  await primary.commit("main", "third.txt", "3\n");
  const third = job();
  isDown = true;
  await expect(runRepositoryJob(third, { ...options, announce })).rejects.toThrow("down");
  isDown = false;
  await runRepositoryJob(third, { ...options, announce });
  await primary.commit("main", "fourth.txt", "4\n");
  await runRepositoryJob(job(), { ...options, announce });
  expect(announced.slice(2)).toMatchObject([
    { generation: 3, changes: undefined },
    { generation: 4, changes: [{ name: "refs/heads/main" }] },
  ]);
});

test("what was published and not announced is not left out of the next event", async () => {
  const announced: RepositoryNews[] = [];
  const announce = async (news: RepositoryNews) => {
    announced.push(news);
  };
  await runRepositoryJob(job(), { ...options, announce });
  // As by a process that was killed before it announced it.
  const dead = async () => {
    throw new QueueError("down");
  };
  await primary.commit("other", "second.txt", "2\n");
  await expect(runRepositoryJob(job(), { ...options, announce: dead })).rejects.toThrow("down");
  await primary.commit("main", "third.txt", "3\n");
  await runRepositoryJob(job(), { ...options, announce });
  await primary.commit("main", "fourth.txt", "4\n");
  await runRepositoryJob(job(), { ...options, announce });
  expect(announced.slice(1)).toMatchObject([
    { generation: 3, changes: undefined },
    { generation: 4, changes: [{ name: "refs/heads/main" }] },
  ]);
});

test("a name that was reserved leads nowhere once its repository is gone before its first job", async () => {
  const { store } = options.storage;
  await reserve(store, "gone", GONE_UUID);
  const seenAt = new Date(Date.now() - 3_600_000).toISOString();
  const facts = { workspace: "acme", slug: "gone", isPrivate: true, seenAt };
  const gone = { ...job(), uuid: GONE_UUID, facts, factsFrom: "rest" } as const;
  expect((await runRepositoryJob(gone, options)).outcome.kind).toBe("ignored");
  expect(await readName(store, "acme", "gone")).toBeUndefined();
});

test("a job with a name that has changed since, or with another's, does not bring in the wrong repository", async () => {
  await runRepositoryJob(job(), options);
  const seenAt = new Date().toISOString();
  const facts = { workspace: "acme", slug: "another", projectKey: "MAIN", isPrivate: false, seenAt };
  // An event that says another name is only believed that something has changed: REST is asked.
  const { outcome } = await runRepositoryJob({ ...job(), facts, factsFrom: "event" }, options);
  expect(outcome.kind).toBe("unchanged");
  const rest = primary.fake.controls.requests.filter(({ surface }) => surface === "rest");
  expect(rest.length).toBeGreaterThan(1);
  expect((await repositoryDocument(options.storage.store, UUID).read()).value?.slug).toBe("sample");
});

test("a push to what git finds by its uuid costs two requests, for refs and pack", async () => {
  await runRepositoryJob(job(), options);
  primary.fake.controls.clearRequests();
  await primary.commit("main", "second.txt", "2\n");
  const { outcome } = await runRepositoryJob(job(), options);
  expect(outcome.kind).toBe("published");
  const asked = primary.fake.controls.requests.map(
    ({ surface, path }) => `${surface} ${path.split("/").at(-1)}`,
  );
  expect(asked).toEqual(["git git-upload-pack", "git git-upload-pack"]);
});
