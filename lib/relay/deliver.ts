/** Delivers one event to one receiver. The queue retries failures, and keeps what cannot be delivered as dead letters. */
import { createHmac } from "node:crypto";
import { DeliveryError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import type { EventBus, SendWebhook } from "./ports.ts";
import type { RelayMessage } from "./relay-message.ts";
import { EVENT_KEY, type MirrorIdentity, synchronizedPayload } from "./synchronized-payload.ts";

export interface DeliverOptions {
  readonly identity: () => MirrorIdentity;
  readonly readConfig: () => Promise<MirrorConfig>;
  /** @param name - As in the configuration. */
  readonly readSecret: (name: string) => Promise<string>;
  readonly sendWebhook: SendWebhook;
  readonly eventBus?: EventBus;
  /** The User-Agent. */
  readonly agent: string;
  readonly log: Logger;
}

/** @throws {DeliveryError} The receiver could not be reached, or rejected the event. @throws {ConfigError} No such secret. */
export async function deliver(
  { receiver, requestId, event }: RelayMessage,
  signal: AbortSignal,
  options: DeliverOptions,
): Promise<void> {
  const { log, agent } = options;
  const fields = { repo: `${event.workspace}/${event.slug}`, generation: event.generation };
  const body = JSON.stringify(synchronizedPayload(event, options.identity()));
  if (receiver.kind === "event-bus") {
    if (options.eventBus === undefined) throw new DeliveryError("this mirror has no event bus");
    await options.eventBus.put({ type: EVENT_KEY, detail: body, at: new Date(event.at) });
    log.info("relay:delivered", { ...fields, receiver: "event-bus" });
    return;
  }
  const { relayWebhooks = [] } = await options.readConfig();
  const webhook = relayWebhooks.find(({ id }) => id === receiver.id);
  if (webhook === undefined) {
    log.info("relay:receiver-gone", { ...fields, receiver: receiver.id });
    return;
  }
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": agent,
    "x-event-key": EVENT_KEY,
    "x-request-id": requestId,
    "x-hub-signature": signatureOf(body, await options.readSecret(webhook.secret)),
  };
  const request = { url: webhook.url, headers, body, allowsPrivate: webhook.privateAddresses };
  const status = await options.sendWebhook(request, signal);
  if (status < 200 || status > 299)
    throw new DeliveryError(`the receiver answered ${status}`, { ...fields, receiver: receiver.id, status });
  log.info("relay:delivered", { ...fields, receiver: receiver.id, status });
}

/** As Bitbucket Cloud and Data Center sign: an HMAC over the body's bytes. */
function signatureOf(body: string, secret: string): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}
