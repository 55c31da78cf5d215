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
  const state = {
    ...{ verifiedAtMs: Date.now() - 60_000, generation: 1, jobs: 0, opened: 0 },
    pushedAtMs: undefined as number | undefined,
    onJob: (): void => undefined,
  };
  const source = () =>
    ({
      ...{ uuid: UUID, verifiedAt: new Date(state.verifiedAtMs) },
      generation: state.generation,
    }) as SyncedSource;
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
        state.onJob();
      },
    },
    pushedAtMs: () => state.pushedAtMs,
    maxWaitMs,
    log: SILENT_LOGGER,
  };
  const all = Array.from({ length: processes }, () => new SyncOnDemand(options));
  const onDemand = all[0] as SyncOnDemand;
  const refreshAll = () =>
    all.map(async (one) => {
      const asker = { missing: "refs/heads/new", callers: [], signal: NEVER };
      return (await one.refresh(SITE, { refs: true }, asker))?.source;
    });
  const look = (missing: string, caller?: string, signal = NEVER, isWait = false) => {
    const callers = caller === undefined ? [] : [caller];
    const lookedAt = isWait ? source() : undefined;
    return onDemand.refresh(SITE, { refs: true }, { missing, signal, callers, lookedAt });
  };
  const refresh = async (signal = NEVER, caller?: string, isWait = false) =>
    (await look("refs/heads/new", caller, signal, isWait))?.source;
  return { state, onDemand, look, refresh, refreshAll, source };
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

test("a wait takes the result of a round that began before it: it looks for itself, and calls again", async () => {
  const { state, refresh } = await rig();
  const first = refresh();
  await expect.poll(() => state.jobs).toBe(1);
  const listedAtMs = Date.now();
  await sleep(10);
  const wait = refresh(NEVER, "robot", true);
  state.verifiedAtMs = listedAtMs;
  for (const found of await Promise.all([first, wait])) expect(found?.verifiedAt.getTime()).toBe(listedAtMs);
  expect(state.jobs).toBe(1);
});

test("a wait gets what was published after its look, without another job", async () => {
  const { state, onDemand, source } = await rig();
  const lookedAt = source();
  state.verifiedAtMs += 1_000;
  const asker = { missing: "refs/heads/new", callers: ["robot"], lookedAt, signal: NEVER };
  const found = await onDemand.refresh(SITE, { refs: true }, asker);
  expect(found?.source.verifiedAt.getTime()).toBe(state.verifiedAtMs);
  expect(state.jobs).toBe(0);
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
  const found = { ...source(), pushedAt: new Date(markerMs) };
  const waiting = onDemand.refreshPushed(found, NEVER);
  await sleep(50);
  state.verifiedAtMs = markerMs;
  expect((await waiting)?.verifiedAt?.getTime()).toBe(markerMs);
  expect(state.jobs).toBe(0);
  const old = { ...source(), pushedAt: new Date(Date.now() - 61_000) };
  expect(await onDemand.refreshPushed(old, NEVER)).toBeUndefined();
  const done = { ...source(), pushedAt: new Date(state.verifiedAtMs) };
  expect(await onDemand.refreshPushed(done, NEVER)).toBeUndefined();
});

/** The end of a sync that found nothing new. */
function listed(state: { verifiedAtMs: number }): void {
  state.verifiedAtMs = Math.max(Date.now(), state.verifiedAtMs + 1);
}

test("a job that asks for what is not there again and again makes two syncs a minute, and leaves those of others to them", async () => {
  const { state, look } = await rig();
  state.onJob = () => listed(state);
  for (let asked = 0; asked < 30; asked++) {
    const found = await look("refs/heads/typo", "token");
    expect(found?.source.generation).toBe(1);
    expect(found?.notAsked).toBe(
      asked < 2 ? undefined : "Bitbucket did not have it when asked a moment ago, try again in a minute",
    );
  }
  expect(state.jobs).toBe(2);
  state.onJob = () => {
    listed(state);
    state.generation += 1;
  };
  const found = await look("refs/heads/pushed", "token");
  expect(found).toMatchObject({ source: { generation: 2 } });
  expect(found?.notAsked).toBeUndefined();
  expect(state.jobs).toBe(3);
});

