/** What nearside status says of a repository's LFS files. */
import type { LfsCounts } from "../../lib/repo/lfs-counts.ts";
import { formatBytes } from "../local/progress-line.ts";
import { counted, visible } from "./table.ts";

/** A line for a repository that has LFS files, and what to do where clients look for them elsewhere. */
export function describeLfs({
  slug,
  lfs,
}: {
  readonly slug: string;
  readonly lfs?: LfsCounts | undefined;
}): string[] {
  if (lfs === undefined || (lfs.pointers === 0 && lfs.stored === 0 && lfs.unsearchedPacks === 0)) return [];
  const others = [
    stateCount(lfs.pending, "pending"),
    stateCount(lfs.missing, "missing at Bitbucket"),
    stateCount(lfs.postponed, "postponed: too large, or failed"),
    stateCount(lfs.held, "no longer confirmed by Bitbucket, held"),
    stateCount(lfs.onRequest, "copied when a client asks for them"),
    lfs.unsearchedPacks === 0 ? [] : `${counted(lfs.unsearchedPacks, "pack")} not searched for pointers yet`,
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
