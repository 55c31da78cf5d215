/** What the use-cases ask for, as messages of a queue. */
import { formatSyncJob, groupOf, type SyncRequests } from "../../lib/mirror/sync-job.ts";
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
