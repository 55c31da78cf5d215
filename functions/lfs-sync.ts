/** Takes LFS jobs from their queue: finds what is to be copied, and copies files from the primary into the bucket. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { readAccountParameter } from "../lib/bitbucket/parameter-account.ts";
import { ACCOUNT_SECRET_FOLDER, readLfsConfig } from "../lib/config.ts";
import { type LfsJob, parseLfsJob } from "../lib/lfs/lfs-job.ts";
import { lfsPolicy } from "../lib/lfs/lfs-policy.ts";
import { runLfsJob } from "../lib/lfs/run-lfs-job.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig } from "../lib/mirror/config-store.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { BlockCache } from "../lib/store/block-cache.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { bitbucketAccess, SyncBudgets } from "./wiring/bitbucket-access.ts";
import { logInvalidConfig } from "./wiring/invalid-config.ts";
import { lfsBudget } from "./wiring/lfs-budget.ts";
import { requeueUnfinishedCopies } from "./wiring/lfs-requeue.ts";

const settings = readLfsConfig(process.env);
const { bucket, lfsQueueUrl, secretPath, logLevel } = settings;
const log = pinoLogger(logLevel);
const store = new S3BlobStore({ client: createS3Client(), bucket });
const storage = { store, blocks: new BlockCache(store) };
const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
const sqs = new SQSClient();
const queue = new SqsJobQueue(sqs, lfsQueueUrl);
const config = new CurrentConfig(store, { onInvalid: logInvalidConfig(log) });
const policy = lfsPolicy(settings);
const budget = lfsBudget();
const syncBudgets = new SyncBudgets();

async function run(job: LfsJob, signal: AbortSignal): Promise<void> {
  const { lfsOf } = bitbucketAccess({
    ...settings,
    accountOf: ({ credential }) =>
      readAccountParameter(readParameter, `${secretPath}${ACCOUNT_SECRET_FOLDER}`, credential),
    syncBudgets,
    signal,
  });
  const readConfig = () => config.read();
  const wiring = { storage, queue, readConfig, lfsOf, policy, budget, log, signal };
  await requeueUnfinishedCopies(job, queue, () => runLfsJob(job, wiring));
}

export const handler = sqsJobConsumer({ client: sqs, queueUrl: lfsQueueUrl, parse: parseLfsJob, run, log });
