/** Takes LFS jobs from their queue: finds what is to be copied, and copies files from the primary into the bucket. */
import { readLfsConfig } from "../lib/config.ts";
import { type LfsJob, parseLfsJob, requeueJob } from "../lib/lfs/lfs-job.ts";
import { lfsPolicy } from "../lib/lfs/lfs-policy.ts";
import { runLfsJob } from "../lib/lfs/run-lfs-job.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { BlockCache } from "../lib/store/block-cache.ts";
import { bitbucketAccess, SyncBudgets } from "./wiring/bitbucket-access.ts";
import { deployed } from "./wiring/deployed.ts";
import { lfsTransfers } from "./wiring/lfs-work.ts";
import { requeueUnfinished } from "./wiring/sync-requests.ts";

const settings = readLfsConfig(process.env);
const { lfsQueueUrl } = settings;
const { log, store, sqs, readConfig, accountOf } = deployed(settings);
const storage = { store, blocks: new BlockCache(store) };
const queue = new SqsJobQueue(sqs, lfsQueueUrl);
const policy = lfsPolicy(settings);
const transfers = lfsTransfers();
const syncBudgets = new SyncBudgets();

async function run(job: LfsJob, signal: AbortSignal): Promise<void> {
  const { lfsOf } = bitbucketAccess({ ...settings, accountOf, syncBudgets, signal, log });
  const wiring = { storage, queue, readConfig, lfsOf, policy, transfers, log, signal };
  await requeueUnfinished(
    () => runLfsJob(job, wiring),
    () => requeueJob(queue, job),
  );
}

export const handler = sqsJobConsumer({ client: sqs, queueUrl: lfsQueueUrl, parse: parseLfsJob, run, log });
