/** What a repository needs now and then: compaction and the janitor. Done after a sync; what fails here, no client notices. */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { BlobStore } from "../store/blob-store.ts";
import {
  type CompactionOptions,
  type CompactionOutcome,
  compactRepository,
} from "./compaction/compact-repository.ts";
import { type JanitorPolicy, type JanitorReport, tidyRepository } from "./janitor.ts";
import type { RepositoryUuid } from "./layout.ts";

export interface MaintenanceOptions extends CompactionOptions {
  readonly log: Logger;
  /** For the log: what people call the repository. */
  readonly name: string;
  readonly janitorPolicy?: JanitorPolicy | undefined;
  /** Where what is read may be older than the store: the store itself. The janitor must know what was published while it listed. */
  readonly uncachedStore?: BlobStore;
}

export interface Maintenance {
  /** Absent if it failed, which is logged. */
  readonly compaction?: CompactionOutcome;
  /** Absent if it failed, or was not due. */
  readonly janitor?: JanitorReport;
}

/** Never rejects: the sync before it has succeeded. What failed or was stopped is tried again after the next one. */
export async function maintainRepository(
  uuid: RepositoryUuid,
  options: MaintenanceOptions,
): Promise<Maintenance> {
  const { now, signal, janitorPolicy: policy, uncachedStore: store = options.store } = options;
  const compaction = await logged("compaction", options, async () => {
    const startedMs = performance.now();
    const outcome = await compactRepository(uuid, options);
    logCompaction(outcome, Math.round(performance.now() - startedMs), options);
    return outcome;
  });
  const janitor = await logged("janitor", options, async () => {
    const report = await tidyRepository(uuid, { store, policy, now, signal });
    if (report !== undefined) options.log.info("janitor:tidied", { repo: options.name, ...report });
    return report;
  });
  return { ...(compaction && { compaction }), ...(janitor && { janitor }) };
}

async function logged<Result>(
  scope: "compaction" | "janitor",
  { log, name, signal }: MaintenanceOptions,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  if (signal?.aborted) return undefined;
  try {
    return await work();
  } catch (error) {
    // What fails after the stop fails because of it.
    if (signal?.aborted) log.info(`${scope}:stopped`, { repo: name });
    else log.error(`${scope}:failed`, { repo: name, ...errorFields(error) });
    return undefined;
  }
}

function logCompaction(
  outcome: CompactionOutcome,
  ms: number,
  { log, name: repo }: MaintenanceOptions,
): void {
  const { kind, ...counts } = outcome;
  if (outcome.kind === "compacted") log.info("compaction:published", { repo, ...counts, ms });
  else if (outcome.kind === "race-lost") log.info("compaction:race-lost", { repo, ms });
  else if (outcome.dropDueAt !== undefined)
    log.info("compaction:postponed", { repo, dueAt: outcome.dropDueAt.toISOString() });
}
