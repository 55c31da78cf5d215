/** Delivers the events of publishes: to EventBridge, and to the webhooks in config.json. */
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../lib/aws/aws-requests.ts";
import { AGENT, EVENT_SOURCE, RELAY_SECRET_FOLDER, readRelayConfig } from "../lib/config.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig } from "../lib/mirror/config-store.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { deliver } from "../lib/relay/deliver.ts";
import { eventBridgeEventBus } from "../lib/relay/eventbridge-event-bus.ts";
import { nodeWebhookSender } from "../lib/relay/node-webhook-sender.ts";
import { parseRelayMessage, type RelayMessage } from "../lib/relay/relay-message.ts";
import { S3BlobStore } from "../lib/store/s3-blob-store.ts";
import { createS3Client } from "../lib/store/s3-client.ts";
import { readWebhookSecret } from "../lib/webhook/webhook-secret.ts";
import { logInvalidConfig } from "./wiring/invalid-config.ts";

const settings = readRelayConfig(process.env);
const log = pinoLogger(settings.logLevel);
const config = new CurrentConfig(new S3BlobStore({ client: createS3Client(), bucket: settings.bucket }), {
  onInvalid: logInvalidConfig(log),
});
const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
const eventBus = eventBridgeEventBus(new EventBridgeClient(), EVENT_SOURCE);
/** Not to this machine: beside the function, Lambda's own services listen on it. */
const sendWebhook = nodeWebhookSender({ allowsLoopback: false });

const run = (message: RelayMessage, signal: AbortSignal): Promise<void> =>
  deliver(message, signal, {
    identity: () => ({ name: settings.mirrorName, url: settings.mirrorUrl, gitUrl: settings.gitUrl }),
    readConfig: () => config.read(),
    readSecret: (name) =>
      readWebhookSecret(readParameter, `${settings.secretPath}${RELAY_SECRET_FOLDER}${name}`),
    sendWebhook,
    eventBus,
    agent: AGENT,
    log,
  });

export const handler = sqsJobConsumer({
  client: new SQSClient(),
  queueUrl: settings.relayQueueUrl,
  parse: parseRelayMessage,
  run,
  log,
});
