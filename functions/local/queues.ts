/** The queues of a mirror in one process, and what works on them: syncs, copies of LFS files, deliveries of the relay. */
import { tryRefreshBundles } from "../../lib/bundles/refresh-bundles.ts";
import { AGENT } from "../../lib/config.ts";
import { errorFields } from "../../lib/errors.ts";
import { type LfsJob, parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { type LfsSettings, lfsPolicy } from "../../lib/lfs/lfs-policy.ts";
import { type LfsProgress, runLfsJob } from "../../lib/lfs/run-lfs-job.ts";
import type { Logger } from "../../lib/log.ts";
import { CONFIG_LIMITS, type MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { coversJob, parseSyncJob, type RepositoryJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import type { RetryPolicy } from "../../lib/queue/job-queue.ts";
import type { KeptMessages } from "../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { deliver } from "../../lib/relay/deliver.ts";
import { nodeWebhookSender } from "../../lib/relay/node-webhook-sender.ts";
import { announcer } from "../../lib/relay/queue-event.ts";
import { GROUPS_PER_RECEIVER, parseRelayMessage } from "../../lib/relay/relay-message.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import { RecentChecks, type RepositoryJobOptions } from "../../lib/sync/job-context.ts";
import { KeptReads } from "../../lib/sync/kept-reads.ts";
import { type JobOutcome, runRepositoryJob } from "../../lib/sync/repository-job.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import { lfsTransfers, type PlanLfs } from "../wiring/lfs-work.ts";
import { MEMORY } from "../wiring/memory.ts";
import { CopyBursts } from "./copy-bursts.ts";
import { PrimaryPause } from "./delay.ts";
import type { ProgressLine } from "./progress-line.ts";
import { readRelaySecret } from "./secrets.ts";
import { StoredMessages } from "./stored-messages.ts";

/** What the queues share. */
interface QueueContext {
  readonly storage: RepositoryStorage;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly bitbucket: BitbucketAccess;
  /** For packs while they are read; by default the system's. */
  readonly temporaryFolder: string | undefined;
  readonly line: ProgressLine;
  readonly log: Logger;
}

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
  { storage, readConfig, bitbucket, temporaryFolder, line, log }: QueueContext,
  options: WorkerOptions,
): MemoryJobQueue {
  const means = { checks: new RecentChecks(), keptReads: new KeptReads(MEMORY.keptReads) };
  const checked = new Set<string>();
  const pause = new PrimaryPause();

  async function runRepository(job: RepositoryJob, signal: AbortSignal): Promise<void> {
    await pause.wait(signal);
    const { outcome, facts } = await runRepositoryJob(job, {
      ...means,
      ...{ storage, readConfig, log, temporaryFolder, signal, clockMarginMs: 0 },
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
    const named = facts ?? job.facts;
    options.onDone(named === undefined ? job.uuid : `${named.workspace}/${named.slug}`, outcome);
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
    covers: coversJob,
    log,
    concurrency: CONCURRENCY,
    ...(options.kept && { kept: options.kept }),
  });
}

interface LocalLfsOptions {
  readonly settings: LfsSettings;
  /** Where jobs wait, also over a restart; by default they go with the process. */
  readonly kept?: KeptMessages;
  readonly onFailed: (fullName: string, error: unknown) => void;
}

export interface LocalLfs {
  readonly queue: MemoryJobQueue;
  /** Files and bytes copied so far, of all repositories. */
  copied(): LfsProgress;
}

/** Jobs at a time; their transfers share one queue. */
const LFS_CONCURRENCY = 4;

/** A queue of its own, so that files do not delay commits. */
export function startLfs(
  { storage, readConfig, bitbucket, temporaryFolder, line, log }: QueueContext,
  { settings, kept, onFailed }: LocalLfsOptions,
): LocalLfs {
  const policy = lfsPolicy(settings);
  const transfers = lfsTransfers();
  const total = { files: 0, bytes: 0 };
  const bursts = new CopyBursts(line);
  const pause = new PrimaryPause();

  async function run(body: string, signal: AbortSignal): Promise<void> {
    const job = parseLfsJob(body);
    await pause.wait(signal);
    const burst = job.kind === "sweep" ? undefined : bursts.begin(job.uuid);
    try {
      await runLfsJob(job, {
        ...{ storage, readConfig, log, queue, temporaryFolder, policy, transfers, signal },
        lfsOf: bitbucket.lfsOf,
        onProgress: (fullName, progress) => {
          total.files += progress.files;
          total.bytes += progress.bytes;
          burst?.show(fullName, progress);
        },
      });
    } catch (error) {
      pause.noteFailure(error);
      if (!signal.aborted) onFailed(await nameOf(job), error);
      throw error;
    } finally {
      burst?.end();
    }
  }

  async function nameOf(job: LfsJob): Promise<string> {
    if (job.kind === "sweep") return "all repositories";
    const { workspace, uuid } = job;
    const { value } = await repositoryDocument(storage.store, uuid).readForChange();
    return `${value?.workspace ?? workspace}/${value?.slug ?? uuid}`;
  }

  const queue = new MemoryJobQueue({
    run,
    log,
    concurrency: LFS_CONCURRENCY,
    ...(kept && { kept, keepsWaiting: true }),
  });
  return {
    queue,
    copied: () => ({ ...total }),
  };
}

/** Deliveries at a time: room for all receivers, should all of them hang. */
const RELAY_CONCURRENCY = GROUPS_PER_RECEIVER * CONFIG_LIMITS.maxRelayWebhooks;

/** @param serverUrl - Of the server, once it listens. */
export function startRelay(
  { storage, readConfig, log }: Pick<QueueContext, "storage" | "readConfig" | "log">,
  {
    gitUrl,
    serverUrl,
    retries,
  }: { gitUrl: string; serverUrl: () => string; retries?: RetryPolicy | undefined },
) {
  const sendWebhook = nodeWebhookSender({ allowsLoopback: true });
  const queue = new MemoryJobQueue({
    run: (body, signal) =>
      deliver(parseRelayMessage(body), signal, {
        identity: () => ({ name: "local", url: serverUrl(), gitUrl }),
        readConfig,
        readSecret: async (name) => readRelaySecret(process.env, name).secret,
        sendWebhook,
        agent: AGENT,
        log,
      }),
    log,
    concurrency: RELAY_CONCURRENCY,
    kept: new StoredMessages(storage.store, "relay"),
    keepsWaiting: true,
    ...(retries && { retries }),
  });
  return { queue, announce: announcer({ queue, readConfig, hasEventBus: false }) };
}
