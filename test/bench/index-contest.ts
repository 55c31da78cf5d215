/** Row `index`: a pack on disk gets its index; the mirror's indexer against git-index-pack(1), both with all processors. */
import { rm, stat } from "node:fs/promises";
import type { BenchRepository } from "./bench-repository.ts";
import { measureGit, measureProgram } from "./measured-command.ts";
import type { Contest, Measurement } from "./measurement.ts";
import { assertSameFile } from "./same-file.ts";
import type { Workspace } from "./workspace.ts";

export async function openIndexContest(
  workspace: Workspace,
  { packFile }: BenchRepository,
): Promise<Contest> {
  const mirrorIndex = workspace.path("mirror.idx");
  const gitIndex = workspace.path("git.idx");
  return {
    async mirror(): Promise<Measurement> {
      await rm(mirrorIndex, { force: true });
      const { usage } = await measureProgram(workspace, "index-child.ts", [packFile, mirrorIndex]);
      return { ...usage, bytes: (await stat(mirrorIndex)).size };
    },
    async git(): Promise<Measurement> {
      await rm(gitIndex, { force: true });
      const { usage } = await measureGit(workspace, ["index-pack", "-o", gitIndex, packFile]);
      return { ...usage, bytes: (await stat(gitIndex)).size };
    },
    verify: () => assertSameFile(mirrorIndex, gitIndex),
    async close(): Promise<void> {
      await Promise.all([rm(mirrorIndex, { force: true }), rm(gitIndex, { force: true })]);
    },
  };
}
