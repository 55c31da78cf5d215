/** What is here before a sync fetches: the last generation, or what an import has brought so far. */
import type { UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { errorFields } from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import type { RefList } from "../git/ports.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { ObjectDatabase } from "../repo/object-database.ts";
import type { Repository } from "../repo/repository.ts";
import { type ImportOptions, importHistory } from "./import-history.ts";
import { type LargeNote, noteIfLarge } from "./note-large.ts";
import { rebuildHistories } from "./rebuild-history.ts";
import { chooseHaves, type RefChange, tipsOf } from "./ref-changes.ts";
import type { SyncProgress } from "./sync-progress.ts";

export interface SyncGround {
  /** Oldest first. */
  readonly packs: readonly ManifestPack[];
  readonly objects: ObjectDatabase | undefined;
  /** What the packs were fetched for. */
  readonly tips: ReadonlySet<ObjectId>;
  /** What to name to the primary, the most telling first. */
  readonly haves: readonly ObjectId[];
  /** Absent where it is known already, or does not matter. */
  readonly large?: LargeNote;
  /** Takes away what is noted only until a generation is published. Never rejects. */
  settle(): Promise<void>;
}

interface GroundOptions extends Pick<ImportOptions, "storage" | "upstream" | "limits" | "log" | "now"> {
  readonly expectedBytes?: number | undefined;
  readonly onProgress?: (progress: SyncProgress) => void;
  readonly signal?: AbortSignal;
  readonly temporaryFolder?: string | undefined;
  /** See `SyncOptions`. */
  readonly confirm?: (continues: boolean) => Promise<void>;
}

/** @param known - The objects of `before`. */
export async function groundOf(
  before: Repository | undefined,
  known: ObjectDatabase | undefined,
  uuid: RepositoryUuid,
  refs: {
    readonly refsBefore: RefList;
    readonly upstreamRefs: UpstreamRefs;
    readonly changes: readonly RefChange[];
  },
  options: GroundOptions,
): Promise<SyncGround> {
  const { storage } = options;
  if (before !== undefined) {
    return {
      packs: await rebuildHistories(storage, uuid, before, options),
      objects: known,
      tips: tipsOf(refs.refsBefore),
      haves: chooseHaves(refs.refsBefore, refs.changes),
      settle: async () => undefined,
    };
  }
  const { confirm, log } = options;
  /** The janitor does it as well: what is published is published. */
  const forget = () => forgetImport(uuid, storage, log);
  const imported = await importHistory({
    ...options,
    uuid,
    upstreamRefs: refs.upstreamRefs,
    expectedBytes: options.expectedBytes,
    onProgress: options.onProgress,
    signal: options.signal,
    temporaryFolder: options.temporaryFolder,
    confirm: confirm && (() => confirm(false)),
  });
  if (imported !== undefined)
    return { ...imported, tips: new Set(imported.tips), haves: imported.tips, settle: forget };
  const large = noteIfLarge(storage.store, uuid, {
    ...options,
    largeBytes: options.limits.sliceAboveBytes,
  });
  const settle = async () => {
    if (await large.settled()) await forget();
  };
  return { packs: [], objects: undefined, tips: new Set(), haves: [], large, settle };
}

/** The next import begins anew. Never rejects. */
export async function forgetImport(
  uuid: RepositoryUuid,
  { store }: ImportOptions["storage"],
  log: ImportOptions["log"],
): Promise<void> {
  try {
    await store.delete(repositoryKeys(uuid).importNotes);
  } catch (error) {
    log.warn("import:not-forgotten", { uuid, ...errorFields(error) });
  }
}
