/** What travels through the phases of a sync: the process's means, the request, its limits, its progress. */
import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import type { IndexProgress } from "../indexer/index-pack.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { DEFAULT_SLICE_LIMITS, type SliceLimits } from "./slice-size.ts";

export interface SyncContext {
  readonly storage: RepositoryStorage;
  readonly log: Logger;
  readonly now: () => Date;
  /** Stops the sync; nothing is left behind. The upstream has its own. */
  readonly signal: AbortSignal | undefined;
  /** Folder for packs during indexing; created if missing. By default the system's: `TMPDIR`, or `/tmp`. */
  readonly temporaryFolder: string | undefined;
  readonly onProgress: (progress: SyncProgress) => void;
}

export interface ContextOptions extends Pick<SyncContext, "storage" | "log"> {
  readonly now?: () => Date;
  readonly signal?: AbortSignal | undefined;
  readonly temporaryFolder?: string | undefined;
  readonly onProgress?: (progress: SyncProgress) => void;
}

export function syncContext(options: ContextOptions): SyncContext {
  const { storage, log, signal, temporaryFolder } = options;
  const { now = () => new Date(), onProgress = () => undefined } = options;
  return { storage, log, now, signal, temporaryFolder, onProgress };
}

/** What is synchronized, and how. */
export interface SyncRequest {
  readonly uuid: RepositoryUuid;
  readonly upstream: UpstreamGit;
  readonly limits: SyncLimits;
  /** Size of the whole repository by the primary's estimate; a large one is first fetched in slices. */
  readonly expectedBytes?: number | undefined;
  /** Checks the store for damage even if nothing is new. */
  readonly checkStore?: boolean;
  /** Writes the time into the manifest in any case: another process waits for it. */
  readonly notesVerified?: boolean;
  /**
   * Called after the fetch and before the publish; a sliced import calls it before its first slice too.
   * @param continues - Whether there is a published history, and the new refs reach all of it.
   * @throws What was fetched may be another repository's. Nothing is published.
   */
  readonly confirm?: (continues: boolean) => Promise<void>;
}

export interface SyncLimits {
  /** What the local disk must hold: a function has 10 GB. */
  readonly maxPackBytes: number;
  /** 50 bytes each in the request; more would hardly make the pack smaller. */
  readonly maxHaves: number;
  /** A repository of this size or more is first fetched in slices. */
  readonly sliceAboveBytes: number;
  readonly slices: SliceLimits;
  /** How old "verified" may grow before a sync without changes writes the manifest again. */
  readonly verifiedStaleMs: number;
}

export const DEFAULT_SYNC_LIMITS: SyncLimits = {
  maxPackBytes: 9 * 2 ** 30,
  maxHaves: 4096,
  // Fetched and indexed in a minute or two: less than that is hardly worth a round trip for the commits.
  sliceAboveBytes: 2 ** 28,
  slices: DEFAULT_SLICE_LIMITS,
  verifiedStaleMs: 30_000,
};

export type SyncProgress =
  | { readonly phase: "listing" }
  /** The primary is working; `text` is its own progress line. */
  | { readonly phase: "waiting"; readonly text: string }
  /** How much of a large history is stored. */
  | { readonly phase: "importing"; readonly steps: number; readonly totalSteps: number }
  | { readonly phase: "receiving"; readonly receivedBytes: number }
  | IndexProgress
  | { readonly phase: "publishing" };
