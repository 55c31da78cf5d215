/** What travels through the phases of a sync: the process's means, the request, its limits, its progress. */
import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import type { IndexProgress } from "../indexer/index-pack.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { DEFAULT_SLICE_LIMITS } from "./slice-size.ts";

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

export type ContextOptions = Pick<SyncContext, "storage" | "log"> & Partial<SyncContext>;

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
  /** Of the primary, as the last sync found them; see {@link UpstreamGit.listRefs}. */
  readonly capabilities?: readonly string[] | undefined;
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

export type SyncLimits = Readonly<typeof DEFAULT_SYNC_LIMITS>;

export const DEFAULT_SYNC_LIMITS = {
  /** What the local disk must hold: a function has 10 GB. */
  maxPackBytes: 9 * 2 ** 30,
  /** 50 bytes each in the request; more would hardly make the pack smaller. */
  maxHaves: 4096,
  /**
   * A repository of this size or more is first fetched in slices, which take a quarter longer than one fetch. What is smaller is fetched
   * and indexed in a minute or two; REST's size may also count what no ref reaches.
   */
  sliceAboveBytes: 2 ** 30,
  /** A first fetch that has brought this much is noted: if it is cut, the next sync goes in slices. */
  noteAboveBytes: 2 ** 26,
  slices: DEFAULT_SLICE_LIMITS,
  /** How old "verified" may grow before a sync without changes writes the manifest again. */
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
