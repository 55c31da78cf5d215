/** Sync jobs as messages of a queue. */
import { UnfinishedError } from "../../lib/errors.ts";
import { formatSyncJob, groupOf, type RepositoryJob, type SyncRequests } from "../../lib/mirror/sync-job.ts";
import type { JobQueue } from "../../lib/queue/job-queue.ts";

export function queuedSyncRequests(queue: JobQueue): SyncRequests {
  return {
    request: (jobs) =>
      queue.send(
        jobs.map(({ job, eventId }) => ({
          groupId: groupOf(job),
          dedupId: eventId,
          body: formatSyncJob(job),
        })),
      ),
  };
}

/** Asks for a sync that ran out of time after progress. A job that is delivered twice asks once. */
export async function requestAgain(
  requests: SyncRequests,
  job: RepositoryJob,
  { context: { doneSteps } }: UnfinishedError,
): Promise<void> {
  await requests.request([{ job, eventId: `unfinished-${job.uuid}-${job.queuedAt}-${doneSteps}` }]);
}

/** What ran out of time after progress has not failed: it is queued again, and continues. */
export async function requeueUnfinished(
  run: () => Promise<unknown>,
  requeue: (error: UnfinishedError) => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UnfinishedError)) throw error;
    await requeue(error);
  }
}
