/** Takes jobs from the queue and makes repositories in the bucket what they should be. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { readAccountParameter } from "../lib/bitbucket/parameter-account.ts";
import { tryRefreshBundles } from "../lib/bundles/refresh-bundles.ts";
import { ACCOUNT_SECRET_FOLDER, readSyncConfig } from "../lib/config.ts";
import { errorFields } from "../lib/errors.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig } from "../lib/mirror/config-store.ts";
import { findWorkspace } from "../lib/mirror/mirror-config.ts";
import { parseSyncJob, type SyncJob } from "../lib/mirror/sync-job.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { reconcileWorkspace } from "../lib/reconcile/reconcile-workspace.ts";
import { announcer } from "../lib/relay/queue-event.ts";
import { AnswerSharing } from "../lib/repo/answers/answer-sharing.ts";
import { BlockCache } from "../lib/store/block-cache.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { RecentChecks } from "../lib/sync/job-context.ts";
import { runRepositoryJob } from "../lib/sync/repository-job.ts";
import { bitbucketAccess, SyncBudgets } from "./wiring/bitbucket-access.ts";
import { logInvalidConfig } from "./wiring/invalid-config.ts";
import { lfsPlans } from "./wiring/lfs-plans.ts";
import { queuedSyncRequests, requeueUnfinished } from "./wiring/sync-requests.ts";

const settings = readSyncConfig(process.env);
const { bucket, syncQueueUrl, relayQueueUrl, lfsQueueUrl, gitUrl, apiUrl, secretPath, logLevel } = settings;
const log = pinoLogger(logLevel);
const store = new S3BlobStore({ client: createS3Client(), bucket });
const onDamage = (error: unknown, key: string): void =>
  log.error("store:damaged", { key, ...errorFields(error) });
const onFailure = (error: unknown, key: string): void =>
  log.error("answers:failed", { key, ...errorFields(error) });
const answers = new AnswerSharing({ store, onFailure });
const storage = { store, blocks: new BlockCache(store), answers, onDamage };
const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
const sqs = new SQSClient();
const requests = queuedSyncRequests(new SqsJobQueue(sqs, syncQueueUrl));
const config = new CurrentConfig(store, { onInvalid: logInvalidConfig(log) });
const readConfig = () => config.read();
const checks = new RecentChecks();
const syncBudgets = new SyncBudgets();
const planLfs = lfsPlans({ store, queue: new SqsJobQueue(sqs, lfsQueueUrl), log });
const announce = announcer({ queue: new SqsJobQueue(sqs, relayQueueUrl), readConfig, hasEventBus: true });

async function run(job: SyncJob, signal: AbortSignal): Promise<void> {
  const { primaryOf, apiOf } = bitbucketAccess({
    apiUrl,
    gitUrl,
    accountOf: ({ credential }) =>
      readAccountParameter(readParameter, `${secretPath}${ACCOUNT_SECRET_FOLDER}`, credential),
    syncBudgets,
    signal,
  });
  if (job.kind === "repository") {
    const onPublished = (uuid: string) => tryRefreshBundles(uuid, { storage, log, signal });
    const wiring = { storage, readConfig, primaryOf, log, checks, announce, onPublished, signal };
    await requeueUnfinished(job, requests, async () => {
      const { outcome, facts } = await runRepositoryJob(job, wiring);
      await planLfs({ workspace: facts?.workspace ?? job.workspace, uuid: job.uuid }, outcome);
    });
    return;
  }
  const workspace = findWorkspace(await readConfig(), job.workspace);
  if (workspace !== undefined)
    await reconcileWorkspace(workspace, { store, requests, apiOf, log, mode: "list" });
}

export const handler = sqsJobConsumer({ client: sqs, queueUrl: syncQueueUrl, parse: parseSyncJob, run, log });
