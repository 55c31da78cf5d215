/** Answers how fresh a repository is, waits for commits, and makes plans of clones, behind API Gateway, whose authorizer has decided who may read. */
import { AwsRequests, lambdaAccess } from "../lib/aws/aws-requests.ts";
import { readStatusConfig } from "../lib/config.ts";
import { parseDecision } from "../lib/git-http/access-decision.ts";
import { answerClonePlan } from "../lib/git-http/clone-plan.ts";
import { statusHttp } from "../lib/git-http/status-http.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { servesBy } from "../lib/mirror/selection.ts";
import { signedSqsQueue } from "../lib/queue/signed-sqs-queue.ts";
import { RepositoryCatalog } from "../lib/repo/repository-catalog.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { S3BlobUrls } from "../lib/store/s3-blob-urls.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { functionLog } from "./wiring/function-log.ts";
import { servedRepositories } from "./wiring/served-repositories.ts";
import { loggedConfig, repositoryStorage } from "./wiring/storage.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readStatusConfig(process.env);
const { bucket, syncQueueUrl } = settings;
const { log, onStoreRequest } = functionLog(settings);
const location = { client: createS3Client({ onRequest: onStoreRequest }), bucket };
const store = new S3BlobStore(location);
const readConfig = loggedConfig(store, log);
const catalog = new RepositoryCatalog(repositoryStorage(store, log), {
  serves: servesBy(readConfig),
  readsPushMarkers: true,
});
const awsRequests = new AwsRequests(lambdaAccess(process.env));
const requests = queuedSyncRequests(signedSqsQueue(awsRequests, syncQueueUrl));
const status = statusHttp({
  access: async ({ request, ...asked }) => parseDecision(request.authorizerContext?.["access"], asked),
  ...servedRepositories({ catalog, store, readConfig, log, settings, requests }),
  clonePlan: answerClonePlan({ urls: new S3BlobUrls(location), gitUrl: settings.gitUrl }),
});

export const handler = lambdaServer(status, { log });
