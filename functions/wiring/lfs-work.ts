/** When a process plans copies of LFS files, and what its copies may hold together. */
import { errorFields } from "../../lib/errors.ts";
import { type LfsRepository, requestPlan } from "../../lib/lfs/lfs-job.ts";
import { TransferQueue } from "../../lib/lfs/transfer-queue.ts";
import type { Logger } from "../../lib/log.ts";
import type { JobQueue } from "../../lib/queue/job-queue.ts";
import { StoredLfsRights } from "../../lib/repo/stored-lfs-rights.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { JobOutcome } from "../../lib/sync/repository-job.ts";

/** Two large files, which hold 40 MiB each, or eight small ones. */
const MAX_HELD_BYTES = 96 * 2 ** 20;
const MAX_TRANSFERS = 8;

export function lfsTransfers(): TransferQueue {
  return new TransferQueue(MAX_HELD_BYTES, MAX_TRANSFERS);
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** A process that syncs a repository every minute looks for its last plan only so often. */
const LOOK_EVERY_MS = 60 * 60 * 1000;

export type PlanLfs = (repository: LfsRepository, outcome: JobOutcome) => Promise<void>;

/**
 * Has a repository's LFS files looked for after a sync: at once after a publish, or if a person has requested it; else once a day.
 * For a person also those that are planned already: a process that was stopped has lost its jobs.
 * @returns Never rejects: a plan that is not queued now is due with a later sync.
 */
export function lfsPlans(store: BlobStore, queue: JobQueue, log: Logger, isAsked = false): PlanLfs {
  const lookedAtMs = new Map<string, number>();

  async function eventIdOf(uuid: string, outcome: JobOutcome): Promise<string | undefined> {
    const nowMs = Date.now();
    if (isAsked) return String(nowMs);
    if (outcome.kind === "published") return String(outcome.generation);
    if (outcome.kind !== "unchanged" && outcome.kind !== "current") return undefined;
    if (nowMs - (lookedAtMs.get(uuid) ?? 0) < LOOK_EVERY_MS) return undefined;
    lookedAtMs.set(uuid, nowMs);
    const { value } = await new StoredLfsRights(store, uuid).readDocument();
    const plannedAtMs = Date.parse(value?.plannedAt ?? "1970-01-01");
    return nowMs - plannedAtMs >= DAY_MS ? String(nowMs) : undefined;
  }

  return async (repository, outcome) => {
    try {
      const eventId = await eventIdOf(repository.uuid, outcome);
      if (eventId !== undefined) await requestPlan(queue, repository, eventId, isAsked);
    } catch (error) {
      log.error("lfs:plan-not-queued", { uuid: repository.uuid, ...errorFields(error) });
    }
  };
}
