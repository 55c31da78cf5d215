/** Copies LFS files in this process: a queue of its own, so that files do not delay commits. */
import { type LfsJob, parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { type LfsSettings, lfsPolicy } from "../../lib/lfs/lfs-policy.ts";
import { type LfsJobOptions, type LfsProgress, runLfsJob } from "../../lib/lfs/run-lfs-job.ts";
import type { KeptMessages } from "../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import { lfsBudget } from "../wiring/lfs-budget.ts";
import { delay, delayAskedFor } from "./delay.ts";
import type { ProgressLine } from "./progress-line.ts";

export interface LocalLfsOptions extends Pick<LfsJobOptions, "storage" | "readConfig" | "log"> {
  /** For packs that are searched for pointers. */
  readonly temporaryFolder: string | undefined;
  readonly bitbucket: BitbucketAccess;
  readonly settings: LfsSettings;
  readonly line: ProgressLine;
  /** Where jobs wait, also over a restart; by default they go with the process. */
  readonly kept?: KeptMessages;
  readonly onFailed: (fullName: string, error: unknown) => void;
}

export interface LocalLfs {
  readonly queue: MemoryJobQueue;
  /** Files and bytes copied so far, of all repositories. */
  copied(): LfsProgress;
}

/** Jobs at a time; their transfers share one budget. */
const CONCURRENCY = 4;

export function startLfs(options: LocalLfsOptions): LocalLfs {
  const { storage, readConfig, log, temporaryFolder, bitbucket, settings, line, kept, onFailed } = options;
  const policy = lfsPolicy(settings);
  const budget = lfsBudget();
  const rates = new Map<string, CopyRate>();
  let pausedUntilMs = 0;

  function show(fullName: string, { files, bytes }: LfsProgress): void {
    const rate = rates.get(fullName) ?? new CopyRate();
    rates.set(fullName, rate);
    rate.add(files, bytes);
    line.showing(`${fullName}, LFS`)({ phase: "copying-files", ...rate });
  }

  async function run(body: string, signal: AbortSignal): Promise<void> {
    const job = parseLfsJob(body);
    while (pausedUntilMs > Date.now() && !signal.aborted) await delay(pausedUntilMs - Date.now(), signal);
    try {
      await runLfsJob(job, {
        ...{ storage, readConfig, log, queue, temporaryFolder },
        lfsOf: (workspace, repository) => bitbucket.lfsOf(workspace, repository),
        policy,
        budget,
        signal,
        onProgress: show,
      });
    } catch (error) {
      pausedUntilMs = Math.max(pausedUntilMs, Date.now() + delayAskedFor(error));
      if (!signal.aborted) onFailed(await nameOf(job), error);
      throw error;
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
    concurrency: CONCURRENCY,
    ...(kept && { kept, keepsWaiting: true }),
  });
  return {
    queue,
    copied: () => {
      const all = [...rates.values()];
      return {
        files: all.reduce((sum, { files }) => sum + files, 0),
        bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    },
  };
}

/** What was copied, and how fast since the first byte. */
class CopyRate {
  files = 0;
  bytes = 0;
  bytesPerSecond = 0;
  readonly #startedMs = performance.now();

  add(files: number, bytes: number): void {
    this.files += files;
    this.bytes += bytes;
    this.bytesPerSecond = (1000 * this.bytes) / Math.max(1, performance.now() - this.#startedMs);
  }
}
