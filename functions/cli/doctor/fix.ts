/** `nearside doctor --fix`: what loses nothing, whatever the cause was. */
import { failedRepositories } from "../../../lib/mirror/repository-state.ts";
import type { SyncJob } from "../../../lib/mirror/sync-job.ts";
import type { JobQueue } from "../../../lib/queue/job-queue.ts";
import { KeptDeadLetters } from "../../../lib/queue/kept-messages.ts";
import { SqsDeadLetters, SqsJobQueue } from "../../../lib/queue/sqs-job-queue.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { LOCAL_QUEUES, StoredMessages } from "../../local/stored-messages.ts";
import { queuedSyncRequests } from "../../wiring/sync-requests.ts";
import { sqsOf } from "../command-options.ts";
import { counted } from "../table.ts";
import { checkOf } from "./checks.ts";
import type { Finding } from "./finding.ts";

export interface FixOptions {
  readonly store: BlobStore;
  /** Whether a mirror in one process works on the store. */
  readonly isLocal: boolean;
  readonly queueUrl?: string | undefined;
  readonly deadLetterQueueUrl?: string | undefined;
}

const MAX_LETTERS = 10_000;

/** @returns What was done; `undefined` where it is not for this command, or cannot be without a queue's address. */
export async function fix({ check }: Finding, options: FixOptions): Promise<string | undefined> {
  const { store, queueUrl, deadLetterQueueUrl } = options;
  const id = checkOf(check);
  if (id === "repositories") return queueFailed(check.split(": ")[0] ?? "", options);
  if (id === "dead letters") {
    let count = 0;
    for (const name of LOCAL_QUEUES)
      count += await new KeptDeadLetters(new StoredMessages(store, name)).replay(MAX_LETTERS);
    return `${counted(count, "dead letter")} queued again`;
  }
  if (id !== "dead letter queue" || queueUrl === undefined || deadLetterQueueUrl === undefined)
    return undefined;
  const client = sqsOf(queueUrl);
  const letters = new SqsDeadLetters(client, deadLetterQueueUrl, new SqsJobQueue(client, queueUrl));
  return `${counted(await letters.replay(MAX_LETTERS), "dead letter")} queued again`;
}

async function queueFailed(
  workspace: string,
  { store, isLocal, queueUrl }: FixOptions,
): Promise<string | undefined> {
  const queue = queueUrl === undefined ? undefined : new SqsJobQueue(sqsOf(queueUrl), queueUrl);
  if (queue === undefined && !isLocal) return undefined;
  const queuedAt = new Date().toISOString();
  const jobs: SyncJob[] = [];
  for await (const uuid of failedRepositories(store, workspace))
    jobs.push({ kind: "repository", workspace, uuid, reason: "asked", queuedAt });
  await queuedSyncRequests(queue ?? storedQueue(store)).request(
    jobs.map((job) => ({ job, eventId: `asked-${"uuid" in job ? job.uuid : workspace}-${queuedAt}` })),
  );
  return `${counted(jobs.length, "sync", "syncs")} queued for the mirror`;
}

/** A mirror in one process reads it in its next round, or when it starts. */
function storedQueue(store: BlobStore): JobQueue {
  const kept = new StoredMessages(store, "sync");
  return {
    async send(messages) {
      for (const message of messages) await kept.put("waiting", message);
    },
  };
}
