/** Takes jobs from the queue and makes repositories in the bucket what they should be. */
import { tryRefreshBundles } from "../lib/bundles/refresh-bundles.ts";
import { readSyncConfig } from "../lib/config.ts";
import { findWorkspace } from "../lib/mirror/mirror-config.ts";
import { parseSyncJob, type SyncJob } from "../lib/mirror/sync-job.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { reconcileWorkspace } from "../lib/reconcile/reconcile-workspace.ts";
import { announcer } from "../lib/relay/queue-event.ts";
import { RecentChecks } from "../lib/sync/job-context.ts";
import { KeptReads } from "../lib/sync/kept-reads.ts";
import { runRepositoryJob } from "../lib/sync/repository-job.ts";
import { bitbucketAccess, SyncBudgets } from "./wiring/bitbucket-access.ts";
import { deployed } from "./wiring/deployed.ts";
import { lfsPlans } from "./wiring/lfs-work.ts";
import { MEMORY } from "./wiring/memory.ts";
import { repositoryStorage } from "./wiring/storage.ts";
import { queuedSyncRequests, requestAgain, requeueUnfinished } from "./wiring/sync-requests.ts";

const settings = readSyncConfig(process.env);
const { syncQueueUrl, relayQueueUrl, lfsQueueUrl } = settings;
const { log, store, sqs, readConfig, accountOf } = deployed(settings);
const storage = repositoryStorage(store, log);
const requests = queuedSyncRequests(new SqsJobQueue(sqs, syncQueueUrl));
const means = { checks: new RecentChecks(), keptReads: new KeptReads(MEMORY.keptReads) };
const syncBudgets = new SyncBudgets();
const planLfs = lfsPlans(store, new SqsJobQueue(sqs, lfsQueueUrl), log);
const announce = announcer({ queue: new SqsJobQueue(sqs, relayQueueUrl), readConfig, hasEventBus: true });

async function run(job: SyncJob, signal: AbortSignal): Promise<void> {
  const { primaryOf, apiOf } = bitbucketAccess({ ...settings, accountOf, syncBudgets, signal, log });
  if (job.kind === "repository") {
    const onPublished = (uuid: string) => tryRefreshBundles(uuid, { storage, log, signal });
    const wiring = { ...means, storage, readConfig, primaryOf, log, announce, onPublished, signal };
    await requeueUnfinished(
      async () => {
        const { outcome, facts } = await runRepositoryJob(job, wiring);
        await planLfs({ workspace: facts?.workspace ?? job.workspace, uuid: job.uuid }, outcome);
      },
      (error) => requestAgain(requests, job, error),
    );
    return;
  }
  const workspace = findWorkspace(await readConfig(), job.workspace);
  if (workspace !== undefined)
    await reconcileWorkspace(workspace, { store, requests, apiOf, log, mode: "list" });
}

export const handler = sqsJobConsumer({ client: sqs, queueUrl: syncQueueUrl, parse: parseSyncJob, run, log });
