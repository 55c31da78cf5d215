/** A sync that ran out of time and has come further is no failed try: it is asked for anew, and goes on. */
import { UnfinishedError } from "../../lib/errors.ts";
import type { RepositoryJob, SyncRequests } from "../../lib/mirror/sync-job.ts";

export async function requeueUnfinished(
  job: RepositoryJob,
  requests: SyncRequests,
  run: () => Promise<unknown>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UnfinishedError)) throw error;
    // A job that is delivered twice asks once.
    const { doneSteps } = error.context;
    await requests.request([{ job, eventId: `going-on-${job.uuid}-${job.queuedAt}-${doneSteps}` }]);
  }
}
