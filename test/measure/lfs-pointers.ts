/**
 * What 50,000 pointers of git-lfs cost: indexing a pack that has them against one whose blobs are texts of the same kind, each a few
 * times in turn: `npm run measure:lfs-pointers`.
 */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { measureProgram } from "../bench/measured-command.ts";
import { Workspace } from "../bench/workspace.ts";

const COUNT = 50_000;
const RUNS = 5;

const workspace = await Workspace.open();
try {
  await compareIndexing(await packOf("version"), await packOf("another"));
} finally {
  await workspace.close();
}

function oidOf(number: number): string {
  return createHash("sha256").update(String(number)).digest("hex");
}

/** @param firstWord - `version` makes pointers of the blobs. @returns The repository. */
async function repositoryOf(firstWord: string): Promise<string> {
  const repository = join(await workspace.newFolder(firstWord), "repository.git");
  await workspace.git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const entries = Array.from({ length: COUNT }, (_, i) => {
    const text = `${firstWord} https://git-lfs.github.com/spec/v1\noid sha256:${oidOf(i)}\nsize 10\n`;
    return `M 100644 inline ${i % 100}/${i}.bin\ndata ${text.length}\n${text}`;
  });
  const commit = "commit refs/heads/main\ncommitter A <a@example.com> 1800000000 +0000\ndata 5\nfiles\n";
  await workspace.git(["fast-import", "--quiet"], { cwd: repository, input: commit + entries.join("\n") });
  return repository;
}

async function packOf(firstWord: string): Promise<string> {
  const cwd = await repositoryOf(firstWord);
  const base = join(cwd, "measured");
  const id = await workspace.git(["pack-objects", "--all", "--quiet", "--delta-base-offset", base], {
    cwd,
    input: "",
  });
  return `${base}-${id}.pack`;
}

async function compareIndexing(withPointers: string, without: string): Promise<void> {
  const index = workspace.path("measured.idx");
  const seconds = { with: [] as number[], without: [] as number[] };
  const megabytes = { with: [] as number[], without: [] as number[] };
  for (let run = 0; run <= RUNS; run++)
    for (const [kind, pack] of [
      ["with", withPointers],
      ["without", without],
    ] as const) {
      await rm(index, { force: true });
      const { usage } = await measureProgram(workspace, "index-child.ts", [pack, index]);
      if (run === 0) continue;
      seconds[kind].push(usage.cpuSeconds);
      megabytes[kind].push(usage.peakMemoryBytes / 1e6);
    }
  for (const kind of ["with", "without"] as const)
    console.log(
      `index, ${kind} ${COUNT} pointers: ${median(seconds[kind]).toFixed(2)} s of CPU, ${median(megabytes[kind]).toFixed(0)} MB`,
    );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
