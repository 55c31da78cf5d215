/**
 * Row `lfs-sync`: `nearside sync` of a repository with LFS files, from a fake Bitbucket into a folder store. The other side is git-lfs,
 * which fetches the same files from the same Bitbucket.
 */
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LFS_FILE_FOLDER } from "../../lib/repo/layout.ts";
import { startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { type FileGroup, makeLfsFiles } from "./lfs-files.ts";
import { measureCli, measureGit } from "./measured-command.ts";
import { type Contest, type Measurement, runContest } from "./measurement.ts";
import type { Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const SMOKE_FILES = [{ count: 5, sizeBytes: 100_000 }];

export function lfsSyncRow(groups: readonly FileGroup[]): Row {
  const name = "lfs-sync";
  return {
    name,
    goals: { wall: 1.5 },
    async measure(workspace, { isSmoke, runs }) {
      const contest = await openContest(workspace, isSmoke ? SMOKE_FILES : groups);
      try {
        return await runContest(name, contest, runs, workspace);
      } finally {
        await contest.close();
      }
    },
  };
}

async function openContest(workspace: Workspace, groups: readonly FileGroup[]): Promise<Contest> {
  const { repository, storeFolder: filled, files, totalBytes } = await makeLfsFiles(workspace, groups);
  const folder = await workspace.newFolder("lfs-sync");
  const root = join(folder, "primary");
  const primary = join(root, BENCH_WORKSPACE, `${BENCH_SLUG}.git`);
  await mkdir(dirname(primary), { recursive: true });
  await rename(repository, primary);
  await mkdir(join(primary, "lfs"), { recursive: true });
  await rename(join(filled, LFS_FILE_FOLDER), join(primary, "lfs/objects"));
  const fake = await startFakeBitbucket({ repositoriesFolder: root });
  const client = join(folder, "client.git");
  await workspace.git(["clone", "--quiet", "--bare", primary, client]);
  const url = `${fake.gitUrl}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git/info/lfs`;
  const storeFolder = join(folder, "store");
  const assertAll = async (place: string): Promise<void> => {
    const names = await readdir(place, { recursive: true });
    const count = names.filter((path) => /[0-9a-f]{64}$/.test(path)).length;
    if (count !== files.length) throw new Error(`${count} of ${files.length} files are in ${place}`);
  };
  return {
    mirror: () => sync(workspace, { storeFolder, gitUrl: fake.gitUrl, apiUrl: fake.apiUrl }, totalBytes),
    async git() {
      await rm(join(client, "lfs"), { recursive: true, force: true });
      const settings = ["-c", `lfs.url=${url}`];
      const { usage } = await measureGit(workspace, [...settings, "lfs", "fetch", "origin", "main"], {
        cwd: client,
      });
      return { ...usage, bytes: totalBytes };
    },
    async verify() {
      await assertAll(join(storeFolder, LFS_FILE_FOLDER));
      await assertAll(join(client, "lfs/objects"));
    },
    close: () => fake.close(),
    setup: { files: files.length },
  };
}

async function sync(
  workspace: Workspace,
  {
    storeFolder,
    gitUrl,
    apiUrl,
  }: { readonly storeFolder: string; readonly gitUrl: string; readonly apiUrl: string },
  totalBytes: number,
): Promise<Measurement> {
  await rm(storeFolder, { recursive: true, force: true });
  await mkdir(storeFolder, { recursive: true });
  const workspaces = [{ workspace: BENCH_WORKSPACE, projects: "all" }];
  await writeFile(join(storeFolder, "config.json"), JSON.stringify({ formatVersion: 1, workspaces }));
  const places = ["--store", storeFolder, "--git-url", gitUrl, "--api-url", apiUrl];
  const { usage } = await measureCli(workspace, ["sync", "--json", ...places]);
  return { ...usage, bytes: totalBytes };
}
