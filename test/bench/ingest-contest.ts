/**
 * Row `ingest`: a pack arrives, is indexed and stored, everything that the refs reach is checked to be there, and what
 * makes serving quick is prepared. git's side is git-index-pack(1), git-rev-list(1) as a clone runs it, and git-repack(1),
 * which writes bitmaps.
 */
import { randomUUID } from "node:crypto";
import { copyFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatRefSnapshot } from "../../lib/repo/refs.ts";
import { type BenchRepository, onlyFile } from "./bench-repository.ts";
import { measureIngest, repositoryFolderIn } from "./ingested-store.ts";
import { measureGit } from "./measured-command.ts";
import type { Contest, Measurement } from "./measurement.ts";
import { assertSameFile } from "./same-file.ts";
import type { Workspace } from "./workspace.ts";

export async function openIngestContest(
  workspace: Workspace,
  repository: BenchRepository,
  storeDelayMs: number,
): Promise<Contest> {
  const scratch = await workspace.newFolder("ingest");
  const gitFolder = join(scratch, "ingested.git");
  const storeFolder = join(scratch, "store");
  const uuid = randomUUID();
  const indexFile = join(scratch, "git.idx");
  const ingest = (delayMs: number) =>
    measureIngest(workspace, repository, { storeFolder, uuid, storeDelayMs: delayMs });
  return {
    mirror: () => ingest(0),
    delayedMirror: () => ingest(storeDelayMs),
    git: () => ingestByGit(workspace, repository, gitFolder, indexFile),
    async verify(): Promise<void> {
      const mirrored = repositoryFolderIn(storeFolder, uuid);
      await assertSameFile(await onlyFile(mirrored, ".pack"), repository.packFile);
      await assertSameFile(await onlyFile(mirrored, ".idx"), indexFile);
      const listRefs = ["show-ref", "--head", "--dereference"];
      const mirrorRefs = await workspace.git(listRefs, { cwd: mirrored });
      const gitRefs = await workspace.git(listRefs, { cwd: repository.folder });
      if (mirrorRefs !== gitRefs) throw new Error("the mirror's refs are not the repository's");
      await onlyFile(gitFolder, ".bitmap");
    },
    close: () => rm(scratch, { recursive: true, force: true }),
  };
}

/** @param indexFile - Gets the index that git made of the pack as it came. */
async function ingestByGit(
  workspace: Workspace,
  { packFile, refs }: BenchRepository,
  folder: string,
  indexFile: string,
): Promise<Measurement> {
  await rm(folder, { recursive: true, force: true });
  await workspace.git(["init", "--quiet", "--bare", folder]);
  const indexing = await measureGit(workspace, ["index-pack", "--stdin"], {
    cwd: folder,
    inputFile: packFile,
  });
  await writeFile(join(folder, "packed-refs"), formatRefSnapshot(refs).bytes);
  const walking = await measureGit(workspace, ["rev-list", "--objects", "--all", "--quiet"], { cwd: folder });
  await copyFile(await onlyFile(folder, ".idx"), indexFile);
  const packing = await measureGit(workspace, ["repack", "-adbq"], { cwd: folder });
  const files = await Promise.all([".pack", ".idx", ".bitmap"].map((ending) => onlyFile(folder, ending)));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const steps = [indexing.usage, walking.usage, packing.usage];
  const sum = (figure: (step: (typeof steps)[number]) => number) =>
    steps.reduce((total, step) => total + figure(step), 0);
  return {
    wallSeconds: sum((step) => step.wallSeconds),
    cpuSeconds: sum((step) => step.cpuSeconds),
    bytes: sizes.reduce((total, size) => total + size, 0),
    peakMemoryBytes: Math.max(...steps.map((step) => step.peakMemoryBytes)),
    peakAnonymousBytes: Math.max(...steps.map((step) => step.peakAnonymousBytes)),
  };
}
