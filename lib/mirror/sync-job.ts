/**
 * What is put into the queue: a repository to look after, or a workspace to go through. It may come from a newer release: fields
 * and reasons that this one does not know are ignored, as a job only says where to look.
 */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod/mini";
import { ProtocolError } from "../errors.ts";
import { isNameSegment } from "../repo/names.ts";

const name = z.string().check(z.refine(isNameSegment));

const factsSchema = z.object({
  workspace: name,
  slug: name,
  projectKey: z.optional(z.string().check(z.maxLength(200))),
  isPrivate: z.boolean(),
  /** By REST's own estimate. */
  sizeBytes: z.optional(z.number().check(z.nonnegative())),
  /** When the primary said so. */
  seenAt: z.iso.datetime(),
});

/** What a repository is called and by what it is selected, as the primary said at one time. */
export type RepositoryFacts = z.infer<typeof factsSchema>;

/** Why a job was made, for the log. `check` is a scheduled look; the others follow an event or a listing. */
const reasonSchema = z.catch(z.enum(["push", "changed", "gone", "new", "check", "failed", "asked"]), "check");

const jobSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("repository"),
    /** As the one who made the job knows it; the repository may have moved since. */
    workspace: name,
    uuid: z.guid().check(z.toLowerCase()),
    reason: reasonSchema,
    /** The primary's state at this time, or a later one, is what the job is to bring. */
    queuedAt: z.iso.datetime(),
    /** What the maker has seen of it. */
    facts: z.optional(factsSchema),
    /** `rest`: the facts were asked for. `event`: they came with an event, which may be late: good for telling that something changed. */
    factsFrom: z.optional(z.catch(z.enum(["rest", "event"]), "event")),
  }),
  z.object({
    kind: z.literal("workspace"),
    workspace: name,
    reason: reasonSchema,
    queuedAt: z.iso.datetime(),
  }),
]);

export type SyncJob = z.infer<typeof jobSchema>;
export type RepositoryJob = Extract<SyncJob, { kind: "repository" }>;
export type SyncReason = z.infer<typeof reasonSchema>;

/** Queues jobs: what requests a sync depends on this. */
export interface SyncRequests {
  /**
   * @param eventId - Of the event behind the job: a repeated one is dropped. Never the repository alone, or the event after
   *   the next would be dropped as well.
   */
  request(jobs: readonly { readonly job: SyncJob; readonly eventId: string }[]): Promise<void>;
}

/** @throws {ProtocolError} Not the JSON of a job. */
export function parseSyncJob(text: string): SyncJob {
  try {
    return jobSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new ProtocolError("not a sync job", { text: text.slice(0, 200), cause: error });
  }
}

export function formatSyncJob(job: SyncJob): string {
  return JSON.stringify(job);
}

/** Whether the later job brings all that the earlier one would bring, if that has not begun: they differ in their times only. */
export function coversJob(later: string, earlier: string): boolean {
  const [one, other] = [later, earlier].map((text) => {
    const { queuedAt: _, ...job } = parseSyncJob(text);
    return job.kind === "repository" && job.facts ? { ...job, facts: { ...job.facts, seenAt: "" } } : job;
  });
  return isDeepStrictEqual(one, other);
}

/** @returns Time of the last push event among these jobs; `undefined` without one. */
export function lastPushMs(texts: readonly string[]): number | undefined {
  const pushes = texts.map(parseSyncJob).filter(({ reason }) => reason === "push");
  return pushes.length === 0 ? undefined : Math.max(...pushes.map(({ queuedAt }) => Date.parse(queuedAt)));
}

/** Jobs of one group are done one after the other. */
export function groupOf(job: SyncJob): string {
  return job.kind === "repository" ? job.uuid : `workspace/${job.workspace.toLowerCase()}`;
}
