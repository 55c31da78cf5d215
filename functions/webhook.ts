/** Takes Bitbucket's webhooks, behind API Gateway, and puts sync jobs into the queue. */
import { readWebhookConfig, WEBHOOK_SECRET_NAME } from "../lib/config.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { writePushMarker } from "../lib/repo/push-marker.ts";
import { receiveWebhook } from "../lib/webhook/receive-webhook.ts";
import { readWebhookSecret } from "../lib/webhook/webhook-secret.ts";
import { deployed } from "./wiring/deployed.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readWebhookConfig(process.env);
const { log, store, sqs, readConfig, readParameter } = deployed(settings);
/** Someone who replaces the secret waits no longer than this for it to count. */
const SECRET_AGE_MS = 5 * 60_000;
let secret: { readonly text: string; readonly readAtMs: number } | undefined;

async function readSecret(): Promise<string> {
  if (secret === undefined || Date.now() - secret.readAtMs > SECRET_AGE_MS) {
    const text = await readWebhookSecret(readParameter, `${settings.secretPath}${WEBHOOK_SECRET_NAME}`);
    secret = { text, readAtMs: Date.now() };
  }
  return secret.text;
}

export const handler = lambdaServer(
  receiveWebhook({
    readSecret,
    readConfig,
    requests: queuedSyncRequests(new SqsJobQueue(sqs, settings.syncQueueUrl)),
    notePush: (uuid, at) => writePushMarker(store, uuid, at),
    addresses: settings.addresses,
    log,
  }),
  { log },
);
