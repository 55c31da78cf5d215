/** What `nearside status` says of LFS files. */
import { MirrorError } from "../../lib/errors.ts";
import type { RepositoryStatus, WorkspaceStatus } from "../../lib/mirror/mirror-status.ts";
import { type LfsCounts, readLfsCounts } from "../../lib/repo/lfs-counts.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { formatBytes } from "../local/progress-line.ts";
import { counted, visible } from "./table.ts";

export interface RepositoryWithLfs extends RepositoryStatus {
  /** Absent where no plan was made, or where it cannot be read. */
  readonly lfs?: LfsCounts | undefined;
}

export interface WorkspaceWithLfs extends WorkspaceStatus {
  readonly repositories: readonly RepositoryWithLfs[];
}

/** Repositories that are read at a time. */
const CONCURRENT_READS = 16;

export async function withLfs(store: BlobStore, workspace: WorkspaceStatus): Promise<WorkspaceWithLfs> {
  const repositories: RepositoryWithLfs[] = [];
  for (let at = 0; at < workspace.repositories.length; at += CONCURRENT_READS) {
    const some = workspace.repositories.slice(at, at + CONCURRENT_READS);
    repositories.push(
      ...(await Promise.all(some.map(async (one) => ({ ...one, lfs: await countsOf(store, one) })))),
    );
  }
  return { ...workspace, repositories };
}

async function countsOf(
  store: BlobStore,
  { uuid, published }: RepositoryStatus,
): Promise<LfsCounts | undefined> {
  if (published === undefined) return undefined;
  try {
    return await readLfsCounts(store, uuid);
  } catch (error) {
    // Damage: the next plan mends it, and everything else of the status is worth showing.
    if (error instanceof MirrorError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** A line for a repository that has LFS files, and what to do where clients look for them elsewhere. */
export function describeLfs({ slug, lfs }: RepositoryWithLfs): string[] {
  if (lfs === undefined || (lfs.pointers === 0 && lfs.stored === 0)) return [];
  const others = [
    stateCount(lfs.pending, "pending"),
    stateCount(lfs.missing, "missing at Bitbucket"),
    stateCount(lfs.postponed, "postponed: too large, or failed"),
    stateCount(lfs.held, "no longer confirmed by Bitbucket, held"),
  ].flat();
  const stored = `${lfs.stored} stored (${formatBytes(lfs.storedBytes)})`;
  const line = `  ${slug}: LFS ${counted(lfs.pointers, "file")} (${formatBytes(lfs.pointerBytes)}): ${[stored, ...others].join(", ")}`;
  return lfs.configuredUrl === undefined ? [line] : [line, ...describeConfigured(slug, lfs.configuredUrl)];
}

function stateCount(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

function describeConfigured(slug: string, url: string): string[] {
  return [
    `  ${slug}: its .lfsconfig leads git-lfs to ${visible(url)}, past the mirror. If that is Bitbucket, on a client:`,
    "    git config --global url.<mirror>/.insteadOf https://bitbucket.org/",
    "    git config --global url.https://bitbucket.org/.pushInsteadOf https://bitbucket.org/",
  ];
}
