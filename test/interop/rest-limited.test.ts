/** Ten minutes in which Bitbucket's REST API wants to be left alone, by a clock of the test's own; git goes on. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import { bitbucketAccess, SyncBudgets } from "../../functions/wiring/bitbucket-access.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryJob, SyncRequests } from "../../lib/mirror/sync-job.ts";
import { DEFAULT_RETRY_POLICY, retryDelaySeconds } from "../../lib/queue/retry-policy.ts";
import { type ReconcileMode, reconcileWorkspace } from "../../lib/reconcile/reconcile-workspace.ts";
import { readName } from "../../lib/repo/names.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { type RepositoryJobOptions, runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { RecentChecks } from "../../lib/sync/stated-sync.ts";
import { type InSyncRig, startInSyncRig } from "../support/in-sync-rig.ts";

const MINUTE_MS = 60_000;
const PUSHED = ["one", "two", "three"] as const;

let rig: InSyncRig;
let nowMs = Date.now();
let options: RepositoryJobOptions;
let access: ReturnType<typeof bitbucketAccess>;
/** As a queue holds them. */
let jobs: { readonly job: RepositoryJob; readonly dueMs: number; readonly tries: number }[] = [];

const now = () => new Date(nowMs);
const requests: SyncRequests = {
  request: async (made) => {
    for (const { job } of made) if (job.kind === "repository") queue(job);
  },
};

beforeAll(async () => {
  rig = await startInSyncRig();
  access = bitbucketAccess({
    ...rig.fake,
    accountOf: async () => DEMO_ACCOUNT,
    syncBudgets: new SyncBudgets(now),
  });
  options = {
    storage: { store: rig.store, blocks: new BlockCache(rig.store) },
    readConfig: async () => (await readMirrorConfig(rig.store)) ?? EMPTY_CONFIG,
    primaryOf: access.primaryOf,
    log: SILENT_LOGGER,
    checks: new RecentChecks(),
    clockMarginMs: 0,
    now,
  };
  for (const slug of [...PUSHED, "old", "deleted"]) await rig.create("acme", slug, "CORE");
  await changeMirrorConfig(rig.store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
});

afterAll(() => rig.close());

function queue(job: RepositoryJob, dueMs = nowMs, tries = 0): void {
  jobs.push({ job, dueMs, tries });
}

/** Does what is due. @returns How many jobs wait for another try. */
async function runJobs(): Promise<number> {
  const taken = jobs;
  jobs = [];
  for (const { job, dueMs, tries } of taken) {
    if (dueMs > nowMs) {
      queue(job, dueMs, tries);
      continue;
    }
    try {
      await runRepositoryJob(job, options);
    } catch (error) {
      expect(error).toMatchObject({ code: "UPSTREAM" });
      const delaySeconds = retryDelaySeconds(error, tries + 1, DEFAULT_RETRY_POLICY);
      queue(job, nowMs + delaySeconds * 1000, tries + 1);
    }
  }
  return jobs.length;
}

async function reconcile(mode: ReconcileMode = "quick"): Promise<void> {
  const [workspace] = (await options.readConfig()).workspaces;
  if (workspace === undefined) throw new Error("no workspace");
  const { store } = rig;
  await reconcileWorkspace(workspace, {
    store,
    requests,
    apiOf: access.apiOf,
    log: SILENT_LOGGER,
    mode,
    now,
  });
}

async function jobFor(slug: string, reason: "push" | "gone"): Promise<RepositoryJob> {
  const named = await readName(rig.store, "acme", slug);
  if (named === undefined) throw new Error(`${slug} is not known`);
  const facts = {
    workspace: "acme",
    slug,
    isPrivate: false,
    projectKey: "CORE",
    seenAt: now().toISOString(),
  };
  const place = { kind: "repository", workspace: "acme", uuid: named.uuid } as const;
  return { ...place, reason, queuedAt: now().toISOString(), facts, factsFrom: "event" };
}

/** Statuses of what was answered by REST. */
function restAnswers(): (number | undefined)[] {
  return rig.fake.controls.requests.filter(({ surface }) => surface === "rest").map(({ status }) => status);
}

test("pushes are followed by git alone; what REST has to tell is found when its time has come, in few requests", async () => {
  await reconcile();
  expect(await runJobs()).toBe(0);
  for (const slug of [...PUSHED, "old", "deleted"]) expect(await rig.serves(`acme/${slug}`)).toBe("equal");

  rig.fake.controls.misbehave({ rateLimitedForSeconds: 600, appliesTo: "rest" });
  rig.fake.controls.clearRequests();
  const startMs = nowMs;
  nowMs += MINUTE_MS;
  await rig.fake.lifecycle.rename({ workspace: "acme", slug: "old" }, "renamed");
  await rig.create("acme", "new", "CORE");
  queue(await jobFor("deleted", "gone"));
  await rig.fake.lifecycle.remove({ workspace: "acme", slug: "deleted" });
  for (; nowMs - startMs < 10 * MINUTE_MS; nowMs += MINUTE_MS) {
    const slug = PUSHED[Math.round(nowMs / MINUTE_MS) % PUSHED.length] ?? "one";
    await rig.commit("acme", slug);
    queue(await jobFor(slug, "push"));
    if (Math.round((nowMs - startMs) / MINUTE_MS) % 5 === 1) await reconcile();
    // Only what REST has to be asked about waits.
    expect(await runJobs()).toBe(1);
    expect(await rig.serves(`acme/${slug}`)).toBe("equal");
  }
  // Of reconcile, and of the first sync: each asks once, is told how long to wait, and does.
  const answers = restAnswers();
  expect(new Set(answers)).toEqual(new Set([429]));
  expect(answers.length).toBe(2);
  expect(await rig.serves("acme/new")).toBe("not served");

  rig.fake.controls.behave();
  rig.fake.controls.clearRequests();
  nowMs = startMs + 11 * MINUTE_MS;
  await reconcile();
  expect(await runJobs()).toBe(0);
  for (const slug of [...PUSHED, "renamed", "new"]) expect(await rig.serves(`acme/${slug}`)).toBe("equal");
  expect(await rig.serves("acme/old", "acme/renamed")).toBe("equal");
  expect(await rig.serves("acme/deleted")).toBe("not served");
  expect(restAnswers().length).toBeLessThanOrEqual(6);
});