test("many jobs that ask for what is not there leave syncs to those that ask for something else", async () => {
  const { state, look } = await manyNamesRig();
  for (let round = 0; round < 5; round++)
    for (let name = 0; name < 2; name++) await look(`refs/heads/typo-${name}`);
  // Two once each; of the second ones, one.
  expect(state.jobs).toBe(3);
  for (let name = 0; name < 2; name++)
    expect((await look(`refs/heads/other-${name}`))?.notAsked).toBeUndefined();
  expect(state.jobs).toBe(5);
  // Whatever else it names.
  for (let name = 0; name < 200; name++)
    expect((await look(`refs/heads/guess-${name}`))?.notAsked).toMatch(/Bitbucket was not asked/);
  expect(state.jobs).toBe(5);
});

test("a caller who asks for what is not there makes two syncs a minute; others, and what was just pushed, have theirs", async () => {
  const { state, refresh } = await rig();
  state.onJob = () => listed(state);
  for (let asked = 0; asked < 30; asked++) expect((await refresh(NEVER, "one"))?.generation).toBe(1);
  expect(state.jobs).toBe(2);
  state.onJob = () => {
    listed(state);
    state.generation += 1;
  };
  for (const generation of [2, 3]) expect((await refresh(NEVER, "other"))?.generation).toBe(generation);
  expect(state.jobs).toBe(4);
  // Who is refused gets what others have brought.
  expect((await refresh(NEVER, "one"))?.generation).toBe(state.generation);
  expect(state.jobs).toBe(4);
}, 30_000);

test("who leaves at once has asked as well, and requests that share a sync count as one", async () => {
  const { state, refresh } = await rig();
  const leaving = new AbortController();
  const all = Array.from({ length: 50 }, () => refresh(leaving.signal, "one"));
  await expect.poll(() => state.jobs).toBe(1);
  leaving.abort();
  await Promise.all(all);
  for (let asked = 1; asked <= 5; asked++) {
    const next = refresh(NEVER, "one");
    state.verifiedAtMs = Date.now() + 1_000 * asked;
    await next;
  }
  expect(state.jobs).toBeLessThanOrEqual(5);
});

test("a push in this process's queue is waited for, not what was asked for, and no request waits twice", async () => {
  const { state, onDemand, source } = await rig({ maxWaitMs: 1_500 });
  expect(await onDemand.refreshPushed(source(), NEVER)).toBeUndefined();
  const first = Date.now() - 10;
  state.pushedAtMs = first;
  const waiting = Array.from({ length: 20 }, () => onDemand.refreshPushed(source(), NEVER));
  // Another push: who comes after it waits for a later listing.
  state.pushedAtMs = first + 5;
  const later = onDemand.refreshPushed(source(), NEVER);
  state.verifiedAtMs = first + 1;
  for (const found of await Promise.all(waiting)) expect(found?.verifiedAt?.getTime()).toBe(first + 1);
  state.verifiedAtMs = first + 5;
  expect((await later)?.verifiedAt?.getTime()).toBe(first + 5);
  state.pushedAtMs = first + 6;
  // The second comes before the loop of reads of the first has ended.
  for (let asked = 0; asked < 2; asked++)
    expect(await onDemand.refreshPushed(source(), NEVER)).toBeUndefined();
  const { opened } = state;
  expect(await onDemand.refreshPushed(source(), NEVER)).toBeUndefined();
  // Not listed in time: the next request does not wait until something was listed.
  expect(state.opened).toBe(opened);
  state.verifiedAtMs = first + 6;
  state.pushedAtMs = first + 7;
  const again = onDemand.refreshPushed(source(), NEVER);
  state.verifiedAtMs = first + 7;
  expect((await again)?.verifiedAt?.getTime()).toBe(first + 7);
  expect(state.jobs).toBe(0);
});

