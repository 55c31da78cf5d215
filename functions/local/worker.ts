/** The local mirror's queue and its worker. */
import { tryRefreshBundles } from "../../lib/bundles/refresh-bundles.ts";
import { errorFields } from "../../lib/errors.ts";
import { parseSyncJob, type RepositoryJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import type { KeptMessages } from "../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { RecentChecks, type RepositoryJobOptions } from "../../lib/sync/job-context.ts";
import { type JobOutcome, runRepositoryJob } from "../../lib/sync/repository-job.ts";
import type { PlanLfs } from "../wiring/lfs-work.ts";
import type { LocalContext } from "./context.ts";
import { PrimaryPause } from "./delay.ts";

interface WorkerOptions extends Pick<RepositoryJobOptions, "announce"> {
  /** Storage of dead letters; by default they are lost with the process. */
  readonly kept?: KeptMessages;
  readonly planLfs: PlanLfs;
  readonly onDone: (fullName: string, outcome: JobOutcome) => void;
  readonly onFailed: (name: string, error: unknown) => void;
  /** Reconciles one workspace. */
  readonly reconcile: (workspace: string) => Promise<void>;
}

/** Concurrent repositories: a large one must not delay pushes to all others. */
const CONCURRENCY = 4;

/** The next round makes these jobs again anyway. */
const REPEATED: ReadonlySet<string> = new Set(["check", "new", "changed", "failed", "asked"]);

export function startWorker(
  { storage, readConfig, bitbucket, temporaryFolder, line, log }: LocalContext,
  options: WorkerOptions,
): MemoryJobQueue {
  const checks = new RecentChecks();
  const checked = new Set<string>();
  const pause = new PrimaryPause();

  async function runRepository(job: RepositoryJob, signal: AbortSignal): Promise<void> {
    await pause.wait(signal);
    const { outcome, facts } = await runRepositoryJob(job, {
      ...{ storage, readConfig, log, checks, temporaryFolder, signal, clockMarginMs: 0 },
      primaryOf: bitbucket.primaryOf,
      ...(options.announce && { announce: options.announce }),
      // The store is checked for damage once per process.
      onPublished: (uuid) => tryRefreshBundles(uuid, { storage, log, signal }),
      maintains: ({ uuid }) => !checked.has(uuid),
      checksStore: (uuid) => !checked.has(uuid),
      onProgress: ({ workspace, slug }, progress) => line.showing(`${workspace}/${slug}`)(progress),
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
      pause.noteFailure(error);
      const name = job.facts === undefined ? job.uuid : `${job.facts.workspace}/${job.facts.slug}`;
      options.onFailed(name, error);
      if (!REPEATED.has(job.reason)) throw error;
      log.warn("sync:failed", { repo: name, ...errorFields(error) }, { JobFailures: 1 });
    }
  }

  return new MemoryJobQueue({
    run: (body, signal) => run(parseSyncJob(body), signal),
    log,
    concurrency: CONCURRENCY,
    ...(options.kept && { kept: options.kept }),
  });
}
