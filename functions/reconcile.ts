/** Runs on a schedule: finds what webhooks missed, and keeps the webhooks themselves. */
import { SSMClient } from "@aws-sdk/client-ssm";
import * as z from "zod";
import { createSsmParameter } from "../lib/aws/ssm-parameters.ts";
import { reportExpiry } from "../lib/bitbucket/token-expiry.ts";
import { readReconcileConfig, WEBHOOK_SECRET_NAME } from "../lib/config.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { reconcileMirror } from "../lib/reconcile/reconcile-mirror.ts";
import { tendWebhooks } from "../lib/webhook/install-webhooks.ts";
import { ensureWebhookSecret } from "../lib/webhook/webhook-secret.ts";
import { bitbucketAccess } from "./wiring/bitbucket-access.ts";
import { deployed } from "./wiring/deployed.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readReconcileConfig(process.env);
// Its name distinguishes its webhooks from those of other mirrors.
const { syncQueueUrl, secretPath, mirrorUrl, stackPrefix: mirrorName } = settings;
const { log, store, sqs, readConfig, readParameter, accountOf } = deployed(settings, { copiesConfig: true });
const requests = queuedSyncRequests(new SqsJobQueue(sqs, syncQueueUrl));
const ssm = new SSMClient();
const { apiOf, hooksOf } = bitbucketAccess({ ...settings, accountOf, log });
const readSecret = () =>
  ensureWebhookSecret(
    readParameter,
    (name, value) => createSsmParameter(ssm, name, value),
    `${secretPath}${WEBHOOK_SECRET_NAME}`,
  );

const eventSchema = z.object({ mode: z.enum(["quick", "list", "full"]).default("quick") });

/** @param event - `{"mode": "full"}` when called by hand; what the schedule sends means `quick`. */
export async function handler(event: unknown): Promise<unknown> {
  const { mode } = eventSchema.parse(event);
  const reports = await reconcileMirror({
    ...{ store, readConfig, requests, apiOf, log, mode },
    tendWebhooks: (workspace) =>
      tendWebhooks(workspace, { store, hooksOf, mirrorUrl, mirrorName, readSecret, log }),
    reportExpiry: reportExpiry({ accountOf, log }),
  });
  return reports.map(({ workspace, jobCount, failure }) => ({
    workspace,
    jobCount,
    ...(failure !== undefined && { failure: String(failure) }),
  }));
}
