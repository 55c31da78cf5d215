/** The local mirror's queue and its worker. */
import { tryRefreshBundles } from "../../lib/bundles/refresh-bundles.ts";
import { errorFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { parseSyncJob, type RepositoryJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import type { KeptMessages } from "../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import type { CompactionProgress } from "../../lib/repo/compaction/compact-repository.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { RecentChecks, type RepositoryJobOptions } from "../../lib/sync/job-context.ts";
import { type JobOutcome, runRepositoryJob } from "../../lib/sync/repository-job.ts";
import type { SyncProgress } from "../../lib/sync/sync-context.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import type { lfsPlans } from "../wiring/lfs-plans.ts";
import { delay, delayAskedFor } from "./delay.ts";

export interface WorkerOptions {
  readonly storage: RepositoryStorage;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly bitbucket: BitbucketAccess;
  readonly temporaryFolder: string | undefined;
  readonly log: Logger;
  /** Storage of dead letters; by default they are lost with the process. */
  readonly kept?: KeptMessages;
  /** See `RepositoryJobOptions`. */
  readonly announce?: RepositoryJobOptions["announce"];
  readonly onProgress: (fullName: string, progress: SyncProgress | CompactionProgress) => void;
  readonly onDone: (fullName: string, outcome: JobOutcome) => void;
  /** See wiring/lfs-plans.ts. */
  readonly planLfs: ReturnType<typeof lfsPlans>;
  readonly onFailed: (name: string, error: unknown) => void;
  /** Reconciles one workspace. */
  readonly reconcile: (workspace: string) => Promise<void>;
}

/** Concurrent repositories: a large one must not delay pushes to all others. */
const CONCURRENCY = 4;

/** The next round makes these jobs again anyway. */
const REPEATED: ReadonlySet<string> = new Set(["check", "new", "changed", "failed", "asked"]);

export function startWorker(options: WorkerOptions): MemoryJobQueue {
  const { storage, readConfig, bitbucket, temporaryFolder, log } = options;
  const checks = new RecentChecks();
  const checked = new Set<string>();
  let pausedUntilMs = 0;

  async function runRepository(job: RepositoryJob, signal: AbortSignal): Promise<void> {
    // After a Retry-After no job asks the primary, including those that follow.
    while (pausedUntilMs > Date.now() && !signal.aborted) await delay(pausedUntilMs - Date.now(), signal);
    const { outcome, facts } = await runRepositoryJob(job, {
      storage,
      readConfig,
      primaryOf: (workspace) => bitbucket.primaryOf(workspace),
      log,
      checks,
      temporaryFolder,
      signal,
      clockMarginMs: 0,
      ...(options.announce && { announce: options.announce }),
      // The store is checked for damage once per process.
      onPublished: (uuid) => tryRefreshBundles(uuid, { storage, log, signal }),
      maintains: ({ uuid }) => !checked.has(uuid),
      checksStore: (uuid) => !checked.has(uuid),
      onProgress: ({ workspace, slug }, progress) => options.onProgress(`${workspace}/${slug}`, progress),
    });
    checked.add(job.uuid);
    await options.planLfs({ workspace: facts?.workspace ?? job.workspace, uuid: job.uuid }, outcome);
    options.onDone(facts === undefined ? job.uuid : `${facts.workspace}/${facts.slug}`, outcome);
  }

  async function run(job: SyncJob, signal: AbortSignal): Promise<void> {
    if (job.kind === "workspace") return options.reconcile(job.workspace);
    try {
      await runRepository(job, signal);
    } catch (error) {
      if (signal.aborted) return;
      pausedUntilMs = Math.max(pausedUntilMs, Date.now() + delayAskedFor(error));
      const name = job.facts === undefined ? job.uuid : `${job.facts.workspace}/${job.facts.slug}`;
      options.onFailed(name, error);
      if (!REPEATED.has(job.reason)) throw error;
      log.warn("sync:failed", { repo: name, ...errorFields(error) });
    }
  }

  return new MemoryJobQueue({
    run: (body, signal) => run(parseSyncJob(body), signal),
    log,
    concurrency: CONCURRENCY,
    ...(options.kept && { kept: options.kept }),
  });
}
