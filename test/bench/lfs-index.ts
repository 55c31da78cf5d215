/**
 * Row `lfs-index`: a pack with 50,000 pointers of git-lfs, of 500 commits, gets its index and the sidecar of pointers. The other side is the same for a
 * pack whose blobs are texts of the same length that are no pointers.
 */
import { createHash } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { measureProgram } from "./measured-command.ts";
import { type Contest, type Measurement, runContest } from "./measurement.ts";
import type { Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const COUNT = 50_000;
const SMOKE_COUNT = 500;
const FILES_PER_COMMIT = 100;
const FOLDERS = 100;

export const LFS_INDEX_ROW: Row = {
  name: "lfs-index",
  goals: { wall: 1.05, cpu: 1.05, memory: 1.05 },
  async measure(workspace, { isSmoke, runs }) {
    const contest = await openContest(workspace, isSmoke ? SMOKE_COUNT : COUNT);
    return runContest("lfs-index", contest, runs, workspace);
  },
};

async function openContest(workspace: Workspace, count: number): Promise<Contest> {
  const withPointers = await makePack(workspace, "version", count);
  const without = await makePack(workspace, "another", count);
  const index = workspace.path("lfs.idx");
  const measure = async (pack: string): Promise<Measurement> => {
    await rm(index, { force: true });
    const { usage } = await measureProgram(workspace, "index-child.ts", [pack, index]);
    return { ...usage, bytes: (await stat(index)).size };
  };
  return {
    mirror: () => measure(withPointers),
    git: () => measure(without),
    // Row `index` compares the index with git's.
    verify: async () => undefined,
    close: async () => undefined,
    setup: { pointers: count },
  };
}

/** @param firstWord - `version` makes pointers of the blobs. @returns The pack's path. */
async function makePack(workspace: Workspace, firstWord: string, count: number): Promise<string> {
  const repository = join(await workspace.newFolder("lfs-index"), "repository.git");
  await workspace.git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const entries = Array.from({ length: count }, (_, i) => {
    const oid = createHash("sha256").update(String(i)).digest("hex");
    const text = `${firstWord} https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 10\n`;
    const commit = `commit refs/heads/main\ncommitter A <a@example.com> ${1_800_000_000 + i} +0000\ndata 5\nfiles\n`;
    const begins = i % FILES_PER_COMMIT === 0 ? commit : "";
    return `${begins}M 100644 inline ${i % FOLDERS}/${i}.bin\ndata ${text.length}\n${text}`;
  });
  await workspace.git(["fast-import", "--quiet"], { cwd: repository, input: entries.join("\n") });
  const base = join(repository, "measured");
  const id = await workspace.git(["pack-objects", "--all", "--quiet", "--delta-base-offset", base], {
    cwd: repository,
    input: "",
  });
  return `${base}-${id}.pack`;
}
