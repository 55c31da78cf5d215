/**
 * What an event of Bitbucket means for the mirror. Values of refs are never taken from it: it peels tags, and leaves changes out.
 * Source: "Event payloads" in Bitbucket's support pages.
 */
import * as z from "zod";
import { ProtocolError } from "../errors.ts";
import type { RepositoryFacts, SyncJob } from "../mirror/sync-job.ts";
import { isNameSegment } from "../repo/names.ts";

/** The events that the mirror subscribes to. */
export const WEBHOOK_EVENTS = [
  "repo:push",
  "repo:created",
  "repo:deleted",
  "repo:updated",
  "repo:transfer",
  "repo:imported",
  "project:updated",
] as const;

/** A repository's own webhook knows only these. */
export const REPOSITORY_WEBHOOK_EVENTS = ["repo:push", "repo:updated", "repo:transfer"] as const;

const REASONS = {
  "repo:push": "push",
  "repo:created": "new",
  "repo:imported": "new",
  "repo:updated": "changed",
  // Where it is now, and whether at all, has to be asked.
  "repo:deleted": "gone",
  "repo:transfer": "gone",
} as const;

/**
 * Fields by which payloads differ. The signature covers the body only, so the event's key, a header, must fit: else a delivery that
 * was recorded could be replayed as another event.
 */
const FIELD_EVENTS: Readonly<Record<string, readonly string[]>> = {
  push: ["repo:push"],
  changes: ["repo:updated", "project:updated"],
  previous_workspace: ["repo:transfer"],
};

const payloadSchema = z.object({
  repository: z.object({
    uuid: z.string().regex(/^\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}$/),
    full_name: z.string(),
    is_private: z.boolean().nullish(),
    project: z.object({ key: z.string().max(200) }).nullish(),
  }),
});

/**
 * @param workspace - Whose webhook it is.
 * @returns `undefined` for an event that means nothing to the mirror.
 * @throws {ProtocolError} Not the JSON of such an event.
 */
export function readWebhookEvent(
  eventKey: string,
  body: Uint8Array,
  workspace: string,
  receivedAt: Date,
): SyncJob | undefined {
  const queuedAt = receivedAt.toISOString();
  const payload = parseJson(body);
  const mayBe = (field: string) => !Object.hasOwn(payload, field) || FIELD_EVENTS[field]?.includes(eventKey);
  const fits =
    Object.keys(FIELD_EVENTS).every(mayBe) && (eventKey !== "repo:push" || Object.hasOwn(payload, "push"));
  if (!fits) throw new ProtocolError("the payload is not that of this event");
  if (eventKey === "project:updated") return { kind: "workspace", workspace, reason: "changed", queuedAt };
  const reason = Object.entries(REASONS).find(([key]) => key === eventKey)?.[1];
  if (reason === undefined) return undefined;
  const { repository } = parsePayload(payload);
  const uuid = repository.uuid.slice(1, -1).toLowerCase();
  const job = { kind: "repository", workspace, uuid, reason, queuedAt } as const;
  const facts = factsIn(repository, queuedAt);
  return facts === undefined ? job : { ...job, facts, factsFrom: "event" };
}

function parseJson(body: Uint8Array): object {
  try {
    return z.looseObject({}).parse(JSON.parse(new TextDecoder().decode(body)));
  } catch (error) {
    throw new ProtocolError("not the payload of an event", { cause: error });
  }
}

function parsePayload(payload: object): z.infer<typeof payloadSchema> {
  const { data, error } = payloadSchema.safeParse(payload);
  if (data === undefined)
    throw new ProtocolError("not the payload of a repository's event", { cause: error });
  return data;
}

/** Some payloads are older and say less. */
function factsIn(
  { full_name, is_private, project }: z.infer<typeof payloadSchema>["repository"],
  seenAt: string,
): RepositoryFacts | undefined {
  const [workspace = "", slug = "", ...more] = full_name.split("/");
  if (typeof is_private !== "boolean" || more.length > 0) return undefined;
  if (!isNameSegment(workspace) || !isNameSegment(slug)) return undefined;
  const facts = { workspace, slug, isPrivate: is_private, seenAt };
  return project ? { ...facts, projectKey: project.key } : facts;
}
