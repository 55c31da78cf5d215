/** The event of a publish: one message of the relay's queue for each receiver, so that none waits for another. */
import * as z from "zod";
import { ProtocolError } from "../errors.ts";
import { bytesOfText } from "../git/byte-text.ts";
import type { RepositoryNews } from "../mirror/repository-news.ts";
import type { QueueMessage } from "../queue/job-queue.ts";
import { isNameSegment } from "../repo/names.ts";

const RELAY_LIMITS = {
  /** A first sync changes all refs. A receiver that needs more than this lists them with git. */
  maxChanges: 500,
  /** Of all changed names. With what is written about each change, an event stays below the 256 KiB of EventBridge. */
  maxNameBytes: 12 * 1024,
} as const;

const name = z.string().refine(isNameSegment);
const objectId = z.string().regex(/^[0-9a-f]{40}$/);

const eventSchema = z.object({
  uuid: z.guid(),
  workspace: name,
  slug: name,
  projectKey: z.string().max(200).optional(),
  isPrivate: z.boolean(),
  generation: z.number().int().nonnegative(),
  /** When the mirror had it. */
  at: z.iso.datetime(),
  /** `SNAPSHOT`: of a first sync, or of one whose changes are unknown. */
  syncType: z.enum(["INCREMENTAL", "SNAPSHOT"]),
  /** Too many refs have changed, or it is unknown which: `changes` is empty. */
  refLimitExceeded: z.boolean(),
  changes: z.array(z.object({ name: z.string(), oldId: objectId.optional(), newId: objectId.optional() })),
});

const messageSchema = z.object({
  kind: z.literal("relay"),
  receiver: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("event-bus") }),
    /** As the configuration knows it. */
    z.object({ kind: z.literal("webhook"), id: z.string().min(1).max(40) }),
  ]),
  /** The same for each try. */
  requestId: z.string().min(1).max(100),
  event: eventSchema,
});

export type RelayEvent = z.infer<typeof eventSchema>;
export type RelayMessage = z.infer<typeof messageSchema>;
export type RelayReceiver = RelayMessage["receiver"];

export function relayEventOf(
  { uuid, facts, generation, isFirst, ...news }: RepositoryNews,
  at: Date,
): RelayEvent {
  const { changes = [] } = news;
  const nameBytes = changes.reduce((sum, { name: ref }) => sum + ref.length, 0);
  const refLimitExceeded =
    news.changes === undefined ||
    changes.length > RELAY_LIMITS.maxChanges ||
    nameBytes > RELAY_LIMITS.maxNameBytes;
  const { workspace, slug, projectKey, isPrivate } = facts;
  return {
    ...{ uuid, workspace, slug, projectKey, isPrivate, generation },
    at: at.toISOString(),
    syncType: isFirst || news.changes === undefined ? "SNAPSHOT" : "INCREMENTAL",
    refLimitExceeded,
    changes: refLimitExceeded
      ? []
      : changes.map(({ name: ref, ...ids }) => ({
          // JSON has no bytes. What is no UTF-8 reads like it does in Bitbucket's own answers.
          name: new TextDecoder().decode(bytesOfText(ref)),
          ...ids,
        })),
  };
}

/**
 * Deliveries to one receiver at a time. One that hangs takes no more of those who deliver; there have to be so many for each of the
 * receivers that there may be.
 */
export const GROUPS_PER_RECEIVER = 4;

/** A repository's events are in one group, so in order; one that fails holds up a quarter of the same receiver's. */
export function queueMessageOf(receiver: RelayReceiver, event: RelayEvent, refsSha256: string): QueueMessage {
  const receiverId = receiver.kind === "webhook" ? `webhook-${receiver.id}` : receiver.kind;
  // Sent again after a crash, it has the same id.
  const requestId = `${event.uuid}-${event.generation}-${refsSha256.slice(0, 16)}`;
  const message: RelayMessage = { kind: "relay", receiver, requestId, event };
  return {
    groupId: `${receiverId}/${Number.parseInt(event.uuid.slice(0, 8), 16) % GROUPS_PER_RECEIVER}`,
    dedupId: `${receiverId}-${requestId}`,
    body: JSON.stringify(message),
  };
}

/** @throws {ProtocolError} Not the JSON of such a message. */
export function parseRelayMessage(text: string): RelayMessage {
  try {
    return messageSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new ProtocolError("not a message of the relay", { text: text.slice(0, 200), cause: error });
  }
}
