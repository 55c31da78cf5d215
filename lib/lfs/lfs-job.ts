/** What is put into the queue of LFS jobs. */
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { ProtocolError } from "../errors.ts";
import type { JobQueue, QueueMessage } from "../queue/job-queue.ts";
import { isNameSegment } from "../repo/names.ts";

const repository = {
  /** As the one who made the job knows it. */
  workspace: z.string().check(z.refine(isNameSegment)),
  uuid: z.guid().check(z.toLowerCase()),
  queuedAt: z.iso.datetime(),
};

const objectSchema = z.object({
  oid: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  sizeBytes: z.int().check(z.positive()),
});

const jobSchema = z.discriminatedUnion("kind", [
  /** Deletes files that no repository has a record of. */
  z.object({ kind: z.literal("sweep"), queuedAt: repository.queuedAt }),
  /** Finds out which files are to be copied, and makes jobs of that. */
  z.object({
    kind: z.literal("plan"),
    ...repository,
    /** Also of what is planned already. */
    isAsked: z.optional(z.boolean()),
  }),
  /** Looks for pointers in packs whose pointers are not known, then plans. */
  z.object({ kind: z.literal("find"), ...repository }),
  /** Copies these files, as far as the repository has pointers to them. */
  z.object({
    kind: z.literal("copy"),
    ...repository,
    objects: z.array(objectSchema).check(z.minLength(1), z.maxLength(100)),
  }),
]);

export type LfsJob = z.infer<typeof jobSchema>;
export type LfsCopyJob = Extract<LfsJob, { kind: "copy" }>;
export type LfsFindJob = Extract<LfsJob, { kind: "find" }>;
export type LfsRepositoryJob = Exclude<LfsJob, { kind: "sweep" }>;
export type LfsPlanJob = Extract<LfsJob, { kind: "plan" }>;

/** The primary is asked about so many files at a time. */
const MAX_JOB_FILES = 100;
/** At 2 MB/s an hour's work: a job that runs out of time is put into the queue again, without what is done. */
const MAX_JOB_BYTES = 8 * 2 ** 30;
/** Copy jobs of one repository that may run at a time. */
const GROUPS_PER_REPOSITORY = 8;

/** @throws {ProtocolError} Not the JSON of a job. */
export function parseLfsJob(text: string): LfsJob {
  try {
    return jobSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new ProtocolError("not an LFS job", { text: text.slice(0, 200), cause: error });
  }
}

export interface LfsRepository {
  readonly workspace: string;
  readonly uuid: string;
}

/**
 * Has a repository's pointers looked through. @param eventId - A repeated one is dropped.
 * @param isAsked - Whether files that are planned already are planned again.
 */
export async function requestPlan(
  queue: JobQueue,
  { workspace, uuid }: LfsRepository,
  eventId: string,
  isAsked?: boolean,
): Promise<void> {
  const queuedAt = new Date().toISOString();
  const job: LfsPlanJob = { kind: "plan", workspace, uuid, queuedAt, ...(isAsked && { isAsked }) };
  await queue.send([{ groupId: uuid, dedupId: `plan-${uuid}-${eventId}`, body: JSON.stringify(job) }]);
}

/** Has packs looked through for pointers. @param eventId - As in `requestPlan`. */
export async function requestFind(
  queue: JobQueue,
  { workspace, uuid }: LfsRepository,
  eventId: string,
): Promise<void> {
  const job: LfsFindJob = { kind: "find", workspace, uuid, queuedAt: new Date().toISOString() };
  const groupId = `${uuid}/lfs-find`;
  await queue.send([{ groupId, dedupId: `find-${uuid}-${eventId}`, body: JSON.stringify(job) }]);
}

/** Enqueues the deletion of files that no repository has a record of. */
export async function requestSweep(queue: JobQueue): Promise<void> {
  const queuedAt = new Date().toISOString();
  const body = JSON.stringify({ kind: "sweep", queuedAt } satisfies LfsJob);
  // Of all the plans of five minutes one.
  await queue.send([{ groupId: "lfs-sweep", dedupId: "lfs-sweep", body }]);
}

/** Enqueues copies of files, the same ones once within five minutes. @param again - Says that they are asked for anew. */
export async function requestCopies(
  queue: JobQueue,
  { workspace, uuid }: LfsRepository,
  objects: readonly z.infer<typeof objectSchema>[],
  again = "",
): Promise<void> {
  const queuedAt = new Date().toISOString();
  const messages = batches(objects).map((batch) =>
    copyMessage({ kind: "copy", workspace, uuid, queuedAt, objects: batch }, again),
  );
  if (messages.length > 0) await queue.send(messages);
}

/** Has stored files confirmed: of a repository one job at a time, however many there are. Arguments as of `requestCopies`. */
export async function requestConfirmations(
  queue: JobQueue,
  { workspace, uuid }: LfsRepository,
  objects: readonly z.infer<typeof objectSchema>[],
  again: string,
): Promise<void> {
  const queuedAt = new Date().toISOString();
  const messages = batches(objects).map((batch) => ({
    ...copyMessage({ kind: "copy", workspace, uuid, queuedAt, objects: batch }, again),
    groupId: `${uuid}/lfs-confirm`,
  }));
  if (messages.length > 0) await queue.send(messages);
}

/** Puts a job that has run out of time into the queue once more. */
export async function requeueJob(queue: JobQueue, job: LfsJob): Promise<void> {
  const again = `-again-${Date.now()}`;
  if (job.kind === "copy") await queue.send([copyMessage(job, again)]);
  else if (job.kind === "sweep") await requestSweep(queue);
  else if (job.kind === "find") await requestFind(queue, job, again);
  else await requestPlan(queue, job, again, job.isAsked);
}

function copyMessage(job: LfsCopyJob, again: string): QueueMessage {
  const digest = createHash("sha256")
    .update(job.objects.map(({ oid }) => oid).join())
    .digest();
  const groupId = `${job.uuid}/lfs-${(digest[0] as number) % GROUPS_PER_REPOSITORY}`;
  const dedupId = `copy-${job.uuid}-${digest.toString("hex").slice(0, 32)}${again}`;
  return { groupId, dedupId, body: JSON.stringify(job) };
}

function batches<Object extends { readonly sizeBytes: number }>(objects: readonly Object[]): Object[][] {
  const result: Object[][] = [];
  let batch: Object[] = [];
  let batchBytes = 0;
  for (const object of objects) {
    const isFull = batch.length === MAX_JOB_FILES || batchBytes + object.sizeBytes > MAX_JOB_BYTES;
    if (batch.length > 0 && isFull) {
      result.push(batch);
      batch = [];
      batchBytes = 0;
    }
    batch.push(object);
    batchBytes += object.sizeBytes;
  }
  if (batch.length > 0) result.push(batch);
  return result;
}
