/** The local mirror's relay: a queue of its own, kept in the store, and the delivery to receivers. */
import { AGENT } from "../../lib/config.ts";
import { CONFIG_LIMITS } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryNews } from "../../lib/mirror/repository-news.ts";
import type { RetryPolicy } from "../../lib/queue/job-queue.ts";
import { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import { deliver } from "../../lib/relay/deliver.ts";
import { nodeWebhookSender } from "../../lib/relay/node-webhook-sender.ts";
import { announcer } from "../../lib/relay/queue-event.ts";
import { GROUPS_PER_RECEIVER, parseRelayMessage } from "../../lib/relay/relay-message.ts";
import type { LocalContext } from "./context.ts";
import { readRelaySecret } from "./secrets.ts";
import { StoredMessages } from "./stored-messages.ts";

interface LocalRelayOptions {
  readonly gitUrl: string;
  /** Of the server, once it listens. */
  readonly serverUrl: () => string;
  readonly retries: RetryPolicy | undefined;
}

interface LocalRelay {
  readonly queue: MemoryJobQueue;
  readonly announce: (news: RepositoryNews) => Promise<void>;
}

/** Deliveries at a time: room for all receivers, should all of them hang. */
const CONCURRENCY = GROUPS_PER_RECEIVER * CONFIG_LIMITS.maxRelayWebhooks;

export function startRelay(
  { storage, readConfig, log }: Pick<LocalContext, "storage" | "readConfig" | "log">,
  { gitUrl, serverUrl, retries }: LocalRelayOptions,
): LocalRelay {
  const sendWebhook = nodeWebhookSender({ allowsLoopback: true });
  const queue = new MemoryJobQueue({
    run: (body, signal) =>
      deliver(parseRelayMessage(body), signal, {
        identity: () => ({ name: "local", url: serverUrl(), gitUrl }),
        readConfig,
        readSecret: async (name) => readRelaySecret(process.env, name).secret,
        sendWebhook,
        agent: AGENT,
        log,
      }),
    log,
    concurrency: CONCURRENCY,
    kept: new StoredMessages(storage.store, "relay"),
    keepsWaiting: true,
    ...(retries && { retries }),
  });
  return { queue, announce: announcer({ queue, readConfig, hasEventBus: false }) };
}
