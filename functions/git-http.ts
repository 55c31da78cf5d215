/** Serves clones and fetches from the bucket, behind API Gateway, whose authorizer has decided who may read. */
import { AwsRequests, lambdaAccess } from "../lib/aws/aws-requests.ts";
import { measuredFetch } from "../lib/bitbucket/measured-fetch.ts";
import { AGENT, readGitHttpConfig, readStreamTierConfig } from "../lib/config.ts";
import { parseDecision } from "../lib/git-http/access-decision.ts";
import { gitHttp } from "../lib/git-http/git-http.ts";
import { LAMBDA_ANSWER_LIMIT, LargeRepositories } from "../lib/git-http/large-repositories.ts";
import { StreamTier } from "../lib/git-http/stream-tier.ts";
import { TierKeys } from "../lib/git-http/tier-token.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import type { HttpHandler } from "../lib/http/message.ts";
import { requestCopies } from "../lib/lfs/lfs-job.ts";
import { CopyRequests } from "../lib/lfs-http/copy-requests.ts";
import { KnownRights } from "../lib/lfs-http/known-rights.ts";
import { lfsHttp } from "../lib/lfs-http/lfs-http.ts";
import { withLfsErrors } from "../lib/lfs-http/lfs-response.ts";
import { servesBy } from "../lib/mirror/selection.ts";
import { redirectToPage, repositoryPageOf } from "../lib/pages/repository-path.ts";
import { signedSqsQueue } from "../lib/queue/signed-sqs-queue.ts";
import { RepositoryCatalog } from "../lib/repo/repository-catalog.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { S3BlobUrls } from "../lib/store/s3-blob-urls.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { functionLog } from "./wiring/function-log.ts";
import { MEMORY } from "./wiring/memory.ts";
import { servedRepositories } from "./wiring/served-repositories.ts";
import { loggedConfig, repositoryStorage } from "./wiring/storage.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const config = readGitHttpConfig(process.env);
const tier = readStreamTierConfig(process.env);
const { log, onStoreRequest } = functionLog(config);
const location = { client: createS3Client({ onRequest: onStoreRequest }), bucket: config.bucket };
const store = new S3BlobStore(location);
const urls = new S3BlobUrls(location);
/** The last part of an upload takes a second. The client has received the whole pack, and waits for it. */
const storage = repositoryStorage(store, log, {
  maxKeepingWaitMs: 5_000,
  maxBytes: LAMBDA_ANSWER_LIMIT.maxPlannedBytes,
});
const readConfig = loggedConfig(store, log);
const catalog = new RepositoryCatalog(
  { ...storage, urls },
  { serves: servesBy(readConfig), readsPushMarkers: true, maxOpenBytes: MEMORY.openRepositories },
);

const awsRequests = new AwsRequests(lambdaAccess(process.env));
const lfsQueue = signedSqsQueue(awsRequests, config.lfsQueueUrl);
// A request of API Gateway holds 4.5 MB at most.
const push = { kind: config.push === "relay" ? "redirect" : config.push, gitUrl: config.gitUrl } as const;
const lfs = lfsHttp({
  rights: new KnownRights(storage, log, MEMORY.lfsRights),
  urls,
  ...(config.lfs !== "none" && {
    copies: new CopyRequests((repository, files) => requestCopies(lfsQueue, repository, files)),
  }),
  ...{ fetch: measuredFetch(fetch, log), push, log, agent: AGENT },
});
const git = gitHttp({
  access: async ({ request, ...asked }) => parseDecision(request.authorizerContext?.["access"], asked),
  ...servedRepositories({
    ...{ catalog, store, readConfig, log, lfs, settings: config },
    requests: queuedSyncRequests(signedSqsQueue(awsRequests, config.syncQueueUrl)),
  }),
  lfs,
  push,
  large: new LargeRepositories({
    store,
    callerKey: ({ authorizerContext }) => {
      const caller = authorizerContext?.["caller"];
      return typeof caller === "string" ? caller : undefined;
    },
    tier: tier && new StreamTier({ ...tier, keys: new TierKeys(tier.keys, tier.bindsNetwork), fetch, log }),
    redirectsToPrimary: config.redirectUnmirrored === "public",
    gitUrl: config.gitUrl,
    log,
  }),
  log,
  agent: AGENT,
});

/** A browser gets the repository's page, which has an address of its own. */
const gitOrPage: HttpHandler = async (request) => {
  const named = request.method === "GET" ? repositoryPageOf(request) : undefined;
  return named === undefined ? git(request) : redirectToPage(request, named);
};

export const handler = lambdaServer(withLfsErrors(gitOrPage, { log }), { log });
