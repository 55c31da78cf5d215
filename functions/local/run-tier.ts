/**
 * `nearside serve --tier`: a server of the stream tier. It serves only requests with a token of the mirror in front of it, from that
 * mirror's store. It asks Bitbucket nothing and synchronizes nothing by itself.
 */
import { once } from "node:events";
import { SQSClient } from "@aws-sdk/client-sqs";
import { AGENT, ENV, readTierLogConfig } from "../../lib/config.ts";
import { parseDecision } from "../../lib/git-http/access-decision.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { RequestLoad } from "../../lib/git-http/request-load.ts";
import { SyncOnDemand } from "../../lib/git-http/sync-on-demand.ts";
import { tierHttp } from "../../lib/git-http/tier-http.ts";
import { TierKeys } from "../../lib/git-http/tier-token.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import type { Logger } from "../../lib/log.ts";
import { pinoLogger } from "../../lib/log-pino.ts";
import { servesBy } from "../../lib/mirror/selection.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { type FunctionLog, functionLog } from "../wiring/function-log.ts";
import { loadLimits, MEMORY } from "../wiring/memory.ts";
import { loggedConfig, repositoryStorage } from "../wiring/storage.ts";
import { queuedSyncRequests } from "../wiring/sync-requests.ts";
import type { Arguments } from "./arguments.ts";
import { openBlobUrls, openStore, temporaryFolderIn } from "./open-store.ts";

/** A load balancer has stopped sending requests by then, and Fargate waits for two minutes. */
const CLOSE_GRACE_MS = 110_000;

/** @throws What prevents the start: {@link ConfigError} for keys that are missing. */
export async function runTier(settings: Arguments, stop: AbortSignal): Promise<void> {
  const keys = new TierKeys(process.env[ENV.streamTierKeys] ?? "");
  const { log, onStoreRequest } = tierLog(settings);
  const store = openStore(settings.store, settings.s3Endpoint, onStoreRequest);
  const handler = tierHttp({
    keys,
    git: answerGit(store, settings, log),
    allowedAddresses: settings.allowedAddresses,
    log,
  });
  const server = await startNodeServer(handler, { ...settings, log, closeGraceMs: CLOSE_GRACE_MS });
  log.info("tier:listening", { url: server.url });
  if (!stop.aborted) await once(stop, "abort");
  log.info("tier:stopping", { graceSeconds: CLOSE_GRACE_MS / 1000 });
  await server.close();
}

/** In a deployment lines carry the same metrics as those of its functions. */
function tierLog({ verbose }: Arguments): Pick<FunctionLog, "log"> & Partial<FunctionLog> {
  const deployed = readTierLogConfig(process.env);
  return deployed === undefined ? { log: pinoLogger(verbose ? "debug" : "info") } : functionLog(deployed);
}

function answerGit(store: BlobStore, settings: Arguments, log: Logger) {
  const queueUrl = process.env[ENV.syncQueueUrl] || undefined;
  const storage = repositoryStorage(store, log, { temporaryFolder: temporaryFolderIn(settings.store) });
  const urls = openBlobUrls(settings);
  const catalog = new RepositoryCatalog(
    { ...storage, ...(urls !== undefined && { urls }) },
    {
      serves: servesBy(loggedConfig(store, log)),
      readsPushMarkers: queueUrl !== undefined,
      maxOpenBytes: MEMORY.openRepositories,
    },
  );
  return gitHttp({
    access: async ({ request, ...asked }) => parseDecision(request.authorizerContext?.["access"], asked),
    find: (...request) => catalog.find(...request),
    ...(queueUrl !== undefined && {
      onDemand: new SyncOnDemand({
        ...{ catalog, store, log },
        requests: queuedSyncRequests(new SqsJobQueue(new SQSClient(), queueUrl)),
        maxWaitMs: settings.waitSeconds * 1000,
      }),
    }),
    push: { kind: "refuse", gitUrl: settings.gitUrl },
    log,
    agent: AGENT,
    load: new RequestLoad(loadLimits(settings)),
  });
}
