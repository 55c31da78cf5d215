/** What travels through a repository's job: the means of a sync, and what a process has for all its jobs. */
import { LRUCache } from "lru-cache";
import type { BitbucketRestApi } from "../bitbucket/rest-api.ts";
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import type { MirrorConfig, MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { RepositoryNews } from "../mirror/repository-news.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import type { CompactionProgress } from "../repo/compaction/compact-repository.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { KeptReads } from "./kept-reads.ts";
import { type ContextOptions, type SyncContext, type SyncProgress, syncContext } from "./sync-context.ts";

/** The primary, as the account of one workspace sees it. */
export interface PrimaryAccess {
  readonly api: BitbucketRestApi;
  upstreamOf(uuid: RepositoryUuid, place: Pick<RepositoryFacts, "workspace" | "slug">): FoundUpstream;
}

interface JobMeans {
  readonly primaryOf: (workspace: MirroredWorkspace) => Promise<PrimaryAccess>;
  /** Of this process. */
  readonly checks: RecentChecks;
  /** Of this process as well; by default of the job. */
  readonly keptReads?: KeptReads;
  /**
   * Queues the event of a publish, and resolves when it is stored there. If it throws, the job fails, and its retry queues the
   * event again. Without `announce`, the next job that has one queues the event.
   */
  readonly announce?: (news: RepositoryNews) => Promise<void>;
  /** Called after a new generation, within the job's time. */
  readonly onPublished?: (uuid: RepositoryUuid) => Promise<void>;
  /** Whether to compact and tidy after a sync without changes. By default after a scheduled one. */
  readonly maintains?: (job: RepositoryJob) => boolean;
  /** Whether to look for damage in the store even if nothing is new. By default not. */
  readonly checksStore?: (uuid: RepositoryUuid) => boolean;
  /** How far the clocks of the processes that make jobs and run them may differ. AWS keeps them within milliseconds. */
  readonly clockMarginMs?: number;
}

export interface RepositoryJobOptions extends JobMeans, Omit<ContextOptions, "onProgress"> {
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly onProgress?: (facts: RepositoryFacts, progress: SyncProgress | CompactionProgress) => void;
}

export interface JobContext extends JobMeans, Omit<SyncContext, "onProgress"> {
  readonly job: RepositoryJob;
  readonly config: MirrorConfig;
  readonly onProgress: (facts: RepositoryFacts, progress: SyncProgress | CompactionProgress) => void;
}

export function jobContext(
  job: RepositoryJob,
  config: MirrorConfig,
  { onProgress = () => undefined, ...options }: RepositoryJobOptions,
): JobContext {
  return { ...options, ...syncContext(options), job, config, onProgress };
}

const MAX_CHECKS = 10_000;

/** When refs were listed last, in ms since the epoch: of a hundred pushes in a row, most jobs find that theirs is stored. */
export class RecentChecks extends LRUCache<RepositoryUuid, number> {
  constructor() {
    // Not `max`, which allocates all entries at once.
    super({ maxSize: MAX_CHECKS, sizeCalculation: () => 1 });
  }
}
