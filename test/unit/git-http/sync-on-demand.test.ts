/** A request for what is not here yet waits for a sync that lists the refs after the request, and shares it with others. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  type SyncedSource,
  SyncOnDemand,
  type SyncOnDemandOptions,
} from "../../../lib/git-http/sync-on-demand.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { parseRepositoryUuid } from "../../../lib/repo/layout.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = parseRepositoryUuid("0a1b2c3d-0000-4000-8000-000000000001");
const SITE: RepositoryReference = { kind: "name", workspace: "acme", slug: "site" };
const NEVER = new AbortController().signal;

/** A repository whose syncs end when the test says so. `processes`: how many mirrors of it there are, each with an `OnDemand`. */
async function rig({ maxWaitMs = 5_000, processes = 1 } = {}) {
  const store = new MemoryBlobStore();
  await nameRepository(store, UUID, {
    workspace: "acme",
    slug: "site",
    projectKey: "CORE",
    isPrivate: true,
  });
  const state = { verifiedAtMs: Date.now() - 60_000, jobs: 0, opened: 0 };
  const source = () => ({ uuid: UUID, verifiedAt: new Date(state.verifiedAtMs) }) as SyncedSource;
  /** The queue takes a job with a known id as sent, as SQS does. */
  const sentIds = new Set<string>();
  const options: SyncOnDemandOptions = {
    catalog: {
      find: async () => source(),
      open: async () => {
        state.opened += 1;
        return source();
      },
    },
    store,
    requests: {
      request: async (jobs) => {
        for (const { eventId } of jobs) sentIds.add(eventId);
        state.jobs = sentIds.size;
      },
    },
    maxWaitMs,
    log: SILENT_LOGGER,
  };
  const all = Array.from({ length: processes }, () => new SyncOnDemand(options));
  const onDemand = all[0] as SyncOnDemand;
  const refreshAll = () => all.map((one) => one.refresh(SITE, { refs: true }, NEVER));
  const refresh = (signal = NEVER) => onDemand.refresh(SITE, { refs: true }, signal);
  return { state, onDemand, refresh, refreshAll, source };
}

test("a round that began before the request is not enough: another one is started", async () => {
  const { state, refresh } = await rig();
  const first = refresh();
  await expect.poll(() => state.jobs).toBe(1);
  const listedAtMs = Date.now();
  await sleep(30);
  const secondAtMs = Date.now();
  let isSecondDone = false;
  const second = refresh().finally(() => {
    isSecondDone = true;
  });
  await sleep(30);
  // The first round's sync has listed the refs before the second request came.
  state.verifiedAtMs = listedAtMs;
  expect((await first)?.verifiedAt.getTime()).toBe(listedAtMs);
  await expect.poll(() => state.jobs).toBe(2);
  expect(isSecondDone).toBe(false);
  state.verifiedAtMs = Date.now();
  expect((await second)?.verifiedAt.getTime()).toBeGreaterThanOrEqual(secondAtMs);
});

test("requests that wait at the same time share one job and one loop of reads", async () => {
  const { state, refresh } = await rig();
  const waiting = Array.from({ length: 50 }, () => refresh());
  await expect.poll(() => state.opened).toBeGreaterThan(3);
  const { opened } = state;
  expect(state.jobs).toBe(1);
  expect(opened).toBeLessThan(50);
  state.verifiedAtMs = Date.now() + 1;
  for (const found of await Promise.all(waiting))
    expect(found?.verifiedAt.getTime()).toBe(state.verifiedAtMs);
  expect(state.jobs).toBe(1);
});

test("a hundred processes that wait make one job, and one more for those that came after it had listed the refs", async () => {
  const { state, refreshAll } = await rig({ processes: 100 });
  const first = refreshAll();
  await expect.poll(() => state.opened).toBeGreaterThan(100);
  expect(state.jobs).toBe(1);
  const listedAtMs = Date.now();
  await sleep(10);
  const second = refreshAll();
  await sleep(50);
  state.verifiedAtMs = listedAtMs;
  await Promise.all(first);
  await expect.poll(() => state.jobs).toBe(2);
  state.verifiedAtMs = Date.now();
  for (const found of await Promise.all(second)) expect(found?.verifiedAt.getTime()).toBe(state.verifiedAtMs);
  expect(state.jobs).toBe(2);
});

test("who leaves, or has waited long enough, gets nothing", async () => {
  const { refresh } = await rig({ maxWaitMs: 100 });
  expect(await refresh()).toBeUndefined();
  expect(await refresh(AbortSignal.abort())).toBeUndefined();
  const off = await rig({ maxWaitMs: 0 });
  expect(await off.refresh()).toBeUndefined();
  expect(off.state.jobs).toBe(0);
});

test("a push marker of the last minute is waited for without another job", async () => {
  const { state, onDemand, source } = await rig();
  const markerMs = Date.now() - 1_000;
  const found = { ...source(), announcedAt: new Date(markerMs) };
  const waiting = onDemand.refreshAnnounced(found, SITE, { refs: true }, NEVER);
  await sleep(50);
  state.verifiedAtMs = markerMs;
  expect((await waiting)?.verifiedAt?.getTime()).toBe(markerMs);
  expect(state.jobs).toBe(0);
  const old = { ...source(), announcedAt: new Date(Date.now() - 61_000) };
  expect(await onDemand.refreshAnnounced(old, SITE, { refs: true }, NEVER)).toBeUndefined();
  const done = { ...source(), announcedAt: new Date(state.verifiedAtMs) };
  expect(await onDemand.refreshAnnounced(done, SITE, { refs: true }, NEVER)).toBeUndefined();
});
