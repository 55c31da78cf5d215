/** Serves the pages and the JSON API behind API Gateway, without an authorizer: a page decides for the session's caller. */
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { invokeFunction } from "../lib/aws/invoke-function.ts";
import { measuredFetch } from "../lib/bitbucket/measured-fetch.ts";
import { parameterAccounts } from "../lib/bitbucket/parameter-account.ts";
import { AGENT, readPagesConfig } from "../lib/config.ts";
import { accessOverStore } from "../lib/git-http/access-over-store.ts";
import { notFoundResponse } from "../lib/http/error-response.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { delegateOver } from "../lib/pages/delegated-actions.ts";
import { PAGE_PREFIX } from "../lib/pages/repository-path.ts";
import { signedSqsQueue } from "../lib/queue/signed-sqs-queue.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { cloudWatchHistory } from "./wiring/cloudwatch-history.ts";
import { functionLog } from "./wiring/function-log.ts";
import { mirrorPages } from "./wiring/mirror-pages.ts";
import { probeQuestions } from "./wiring/probe-questions.ts";
import { loggedConfig } from "./wiring/storage.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readPagesConfig(process.env);
const { bucket, syncQueueUrl, lfsQueueUrl, gitUrl, apiUrl, authSecret, secretPath, anonymous, ...limits } =
  settings;
const { administerFunction } = settings;
const { log, onStoreRequest } = functionLog(settings);
const store = new S3BlobStore({ client: createS3Client({ onRequest: onStoreRequest }), bucket });
const readConfig = loggedConfig(store, log);
const requests = new AwsRequests(lambdaAccess(process.env), onStoreRequest);
const allowsAnonymous = anonymous === "allow";
const pages = mirrorPages({
  ...{ store, readConfig, gitUrl, apiUrl, allowsAnonymous },
  access: accessOverStore({
    store,
    probeQuestions: probeQuestions({
      ...{ store, readConfig },
      accountOf: parameterAccounts(signedParameters(requests), secretPath),
    }),
    secret: authSecret,
    fetch: measuredFetch(fetch, log),
    gitUrl,
    agent: AGENT,
    settings: { ...limits, allowsAnonymous, relaysPushes: false },
    log,
  }),
  // This function is open to all callers: it queues syncs and writes the log, and has the other function change what is mirrored.
  ...(administerFunction !== undefined && {
    administration: {
      canConnect: false,
      connectCommand: `nearside connect <workspace> --credential <workspace> --store s3://${bucket} --secret-path ${secretPath}`,
      delegate: delegateOver((asked) => invokeFunction(requests, administerFunction, asked)),
      requests: queuedSyncRequests(signedSqsQueue(requests, syncQueueUrl)),
      history: cloudWatchHistory({
        ...{ requests, namespace: settings.stackPrefix, hasDetail: settings.metrics === "all" },
        queueUrls: { sync: syncQueueUrl, lfs: lfsQueueUrl },
      }),
      log,
    },
  }),
  // API Gateway always sends the host that the client asked.
  serverUrl: () => "",
  sessionSecret: authSecret,
  pagePrefix: PAGE_PREFIX,
  // A function is paid for as long as a stream is open.
  eventIntervalMs: 0,
});

export const handler = lambdaServer(async (request) => (await pages(request)) ?? notFoundResponse(), { log });
