/** Puts into the relay's queue what a sync has published: a message for each receiver. */
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import type { RepositoryNews } from "../mirror/repository-news.ts";
import type { JobQueue } from "../queue/job-queue.ts";
import { queueMessageOf, type RelayReceiver, relayEventOf } from "./relay-message.ts";

export interface AnnounceOptions {
  readonly queue: JobQueue;
  readonly readConfig: () => Promise<MirrorConfig>;
  /** Whether there is a bus of events beside the webhooks. */
  readonly hasEventBus: boolean;
  readonly now?: () => Date;
}

/** @returns Resolves when the events for all receivers are queued. @throws {QueueError} Some may not be: queue them again. */
export function announcer(options: AnnounceOptions): (news: RepositoryNews) => Promise<void> {
  const { queue, readConfig, hasEventBus, now = () => new Date() } = options;
  return async (news) => {
    const { relayWebhooks = [] } = await readConfig();
    const receivers: RelayReceiver[] = relayWebhooks.map(({ id }) => ({ kind: "webhook", id }));
    if (hasEventBus) receivers.unshift({ kind: "event-bus" });
    if (receivers.length === 0) return;
    const event = relayEventOf(news, now());
    await queue.send(receivers.map((receiver) => queueMessageOf(receiver, event, news.refsSha256)));
  };
}
