/** Copies LFS files in this process: a queue of its own, so that files do not delay commits. */
import { type LfsJob, parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { type LfsSettings, lfsPolicy } from "../../lib/lfs/lfs-policy.ts";
import { type LfsProgress, runLfsJob } from "../../lib/lfs/run-lfs-job.ts";
import type { KeptMessages } from "../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import { lfsBudget } from "../wiring/lfs-work.ts";
import type { LocalContext } from "./context.ts";
import { PrimaryPause } from "./delay.ts";

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

/** Jobs at a time; their transfers share one budget. */
const CONCURRENCY = 4;

export function startLfs(
  { storage, readConfig, bitbucket, temporaryFolder, line, log }: LocalContext,
  { settings, kept, onFailed }: LocalLfsOptions,
): LocalLfs {
  const policy = lfsPolicy(settings);
  const budget = lfsBudget();
  const rates = new Map<string, CopyRate>();
  const pause = new PrimaryPause();

  function show(fullName: string, { files, bytes }: LfsProgress): void {
    const rate = rates.get(fullName) ?? new CopyRate();
    rates.set(fullName, rate);
    rate.add(files, bytes);
    line.showing(`${fullName}, LFS`)({ phase: "copying-files", ...rate });
  }

  async function run(body: string, signal: AbortSignal): Promise<void> {
    const job = parseLfsJob(body);
    await pause.wait(signal);
    try {
      await runLfsJob(job, {
        ...{ storage, readConfig, log, queue, temporaryFolder, policy, budget, signal },
        lfsOf: bitbucket.lfsOf,
        onProgress: show,
      });
    } catch (error) {
      pause.noteFailure(error);
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
