/** Rows `nearside-clone…`: the whole command, as the package has it, beside `git clone` of the same address. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { type MeasuredCommand, measureCli, measureGit } from "./measured-command.ts";
import { startMirrorServer } from "./measured-server.ts";
import type { Contest, Measurement } from "./measurement.ts";
import type { Goals, Row } from "./row.ts";
import { GIT_SAFETY_ENVIRONMENT, type Workspace } from "./workspace.ts";

interface CloneCommandOptions {
  /** Of both commands. */
  readonly args: readonly string[];
  /** Of the mirror's alone. */
  readonly ownArgs?: readonly string[];
  readonly goals: Goals;
}

export function cloneCommandRow(name: string, { args, ownArgs = [], goals }: CloneCommandOptions): Row {
  return {
    name,
    goals,
    isServed: false,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const server = await startMirrorServer(workspace, await preparations.wholeStore(), 0);
      const url = `${server.url}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git`;
      const folder = await workspace.newFolder("clones");
      const [byMirror, byGit] = [join(folder, "mirror"), join(folder, "git")];
      const env = { ...isolatedGitEnvironment(), ...GIT_SAFETY_ENVIRONMENT };
      return {
        mirror: () =>
          cloned(byMirror, () =>
            measureCli(workspace, ["clone", "--quiet", ...args, ...ownArgs, url, byMirror], env),
          ),
        git: () => cloned(byGit, () => measureGit(workspace, ["clone", "--quiet", ...args, url, byGit])),
        verify: () => assertSameRepository(workspace, byMirror, byGit),
        close: () => server.close(),
      };
    },
  };
}

async function cloned(target: string, run: () => Promise<MeasuredCommand>): Promise<Measurement> {
  await rm(target, { recursive: true, force: true });
  const { usage } = await run();
  const folder = join(target, ".git/objects/pack");
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (file) => (await stat(join(folder, file))).size),
  );
  return { ...usage, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** @throws {Error} They differ in refs or objects. */
async function assertSameRepository(workspace: Workspace, ...folders: readonly string[]): Promise<void> {
  const found = folders.map(async (cwd) => [
    await workspace.git(["for-each-ref"], { cwd }),
    await workspace.git(["rev-list", "--objects", "--all", "--count"], { cwd }),
  ]);
  const [first, second] = await Promise.all(found);
  if (JSON.stringify(first) !== JSON.stringify(second)) throw new Error("the clones differ");
}
