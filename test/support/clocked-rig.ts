/** The steps of a mirror with a clock and a queue of the test's own: nothing runs, and no time passes, until the test says so. */
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import { bitbucketAccess, SyncBudgets } from "../../functions/wiring/bitbucket-access.ts";
import { UpstreamError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryJob, SyncRequests } from "../../lib/mirror/sync-job.ts";
import { DEFAULT_RETRY_POLICY, retryDelaySeconds } from "../../lib/queue/job-queue.ts";
import { type ReconcileMode, reconcileWorkspace } from "../../lib/reconcile/reconcile-workspace.ts";
import { readName } from "../../lib/repo/names.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { RecentChecks, type RepositoryJobOptions } from "../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "./local-mirror-rig.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export const MINUTE_MS = 60_000;

interface QueuedJob {
  readonly job: RepositoryJob;
  /** When it is tried next. */
  readonly dueMs: number;
  readonly tries: number;
}

/** Mirrors all of the workspace `acme`. */
export class ClockedRig {
  readonly rig: LocalMirrorRig;
  nowMs = Date.now();
  queued: QueuedJob[] = [];
  readonly options: RepositoryJobOptions;
  readonly #access: ReturnType<typeof bitbucketAccess>;

  private constructor(rig: LocalMirrorRig) {
    this.rig = rig;
    const now = () => new Date(this.nowMs);
    this.#access = bitbucketAccess({
      ...rig.fake,
      accountOf: async () => DEMO_ACCOUNT,
      syncBudgets: new SyncBudgets(now),
    });
    this.options = {
      storage: { store: rig.store, blocks: new BlockCache(rig.store) },
      readConfig: async () => (await readMirrorConfig(rig.store)) ?? EMPTY_CONFIG,
      primaryOf: this.#access.primaryOf,
      log: SILENT_LOGGER,
      checks: new RecentChecks(),
      clockMarginMs: 0,
      now,
    };
  }

  static start(...slugs: readonly string[]): Promise<ClockedRig> {
    return ClockedRig.startOver(new MemoryBlobStore(), ...slugs);
  }

  static async startOver(store: BlobStore, ...slugs: readonly string[]): Promise<ClockedRig> {
    const rig = await startLocalMirrorRig({ store });
    for (const slug of slugs) await rig.create("acme", slug, "CORE");
    await changeMirrorConfig(rig.store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
    return new ClockedRig(rig);
  }

  queue(job: RepositoryJob, dueMs = this.nowMs, tries = 0): void {
    this.queued.push({ job, dueMs, tries });
  }

  /** Does what is due. @returns How many jobs wait for another try, because of the primary. */
  async runJobs(): Promise<number> {
    const taken = this.queued;
    this.queued = [];
    for (const { job, dueMs, tries } of taken) {
      if (dueMs > this.nowMs) {
        this.queue(job, dueMs, tries);
        continue;
      }
      try {
        await runRepositoryJob(job, this.options);
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        const delaySeconds = retryDelaySeconds(error, tries + 1, DEFAULT_RETRY_POLICY);
        this.queue(job, this.nowMs + delaySeconds * 1000, tries + 1);
      }
    }
    return this.queued.length;
  }

  async reconcile(mode: ReconcileMode = "quick"): Promise<void> {
    const [workspace] = (await this.options.readConfig()).workspaces;
    if (workspace === undefined) throw new Error("no workspace");
    const requests: SyncRequests = {
      request: async (made) => {
        for (const { job } of made) if (job.kind === "repository") this.queue(job);
      },
    };
    const { now } = this.options;
    const options = { store: this.rig.store, requests, apiOf: this.#access.apiOf, log: SILENT_LOGGER, mode };
    await reconcileWorkspace(workspace, { ...options, ...(now && { now }) });
  }

  /** As a webhook's would be. */
  async jobFor(slug: string, reason: "push" | "gone"): Promise<RepositoryJob> {
    const named = await readName(this.rig.store, "acme", slug);
    if (named === undefined) throw new Error(`${slug} is not known`);
    const at = new Date(this.nowMs).toISOString();
    const facts = { workspace: "acme", slug, isPrivate: false, projectKey: "CORE", seenAt: at };
    const place = { kind: "repository", workspace: "acme", uuid: named.uuid } as const;
    return { ...place, reason, queuedAt: at, facts, factsFrom: "event" };
  }
}
