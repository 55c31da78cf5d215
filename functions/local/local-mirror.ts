/** Puts the mirror of one process together: server, webhook receiver, worker, reconcile rounds, relay. */
import type { BitbucketAccount } from "../../lib/bitbucket/credential.ts";
import { reportExpiry } from "../../lib/bitbucket/token-expiry.ts";
import type { HttpHandler } from "../../lib/http/message.ts";
import { requestCopies } from "../../lib/lfs/lfs-job.ts";
import type { Logger } from "../../lib/log.ts";
import type { MirrorConfig, MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import { lastPushMs, type SyncRequests } from "../../lib/mirror/sync-job.ts";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import type { MeasuredHistory } from "../../lib/pages/ports.ts";
import type { RetryPolicy } from "../../lib/queue/job-queue.ts";
import { reconcileMirror } from "../../lib/reconcile/reconcile-mirror.ts";
import {
  DEFAULT_RECONCILE_LIMITS,
  type ReconcileLimits,
  type ReconcileMode,
} from "../../lib/reconcile/reconcile-workspace.ts";
import type { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { JobOutcome } from "../../lib/sync/repository-job.ts";
import { tendWebhooks } from "../../lib/webhook/install-webhooks.ts";
import { receiveWebhook, WEBHOOK_PATH } from "../../lib/webhook/receive-webhook.ts";
import { explain } from "../cli/explain.ts";
import { type BitbucketAccess, bitbucketAccess } from "../wiring/bitbucket-access.ts";
import { lfsPlans } from "../wiring/lfs-work.ts";
import { repositoryStorage } from "../wiring/storage.ts";
import { queuedSyncRequests } from "../wiring/sync-requests.ts";
import type { Arguments } from "./arguments.ts";
import { delay } from "./delay.ts";
import { mirrorHttp } from "./mirror-http.ts";
import { temporaryFolderIn } from "./open-store.ts";
import type { ProgressLine } from "./progress-line.ts";
import { startLfs, startRelay, startWorker } from "./queues.ts";
import { describePublished } from "./ready-message.ts";
import { StoredMessages } from "./stored-messages.ts";

export interface LocalMirrorOptions {
  readonly store: BlobStore;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly accountOf: (workspace: MirroredWorkspace) => Promise<BitbucketAccount>;
  /** The command line's settings, except the selection. */
  readonly settings: Arguments;
  /** Of events that receivers reject; by default as of jobs. */
  readonly relayRetries?: RetryPolicy | undefined;
  /** The listening server's URL. */
  readonly serverUrl: () => string;
  /** Signing secret of webhooks. Without it webhooks are neither accepted nor created. */
  readonly webhookSecret: string | undefined;
  readonly line: ProgressLine;
  /** Of this process. */
  readonly history: () => MeasuredHistory;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

export type LocalMirror = Awaited<ReturnType<typeof localMirror>>;

/** How soon a change of the selection is noticed. */
const SELECTION_CHECK_MS = 5_000;

/** A complete list costs one request for 100 repositories; Bitbucket allows 1,000 an hour. */
const MIN_LIST_INTERVAL_MS = 15 * 60_000;

/** @throws {ConfigError} The secret for callers' keys is not valid. */
export async function localMirror(options: LocalMirrorOptions) {
  const { settings, store, readConfig, line, log, stop } = options;
  const temporaryFolder = temporaryFolderIn(settings.store);
  const storage = repositoryStorage(store, log, { temporaryFolder });
  const bitbucket = bitbucketAccess({ ...settings, accountOf: options.accountOf, signal: stop, log });
  const takeKept = () => Promise.all(queues.map((one) => one.takeKept()));
  const { handler: git, catalog } = await mirrorHttp(storage, {
    ...options,
    ...{ apiOf: bitbucket.apiOf, takeKept },
    requests: { request: (jobs) => requests.request(jobs) },
    pushedAtMs: (uuid) => lastPushMs(queue.bodiesOf(uuid)),
    queueCopies: (repository, files) => requestCopies(lfs.queue, repository, files),
  });
  const context = { storage, readConfig, bitbucket, temporaryFolder, line, log };
  const onFailed = (name: string, error: unknown) => line.note(`${name}: ${explain(error)}`);
  const relay = startRelay(context, { ...options, gitUrl: settings.gitUrl, retries: options.relayRetries });
  const lfs = startLfs(context, {
    settings,
    kept: new StoredMessages(store, "lfs"),
    onFailed: (name, error) => onFailed(`${name}, LFS`, error),
  });
  const queue = startWorker(context, {
    planLfs: lfsPlans(store, lfs.queue, log),
    announce: relay.announce,
    kept: new StoredMessages(store, "sync"),
    onFailed,
    onDone(name, outcome) {
      catalog.forgetNames();
      printOutcome(line, name, outcome);
    },
    reconcile: async (workspace) => void (await reconcile("list", undefined, workspace)),
  });
  const queues = [queue, relay.queue, lfs.queue];
  const requests = queuedSyncRequests(queue);

  function reconcile(mode: ReconcileMode, mirrorUrl?: string, workspace?: string) {
    return reconcileMirror({
      ...{ store, requests, log, mode, apiOf: bitbucket.apiOf, limits: reconcileLimits(settings) },
      readConfig: async () => onlyWorkspace(await readConfig(), workspace),
      ...(mirrorUrl !== undefined && tending(mirrorUrl, bitbucket, options)),
      reportExpiry: reportExpiry(options),
    });
  }

  return {
    handler: withWebhooks(git, requests, options),
    /** Runs until it is stopped. @param mirrorUrl - For Bitbucket. @param onFirstRound - Every repository has been tried. */
    async follow(mirrorUrl: string, onFirstRound: () => Promise<void>): Promise<void> {
      const closeQueues = () => Promise.all(queues.map((one) => one.close()));
      // At once, so that no job starts that the stop would fail.
      stop.addEventListener("abort", () => void closeQueues(), { once: true });
      for (let round = 1; !stop.aborted; round++) {
        const selection = await selectionNow(readConfig);
        // What another process has replayed.
        await takeKept();
        for (const { workspace, failure } of await reconcile(round === 1 ? "list" : "quick", mirrorUrl))
          if (failure !== undefined && !stop.aborted) onFailed(workspace, failure);
        await queue.idle();
        if (round === 1 && !stop.aborted) await onFirstRound();
        await nextRound(selection, options);
      }
      await closeQueues();
    },
    queues: { sync: queue, lfs: lfs.queue, relay: relay.queue },
    reconcile: (mode: ReconcileMode) => reconcile(mode),
    /** Resolves when all jobs are done. */
    drained: () => drained(queues),
    /** `workspace/slug` of each served repository. */
    servedNames: async () => servedNames(await readConfig(), store, catalog),
  };
}

/** One after the other: syncs make jobs for those behind them. */
async function drained(queues: readonly { readonly drained: () => Promise<unknown> }[]): Promise<void> {
  for (const one of queues) await one.drained();
}

async function selectionNow(readConfig: LocalMirrorOptions["readConfig"]): Promise<string> {
  return JSON.stringify((await readConfig()).workspaces);
}

/** Resolves when it is time for the next poll, or the selection is another than `before`. */
async function nextRound(before: string, { settings, readConfig, stop }: LocalMirrorOptions): Promise<void> {
  const untilMs = performance.now() + settings.pollSeconds * 1000;
  while (!stop.aborted) {
    const leftMs = untilMs - performance.now();
    await delay(Math.max(0, Math.min(leftMs, SELECTION_CHECK_MS)), stop);
    if (leftMs <= SELECTION_CHECK_MS) return;
    // The round reports a store that fails.
    if ((await selectionNow(readConfig).catch(() => before)) !== before) return;
  }
}

function printOutcome(line: ProgressLine, name: string, outcome: JobOutcome): void {
  if (outcome.kind === "published") line.note(`${name}: ${describePublished(outcome)}`);
  else if (outcome.kind === "purged") line.note(`${name}: removed`);
}

/** Checks every repository in every round. */
function reconcileLimits({ pollSeconds }: Arguments): ReconcileLimits {
  return {
    ...DEFAULT_RECONCILE_LIMITS,
    maxJobs: Number.POSITIVE_INFINITY,
    checkEveryMs: 0,
    listEveryMs: Math.max(pollSeconds * 1000, MIN_LIST_INTERVAL_MS),
  };
}

function withWebhooks(
  git: HttpHandler,
  requests: SyncRequests,
  { settings, webhookSecret, readConfig, log }: LocalMirrorOptions,
): HttpHandler {
  if (webhookSecret === undefined) return git;
  const webhooks = receiveWebhook({
    readSecret: async () => webhookSecret,
    readConfig,
    requests,
    addresses: settings.webhookAddresses,
    log,
  });
  return (request) => (request.path.startsWith(WEBHOOK_PATH) ? webhooks : git)(request);
}

function onlyWorkspace(config: MirrorConfig, workspace: string | undefined): MirrorConfig {
  if (workspace === undefined) return config;
  const isIt = (one: MirroredWorkspace) => one.workspace.toLowerCase() === workspace.toLowerCase();
  return { ...config, workspaces: config.workspaces.filter(isIt) };
}

function tending(
  mirrorUrl: string,
  { hooksOf }: BitbucketAccess,
  { store, log, webhookSecret: secret }: LocalMirrorOptions,
) {
  if (secret === undefined) return {};
  const options = { store, hooksOf, mirrorUrl, mirrorName: "local", readSecret: async () => secret, log };
  return { tendWebhooks: (workspace: MirroredWorkspace) => tendWebhooks(workspace, options) };
}

/** Repositories of earlier runs are served at once, also during an outage of the primary. */
async function servedNames(
  { workspaces }: MirrorConfig,
  store: BlobStore,
  catalog: RepositoryCatalog,
): Promise<string[]> {
  const names: string[] = [];
  for (const { workspace } of workspaces) {
    const { value } = await readWorkspaceIndex(store, workspace);
    const held = Object.values(value?.repositories ?? {}).filter((entry) => entry.held === "mirrored");
    for (const { slug } of held) {
      if ((await catalog.resolve(workspace, slug)) !== undefined) names.push(`${workspace}/${slug}`);
    }
  }
  return names.sort();
}
