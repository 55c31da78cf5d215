/** Answers how fresh a repository is, and waits for commits, behind API Gateway, whose authorizer has decided who may read. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { readStatusConfig } from "../lib/config.ts";
import { parseDecision } from "../lib/git-http/access-decision.ts";
import { FirstSync } from "../lib/git-http/first-sync.ts";
import { statusHttp } from "../lib/git-http/status-http.ts";
import { SyncOnDemand } from "../lib/git-http/sync-on-demand.ts";
import { answerUnserved } from "../lib/git-http/unserved.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { servesBy } from "../lib/mirror/selection.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { RepositoryCatalog } from "../lib/repo/repository-catalog.ts";
import { repositoryDocument } from "../lib/repo/repository-record.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { functionLog } from "./wiring/function-log.ts";
import { loggedConfig, repositoryStorage } from "./wiring/storage.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readStatusConfig(process.env);
const { bucket, syncQueueUrl, gitUrl, redirectUnmirrored, waitSeconds } = settings;
const { log, onStoreRequest } = functionLog(settings);
const store = new S3BlobStore({ client: createS3Client({ onRequest: onStoreRequest }), bucket });
const readConfig = loggedConfig(store, log);
const catalog = new RepositoryCatalog(repositoryStorage(store, log), {
  serves: servesBy(readConfig),
  readsAnnouncements: true,
});
const requests = queuedSyncRequests(new SqsJobQueue(new SQSClient(), syncQueueUrl));
const syncs = { catalog, store, requests, maxWaitMs: waitSeconds * 1000, log };
const status = statusHttp({
  access: async ({ request, ...asked }) => parseDecision(request.authorizerContext?.["access"], asked),
  find: (...request) => catalog.find(...request),
  onDemand: new SyncOnDemand(syncs),
  unserved: answerUnserved({
    store,
    readConfig,
    firstSync: new FirstSync(syncs),
    redirects: redirectUnmirrored === "public",
    gitUrl,
  }),
  readState: async (uuid) => (await repositoryDocument(store, uuid).read()).value,
});

export const handler = lambdaServer(status, { log });
