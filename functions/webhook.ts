/** Takes Bitbucket's webhooks, behind API Gateway, and puts sync jobs into the queue. */
import { readWebhookConfig, WEBHOOK_SECRET_NAME } from "../lib/config.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { writePushMarker } from "../lib/repo/push-marker.ts";
import { receiveWebhook } from "../lib/webhook/receive-webhook.ts";
import { readWebhookSecret, rereadSecret } from "../lib/webhook/webhook-secret.ts";
import { deployed } from "./wiring/deployed.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const settings = readWebhookConfig(process.env);
const { log, store, sqs, readConfig, readParameter } = deployed(settings);
export const handler = lambdaServer(
  receiveWebhook({
    readSecret: rereadSecret(() =>
      readWebhookSecret(readParameter, `${settings.secretPath}${WEBHOOK_SECRET_NAME}`),
    ),
    readConfig,
    requests: queuedSyncRequests(new SqsJobQueue(sqs, settings.syncQueueUrl)),
    notePush: (uuid, at) => writePushMarker(store, uuid, at),
    addresses: settings.addresses,
    log,
  }),
  { log },
);
