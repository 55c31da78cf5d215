/** Takes Bitbucket's webhooks, behind API Gateway, and puts sync jobs into the queue. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { readWebhookConfig, WEBHOOK_SECRET_NAME } from "../lib/config.ts";
import { lambdaServer } from "../lib/http/lambda-server.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig } from "../lib/mirror/config-store.ts";
import { SqsJobQueue } from "../lib/queue/sqs-job-queue.ts";
import { writePushMarker } from "../lib/repo/push-marker.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { receiveWebhook } from "../lib/webhook/receive-webhook.ts";
import { readWebhookSecret } from "../lib/webhook/webhook-secret.ts";
import { logInvalidConfig } from "./wiring/invalid-config.ts";
import { queuedSyncRequests } from "./wiring/sync-requests.ts";

const { bucket, syncQueueUrl, secretPath, addresses, logLevel } = readWebhookConfig(process.env);
const log = pinoLogger(logLevel);
const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
const store = new S3BlobStore({ client: createS3Client(), bucket });
const config = new CurrentConfig(store, { onInvalid: logInvalidConfig(log) });
/** Someone who replaces the secret waits no longer than this for it to count. */
const SECRET_AGE_MS = 5 * 60_000;
let secret: { readonly text: string; readonly readAtMs: number } | undefined;

async function readSecret(): Promise<string> {
  if (secret === undefined || Date.now() - secret.readAtMs > SECRET_AGE_MS) {
    const text = await readWebhookSecret(readParameter, `${secretPath}${WEBHOOK_SECRET_NAME}`);
    secret = { text, readAtMs: Date.now() };
  }
  return secret.text;
}

export const handler = lambdaServer(
  receiveWebhook({
    readSecret,
    readConfig: () => config.read(),
    requests: queuedSyncRequests(new SqsJobQueue(new SQSClient(), syncQueueUrl)),
    noteAnnounced: (uuid, at) => writePushMarker(store, uuid, at),
    addresses,
    log,
  }),
  { log },
);
