import { beforeEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import {
  type MirroredWorkspace,
  type MirroredWorkspaceInput,
  mirrorConfigOf,
} from "../../../lib/mirror/mirror-config.ts";
import { readMirrorStatus } from "../../../lib/mirror/mirror-status.ts";
import { markFailure } from "../../../lib/mirror/repository-state.ts";
import type { RepositoryJob, SyncJob } from "../../../lib/mirror/sync-job.ts";
import { readWorkspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { type ReconcileMode, reconcileWorkspace } from "../../../lib/reconcile/reconcile-workspace.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { readName } from "../../../lib/repo/names.ts";
import { stableUuid } from "../../support/fake-bitbucket/catalogue.ts";
import { ListedWorkspace } from "../../support/listed-workspace.ts";
import { writeName } from "../../support/named-repository.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let primary: ListedWorkspace;
let store: MemoryBlobStore;
let jobs: RepositoryJob[];
let eventIds: string[];
let settings: Omit<MirroredWorkspaceInput, "workspace">;

beforeEach(() => {
  primary = new ListedWorkspace();
  store = new MemoryBlobStore();
  jobs = [];
  eventIds = [];
  settings = { projects: "all" };
});

function workspace(): MirroredWorkspace {
  const [one] = mirrorConfigOf([{ workspace: "acme", ...settings }]).workspaces;
  if (one === undefined) throw new Error("no workspace");
  return one;
}

/** @returns What jobs were made, as "<slug or uuid> <reason>", in alphabetical order. */
async function reconcile(mode: ReconcileMode = "quick"): Promise<string[]> {
  const made: RepositoryJob[] = [];
  await reconcileWorkspace(workspace(), {
    store,
    requests: {
      request: async (requested) => {
        for (const { job, eventId } of requested) {
          eventIds.push(eventId);
          made.push(repositoryJob(job));
        }
      },
    },
    apiOf: primary.apiOf,
    log: SILENT_LOGGER,
    mode,
    now: primary.now,
  });
  jobs.push(...made);
  return made.map(({ facts, uuid, reason }) => `${facts?.slug ?? uuid} ${reason}`).sort();
}

function repositoryJob(job: SyncJob): RepositoryJob {
  if (job.kind !== "repository") throw new Error("a job for a whole workspace");
  return job;
}

test("the first run finds all that is selected; the next ones only what was updated since", async () => {
  settings = { projects: ["CORE"], include: ["tools"] };
  const engine = primary.add("engine", "CORE");
  primary.add("tools", "OPS");
  primary.add("site", "WEB");
  expect(await reconcile()).toEqual(["engine new", "tools new"]);
  expect(jobs[0]).toMatchObject({ workspace: "acme", factsFrom: "rest" });
  primary.nowMs += 5 * MINUTE_MS;
  expect(await reconcile()).toEqual([]);
  primary.nowMs += 5 * MINUTE_MS;
  primary.touch(engine);
  primary.add("gears", "CORE");
  expect(await reconcile()).toEqual(["engine changed", "gears new"]);
});

test("a selection that names more, or another account: the next quick run makes a complete list", async () => {
  settings = { projects: ["CORE"] };
  primary.add("site", "WEB");
  primary.add("tools", "OPS");
  primary.nowMs += HOUR_MS;
  primary.add("engine", "CORE");
  expect(await reconcile()).toEqual(["engine new"]);
  primary.nowMs += 5 * MINUTE_MS;
  settings = { projects: ["CORE", "WEB"] };
  expect(await reconcile()).toEqual(["site new"]);
  settings = { projects: ["CORE", "WEB"], include: ["tools"] };
  expect(await reconcile()).toEqual(["tools new"]);
  primary.nowMs += 5 * MINUTE_MS;
  primary.repositories.pop();
  settings = { ...settings, credential: "other" };
  expect(await reconcile()).toEqual(["engine gone"]);
  const { listedAt } = (await readWorkspaceIndex(store, "acme")).value ?? {};
  primary.nowMs += MINUTE_MS;
  await reconcile();
  expect((await readWorkspaceIndex(store, "acme")).value?.listedAt).toBe(listedAt);
});

test("renamed, moved, hidden: the change is in the job; unlisted: it is to be looked for", async () => {
  const [a, b, c] = [primary.add("a"), primary.add("b"), primary.add("c")];
  primary.add("d");
  await reconcile();
  a.slug = "renamed";
  b.projectKey = "OTHER";
  c.isPrivate = true;
  primary.repositories.pop();
  primary.nowMs += MINUTE_MS;
  settings = { projects: "all", credential: "bot" };
  const made = await reconcile("list");
  expect(made.filter((one) => !one.endsWith(" gone"))).toEqual(["b changed", "c changed", "renamed changed"]);
  expect(made.filter((one) => one.endsWith(" gone"))).toEqual(["d gone"]);
  expect(jobs.slice(-4).find(({ facts }) => facts?.slug === "b")?.facts?.projectKey).toBe("OTHER");
});

test("what is deselected gets one job at once, later ones until it is gone, and one when it is selected again", async () => {
  primary.add("a");
  primary.add("b");
  await reconcile();
  settings = { projects: "all", exclude: ["b"] };
  expect(await reconcile()).toEqual(["b changed"]);
  expect(await reconcile()).toEqual([]);
  settings = { projects: "all" };
  expect(await reconcile()).toEqual(["b new"]);
});

test("a list that fails deletes nothing, and what it did not come to is found later", async () => {
  for (let index = 0; index < 150; index++) primary.add(`r${index}`);
  await reconcile();
  primary.nowMs += 10 * MINUTE_MS;
  for (const repository of primary.repositories) primary.touch(repository);
  // The second page of the update list is refused.
  const answered = primary.requests.length + 1;
  const { apiOf } = primary;
  primary.apiOf = (one, limit) =>
    apiOf(one, (fetch) =>
      limit(async (input, init) => {
        if (primary.requests.length >= answered) primary.limitedUntilMs = primary.nowMs + MINUTE_MS;
        return fetch(input, init);
      }),
    );
  expect(await reconcile()).toHaveLength(100);
  primary.nowMs += 2 * MINUTE_MS;
  primary.apiOf = apiOf;
  expect(await reconcile()).toHaveLength(50);
});

test("an odd entry hides no other, and is not taken for gone", async () => {
  const a = primary.add("a");
  primary.add("b");
  primary.add("c");
  primary.edit = (entries) => [null, ...entries];
  expect(await reconcile()).toEqual(["a new", "b new", "c new"]);
  primary.edit = (entries) => entries.map((one, index) => (index === 1 ? { ...one, full_name: null } : one));
  expect(await reconcile("list")).toEqual([]);
  // Which one it is cannot be known: none is taken for gone.
  primary.edit = () => [{ slug: 5 }];
  expect(await reconcile("list")).toEqual([]);
  primary.edit = (entries) => entries;
  primary.repositories.splice(0, 1);
  expect(await reconcile("list")).toEqual(["a gone"]);
  expect(jobs.at(-1)?.uuid).toBe(a.uuid);
});

test("pages that lead back end the list, and spend no more than a request for each", async () => {
  for (let index = 0; index < 150; index++) primary.add(`r${index}`);
  const { apiOf } = primary;
  const leadingBack: typeof apiOf = (one, limit) =>
    apiOf(one, (fetch) =>
      limit(async (input, init) => {
        const page = (await (await fetch(input, init)).json()) as object;
        return Response.json({ ...page, next: String(input) });
      }),
    );
  primary.apiOf = leadingBack;
  expect(await reconcile()).toHaveLength(100);
  expect(primary.requests).toHaveLength(1);
  primary.apiOf = apiOf;
  expect(await reconcile()).toHaveLength(50);
});

test("a workspace that the account does not see any more loses nothing", async () => {
  primary.add("a");
  await reconcile();
  const { apiOf } = primary;
  primary.apiOf = (one, limit) => apiOf(one, () => limit(async () => new Response("{}", { status: 404 })));
  primary.nowMs += 7 * HOUR_MS;
  expect(await reconcile("list")).toEqual(["a check"]);
});

test("a repository whose last sync failed is tried again after the queue has given up", async () => {
  const { uuid } = primary.add("a");
  primary.nowMs = Date.now();
  await reconcile();
  await markFailure(store, "acme", uuid, true);
  primary.nowMs = Date.now() + 20 * MINUTE_MS;
  expect(await reconcile()).toEqual([]);
  primary.nowMs = Date.now() + 31 * MINUTE_MS;
  expect(await reconcile()).toEqual(["a failed"]);
  expect(await reconcile()).toEqual([]);
});

test("a name that went to a repository that is not mirrored: its former owner is asked about", async () => {
  settings = { projects: ["CORE"] };
  const engine = primary.add("engine", "CORE");
  await reconcile();
  await writeName(store, "acme", "engine", engine.uuid);
  primary.nowMs += MINUTE_MS;
  const another = { uuid: crypto.randomUUID(), slug: "engine", projectKey: "WEB", updatedOn: primary.now() };
  primary.repositories.push({ ...engine, ...another });
  expect(await reconcile()).toEqual(["engine gone"]);
  expect(jobs.at(-1)?.uuid).toBe(engine.uuid);
});

test("a removed workspace is not asked about any more, and its repositories are retired", async () => {
  primary.add("a");
  await reconcile();
  const asked = primary.requests.length;
  settings = { projects: "all", removedAt: primary.now().toISOString() };
  expect(await reconcile()).toEqual(["a changed"]);
  expect(primary.requests).toHaveLength(asked);
  settings = { projects: "all", disabled: true };
  expect(await reconcile("full")).toEqual([]);
});

test("ten minutes of 429: it is left alone as long as it says, git checks go on, and afterwards all is found", async () => {
  const repositories = Array.from({ length: 10 }, (_, index) => primary.add(`r${index}`));
  await reconcile();
  primary.nowMs += 5 * HOUR_MS;
  primary.limitedUntilMs = primary.nowMs + 10 * MINUTE_MS;
  primary.retryAfterSeconds = 120;
  const before = primary.requests.length;
  for (const repository of repositories.slice(0, 3)) primary.touch(repository);
  primary.add("late");
  const checks: string[] = [];
  for (let minute = 0; minute < 10; minute++) {
    checks.push(...(await reconcile()));
    primary.nowMs += MINUTE_MS;
  }
  // One refused request for each two minutes.
  expect(primary.requests.slice(before).map(({ status }) => status)).toEqual([429, 429, 429, 429, 429]);
  expect(checks.every((made) => made.endsWith(" check"))).toBe(true);
  const caughtUp = await reconcile();
  expect(caughtUp).toContain("late new");
  const touched = new Set([...checks, ...caughtUp].map((made) => made.split(" ")[0]));
  for (const { slug } of repositories.slice(0, 3)) expect(touched).toContain(slug);
});

test("5,000 repositories for seven hours: within the budgets, each checked in time, no run a burst", {
  timeout: 240_000,
}, async () => {
  for (let index = 0; index < 5_000; index++) primary.add(`r${index}`);
  const checkedAt = new Map<string, number[]>();
  let most = 0;
  for (let run = 0; run < 7 * 12; run++) {
    const first = jobs.length;
    await reconcile();
    const made = jobs.slice(first);
    most = Math.max(most, made.length);
    for (const { uuid } of made) checkedAt.set(uuid, [...(checkedAt.get(uuid) ?? []), primary.nowMs]);
    primary.nowMs += 5 * MINUTE_MS;
  }
  expect(checkedAt.size).toBe(5_000);
  for (const times of checkedAt.values()) {
    expect(times.length).toBeGreaterThanOrEqual(2);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(6 * HOUR_MS + 5 * MINUTE_MS);
  }
  expect(most).toBeLessThanOrEqual(1_000);
  expect(primary.worstHour()).toBeLessThan(100);
  // Two requests of git's 60,000 an hour for each.
  const startMs = primary.nowMs - 7 * HOUR_MS;
  const hourly = Array.from({ length: 7 }, (_, hour) =>
    [...checkedAt.values()].flat().filter((at) => Math.floor((at - startMs) / HOUR_MS) === hour),
  );
  expect(Math.max(...hourly.map(({ length }) => length * 2))).toBeLessThan(20_000);
  expect(new Set(eventIds).size).toBe(eventIds.length);
});

test("a name that was taken leads nowhere else at once, whichever had it and whether the new one is mirrored or not", async () => {
  settings = { projects: ["CORE"] };
  primary.add("engine", "CORE");
  await reconcile();
  const gone = "0a1b2c3d-0000-4000-8000-000000000009";
  await writeName(store, "acme", "site", gone);
  await writeName(store, "acme", "shop", gone, { isFormer: true });
  primary.nowMs += 5 * MINUTE_MS;
  primary.add("site", "WEB");
  const shop = primary.add("shop", "CORE");
  await reconcile();
  expect(await readName(store, "acme", "site")).toBeUndefined();
  // It is going to be mirrored.
  expect(await readName(store, "acme", "shop")).toMatchObject({ uuid: shop.uuid, isReserved: true });
});

test("a record or a name that cannot be read stops no other repository, and gets its job", async () => {
  for (const slug of ["one", "two", "three"]) primary.add(slug);
  await reconcile();
  const uuidOf = (slug: string) => primary.repositories.find((one) => one.slug === slug)?.uuid ?? "";
  const put = (key: string, text: string) => store.write(key, new TextEncoder().encode(text));
  await put(repositoryKeys(uuidOf("one")).record, "{");
  await put(repositoryKeys(uuidOf("two")).record, '{"mustUnderstand":["sha256-objects"]}');
  settings = { projects: "all", exclude: ["*"] };
  await reconcile();
  primary.nowMs += 25 * HOUR_MS;
  // The record of the third is not there: it was purged.
  expect(await reconcile()).toEqual(["one check", "two check"]);
  settings = { projects: "all" };
  await put("names/acme/four.json", "{");
  await put("names/acme/five.json", '{"mustUnderstand":["sha256-objects"]}');
  for (const slug of ["four", "five", "six"]) primary.add(slug);
  primary.nowMs += MINUTE_MS;
  expect(await reconcile()).toEqual(["five new", "four new", "one new", "six new", "three new", "two new"]);
  const status = await readMirrorStatus(store, mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
  expect(
    status[0]?.repositories.map(({ slug, damage }) => [slug, damage?.replace(/.*repository.json /, "")]),
  ).toEqual([
    ["five", undefined],
    ["four", undefined],
    ["one", expect.stringContaining("is damaged: not JSON")],
    ["six", undefined],
    ["three", undefined],
    ["two", expect.stringContaining('uses "sha256-objects"')],
  ]);
});

test("the workspace's uuid is noted from the first list, and stays when another workspace has taken the name", async () => {
  const uuidNow = async () => (await readWorkspaceIndex(store, "acme")).value?.workspaceUuid;
  primary.edit = (entries) => entries.map((entry) => ({ ...entry, workspace: { uuid: "no uuid" } }));
  primary.add("one");
  expect([await reconcile("list"), await uuidNow()]).toEqual([["one new"], undefined]);
  primary.edit = (entries) => entries;
  await reconcile("list");
  const acme = stableUuid("workspace", "acme");
  expect(await uuidNow()).toBe(acme);
  const other = { uuid: `{${stableUuid("workspace", "other")}}` };
  primary.edit = (entries) => entries.map((entry) => ({ ...entry, workspace: other }));
  await reconcile("list");
  expect(await uuidNow()).toBe(acme);
});