/** Repositories, each with a sync that finds nothing as soon as it is asked for, so that none is paced. */
async function manyNamesRig() {
  const { state, running, end, look } = await manyRig();
  const numbers = new Map<string, number>();
  return {
    state,
    look: async (missing: string) => {
      const number = numbers.get(missing) ?? numbers.size % REPOSITORIES;
      numbers.set(missing, number);
      const found = look(number, missing, ["token"]);
      await Promise.race([found, expect.poll(() => running.size).toBe(1)]);
      end(true);
      return found;
    },
  };
}

const REPOSITORIES = 20;

/** `end` ends the syncs that run, with something new or in vain. */
async function manyRig() {
  const store = new MemoryBlobStore();
  const sources = new Map<string, SyncedSource>();
  for (let number = 0; number < REPOSITORIES; number++) {
    const slug = `site-${number}`;
    const uuid = parseRepositoryUuid(`0a1b2c3d-0000-4000-8000-0000000001${10 + number}`);
    await nameRepository(store, uuid, { workspace: "acme", slug, projectKey: "CORE", isPrivate: true });
    sources.set(slug, { uuid, verifiedAt: new Date(Date.now() - 60_000), generation: 1 } as SyncedSource);
  }
  const running = new Set<string>();
  const state = { jobs: 0 };
  const onDemand = new SyncOnDemand({
    catalog: {
      find: async (asked) => sources.get(asked.kind === "name" ? asked.slug : ""),
      open: async (uuid) => [...sources.values()].find((one) => one.uuid === uuid),
    },
    store,
    requests: {
      request: async (jobs) => {
        for (const { job } of jobs) if (job.kind === "repository") running.add(job.uuid);
        state.jobs += jobs.length;
      },
    },
    ...{ maxWaitMs: 20_000, log: SILENT_LOGGER },
  });
  const end = (isInVain: boolean) => {
    for (const [slug, source] of sources) {
      if (!running.delete(source.uuid)) continue;
      const generation = (source.generation ?? 0) + (isInVain ? 0 : 1);
      sources.set(slug, { ...source, generation, verifiedAt: new Date(Date.now() + 1) });
    }
  };
  const look = (number: number, missing: string, callers: string[]) =>
    onDemand.refresh(
      { kind: "name", workspace: "acme", slug: `site-${number}` },
      { refs: true },
      { missing, signal: NEVER, callers },
    );
  const refreshEach = (callersOf: (number: number) => string[]) =>
    [...sources.keys()].map(
      async (_, number) => (await look(number, "refs/heads/new", callersOf(number)))?.source,
    );
  return { state, running, end, look, refreshEach };
}

test("a caller's syncs under way count as in vain until they end, of a token wherever it comes from", async () => {
  const { state, running, end, refreshEach } = await manyRig();
  const answers = refreshEach((number) => [`address ${number}`, "token"]);
  await expect.poll(() => running.size, { timeout: 15_000 }).toBe(5);
  await sleep(100);
  expect(state.jobs).toBe(5);
  end(true);
  for (const found of await Promise.all(answers)) expect(found?.generation).toBe(1);
  expect(state.jobs).toBe(5);
  // Another token has its own. Later than the millisecond for which the repositories are verified.
  await sleep(10);
  const others = refreshEach((number) => [`address ${number}`, `token ${number}`]);
  await expect.poll(() => state.jobs, { timeout: 15_000 }).toBe(5 + REPOSITORIES);
  end(true);
  await Promise.all(others);
}, 30_000);

test("further ones wait for those under way, and are made where these find something", async () => {
  const { state, running, end, refreshEach } = await manyRig();
  const answers = refreshEach(() => ["token"]);
  for (const jobs of [5, 10, 15, REPOSITORIES]) {
    await expect.poll(() => state.jobs, { timeout: 15_000 }).toBe(jobs);
    expect(running.size).toBeLessThanOrEqual(5);
    end(false);
  }
  for (const found of await Promise.all(answers)) expect(found?.generation).toBe(2);
  expect(state.jobs).toBe(REPOSITORIES);
}, 30_000);
