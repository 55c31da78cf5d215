import { UnfinishedError } from "../../lib/errors.ts";
import { type LfsJob, requeueJob } from "../../lib/lfs/lfs-job.ts";
import type { JobQueue } from "../../lib/queue/job-queue.ts";

/** A copy that ran out of time after progress has not failed: it is queued again, and continues. */
export async function requeueUnfinishedCopies(
  job: LfsJob,
  queue: JobQueue,
  run: () => Promise<unknown>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UnfinishedError)) throw error;
    await requeueJob(queue, job);
  }
}
