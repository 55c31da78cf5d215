/** Delivers the events of publishes: to EventBridge, and to the webhooks in config.json. */
import { EventBridgeClient } from "@aws-sdk/client-eventbridge";
import { AGENT, EVENT_SOURCE, RELAY_SECRET_FOLDER, readRelayConfig } from "../lib/config.ts";
import { sqsJobConsumer } from "../lib/queue/sqs-job-consumer.ts";
import { deliver } from "../lib/relay/deliver.ts";
import { eventBridgeEventBus } from "../lib/relay/eventbridge-event-bus.ts";
import { nodeWebhookSender } from "../lib/relay/node-webhook-sender.ts";
import { parseRelayMessage, type RelayMessage } from "../lib/relay/relay-message.ts";
import { readWebhookSecret } from "../lib/webhook/webhook-secret.ts";
import { deployed } from "./wiring/deployed.ts";

const settings = readRelayConfig(process.env);
const { log, sqs, readConfig, readParameter } = deployed(settings);
const eventBus = eventBridgeEventBus(new EventBridgeClient(), EVENT_SOURCE);
/** Not to this machine: beside the function, Lambda's own services listen on it. */
const sendWebhook = nodeWebhookSender({ allowsLoopback: false });

const run = (message: RelayMessage, signal: AbortSignal): Promise<void> =>
  deliver(message, signal, {
    identity: () => ({ name: settings.stackPrefix, url: settings.mirrorUrl, gitUrl: settings.gitUrl }),
    readConfig,
    readSecret: (name) =>
      readWebhookSecret(readParameter, `${settings.secretPath}${RELAY_SECRET_FOLDER}${name}`),
    sendWebhook,
    eventBus,
    agent: AGENT,
    log,
  });

export const handler = sqsJobConsumer({
  client: sqs,
  queueUrl: settings.relayQueueUrl,
  parse: parseRelayMessage,
  run,
  log,
});
