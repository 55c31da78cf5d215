/** Takes sync jobs from the queue and brings their repositories up to date in the bucket. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { SSMClient } from "@aws-sdk/client-ssm";
import { gitCredential, restCredential } from "../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../lib/bitbucket/rest-api.ts";
import { readSsmAccount } from "../lib/bitbucket/ssm-account.ts";
import { upstreamGit } from "../lib/bitbucket/upstream-git.ts";
import { tryRefreshBundles } from "../lib/bundles/refresh-bundles.ts";
import { AGENT, readSyncConfig } from "../lib/config.ts";
import { errorFields } from "../lib/errors.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { BlockCache } from "../lib/store/block-cache.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { parseSyncJob, runSyncJob, type SyncJob } from "../lib/sync/sync-job.ts";

const { bucket, syncQueueUrl, gitUrl, apiUrl, credentialParameter, publicRepositories, logLevel } =
  readSyncConfig(process.env);
const log = pinoLogger(logLevel);
const store = new S3BlobStore({ client: createS3Client(), bucket });
const onDamage = (error: unknown, key: string): void =>
  log.error("store:damaged", { key, ...errorFields(error) });
const storage = { store, blocks: new BlockCache(store), onDamage };
const ssm = new SSMClient();

async function run(job: SyncJob, signal: AbortSignal): Promise<void> {
  // Read for each job: a token that was replaced must not wait for a new process.
  const account =
    credentialParameter === undefined
      ? ({ kind: "none" } as const)
      : await readSsmAccount(ssm, credentialParameter);
  await runSyncJob(job, {
    api: bitbucketRestApi({ fetch, apiUrl, credential: restCredential(account) }),
    upstreamOf: ({ fullName }) =>
      upstreamGit({
        repositoryUrl: `${gitUrl}/${fullName}.git`,
        credential: gitCredential(account),
        agent: AGENT,
        fetch,
        signal,
      }),
    storage,
    log,
    onPublished: (uuid) => tryRefreshBundles(uuid, { storage, log, signal }),
    publicRepositories,
    signal,
  });
}

export const handler = sqsJobConsumer({
  client: new SQSClient(),
  queueUrl: syncQueueUrl,
  parse: parseSyncJob,
  run,
  log,
});
