/**
 * Does what administrators ask for on the pages, whose function is open to all callers and may not. It is called by that function alone,
 * and asks Bitbucket with the caller's credential whether the caller administers the workspace.
 */
import { administeredWorkspaces } from "../lib/bitbucket/administered-workspaces.ts";
import { DEFAULT_REST_API_LIMITS } from "../lib/bitbucket/rest-request.ts";
import { readAdministerConfig } from "../lib/config.ts";
import { changeMirrorConfig } from "../lib/mirror/config-store.ts";
import { acceptRemovals } from "../lib/mirror/workspace-index.ts";
import { Administrators } from "../lib/pages/administrators.ts";
import { delegatedActions } from "../lib/pages/delegated-actions.ts";
import { SqsDeadLetters, SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { bitbucketAccess, retryBudget } from "./wiring/bitbucket-access.ts";
import { deadLettersOf } from "./wiring/dead-letters.ts";
import { deployed } from "./wiring/deployed.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";
import { tryAccount } from "./wiring/try-account.ts";

const settings = readAdministerConfig(process.env);
const { log, store, sqs, readConfig, accountOf } = deployed(settings);
const { apiOf } = bitbucketAccess({ ...settings, accountOf, log });
const { syncQueueUrl, lfsQueueUrl, relayQueueUrl, apiUrl } = settings;
const places = [
  { dead: settings.syncDeadLetterQueueUrl, queueUrl: syncQueueUrl },
  { dead: settings.lfsDeadLetterQueueUrl, queueUrl: lfsQueueUrl },
  { dead: settings.relayDeadLetterQueueUrl, queueUrl: relayQueueUrl },
].map(({ dead, queueUrl }) => new SqsDeadLetters(sqs, dead, new SqsJobQueue(sqs, queueUrl)));
/** The page waits for less than half a minute. */
const LIMITS = { ...DEFAULT_REST_API_LIMITS, timeoutMs: 10_000 };

export const handler = delegatedActions({
  ...{ store, readConfig, log },
  administrators: new Administrators({
    ...{ store, now: Date.now },
    administered: (authorization) =>
      administeredWorkspaces({ apiUrl, authorization, fetch, retryBudget, limits: LIMITS }),
  }),
  administration: {
    canConnect: false,
    requests: queuedSyncRequests(new SqsJobQueue(sqs, syncQueueUrl)),
    configuration: {
      change: (change) => changeMirrorConfig(store, change),
      tryAccount: (workspace) => tryAccount(workspace, { apiOf }),
      acceptRemovals: (workspace, only) => acceptRemovals(store, workspace, new Date(), only),
    },
    deadLetters: deadLettersOf(places),
    log,
  },
});
