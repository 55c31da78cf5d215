/**
 * Row `ingest`: a pack arrives, is indexed and stored, and everything that the refs reach is checked to be there.
 * git's side is git-index-pack(1) and then git-rev-list(1), as a clone does it.
 */
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatRefSnapshot } from "../../lib/repo/refs.ts";
import type { BenchRepository } from "./bench-repository.ts";
import { type IngestedStore, onlyPackFile } from "./ingested-store.ts";
import { measureGit } from "./measured-command.ts";
import type { Contest, Measurement } from "./measurement.ts";
import { assertSameFile } from "./same-file.ts";
import type { Workspace } from "./workspace.ts";

export async function openIngestContest(
  workspace: Workspace,
  repository: BenchRepository,
  store: IngestedStore,
): Promise<Contest> {
  const gitFolder = workspace.path("ingested.git");
  return {
    mirror: () => store.ingest(),
    git: () => ingestByGit(workspace, repository, gitFolder),
    async verify(): Promise<void> {
      await assertSameFile(await store.packFile(".pack"), repository.packFile);
      await assertSameFile(await store.packFile(".idx"), await onlyPackFile(gitFolder, ".idx"));
      const listRefs = ["show-ref", "--head", "--dereference"];
      const mirrorRefs = await workspace.git(listRefs, { cwd: store.repositoryFolder });
      const gitRefs = await workspace.git(listRefs, { cwd: repository.folder });
      if (mirrorRefs !== gitRefs) throw new Error("the mirror's refs are not the repository's");
    },
    close: () => rm(gitFolder, { recursive: true, force: true }),
  };
}

async function ingestByGit(
  workspace: Workspace,
  { packFile, refs }: BenchRepository,
  folder: string,
): Promise<Measurement> {
  await rm(folder, { recursive: true, force: true });
  await workspace.git(["init", "--quiet", "--bare", folder]);
  const indexing = await measureGit(workspace, ["index-pack", "--stdin"], {
    cwd: folder,
    inputFile: packFile,
  });
  await writeFile(join(folder, "packed-refs"), formatRefSnapshot(refs).bytes);
  const walking = await measureGit(workspace, ["rev-list", "--objects", "--all", "--quiet"], { cwd: folder });
  const [pack, index] = await Promise.all([
    stat(await onlyPackFile(folder, ".pack")),
    stat(await onlyPackFile(folder, ".idx")),
  ]);
  const [a, b] = [indexing.usage, walking.usage];
  return {
    wallSeconds: a.wallSeconds + b.wallSeconds,
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    bytes: pack.size + index.size,
    peakMemoryBytes: Math.max(a.peakMemoryBytes, b.peakMemoryBytes),
    peakAnonymousBytes: Math.max(a.peakAnonymousBytes, b.peakAnonymousBytes),
  };
}
