/** Measures the mirror and git side by side: `npm run bench -- --repo <bare repository>`. */
import { writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { assertComplete, type BenchReport, formatTable } from "./bench-report.ts";
import { type BenchRepository, prepareRepository } from "./bench-repository.ts";
import { openFullCloneContest } from "./full-clone-contest.ts";
import { openIndexContest } from "./index-contest.ts";
import { openIngestContest } from "./ingest-contest.ts";
import { IngestedStore } from "./ingested-store.ts";
import { type Contest, type RowReport, runContest } from "./measurement.ts";
import { findWebServer, type WebServerPrograms } from "./nginx-git-server.ts";
import { Workspace } from "./workspace.ts";

const ROW_NAMES = ["index", "ingest", "full-clone"] as const;
type RowName = (typeof ROW_NAMES)[number];

interface Arguments {
  readonly repo?: string;
  readonly json?: string;
  readonly rows: readonly RowName[];
  readonly runs: number;
  readonly smoke?: true;
}

const EXPLANATION = `
Rows:
  index       a pack on disk gets its index; against git index-pack
  ingest      a pack arrives, is indexed, stored and checked for connectivity; against git index-pack --stdin and then
              git rev-list --objects --all
  full-clone  the servers' side of a clone: a canned request, whose answer is dropped; against git http-backend with
              bitmaps, behind nginx and fcgiwrap (Debian: apt-get install nginx-light fcgiwrap)

Both sides run in turns on a copy of the repository, packed once. Each has a warm-up run first, in which its results are
checked. A ratio is the mirror's median over git's, so below 1 the mirror is better.
  wall s        of the whole process; of full-clone: from sending the request to the answer's last byte
  CPU s         of all processes; rounded to 0.01 s. nginx, which passes git's answer on, is left out
  MB            written index; stored files; answer
  peak MB       largest sum of the processes' resident sets, mapped files included, looked at every 10 ms
  anonymous MB  the same without mapped files
  requests      what the mirror asked of its store; rounds: the longest chain of requests that waited for each other

--smoke proves that the bench works, on a small repository of its own: its figures mean nothing. It needs no web server.`;

const command = new Command("bench")
  .description("Measures the mirror and git side by side on any repository. Linux only.")
  .option("--repo <folder>", "the repository to measure with; it is only read")
  .option("--json <file>", "also write the figures as JSON")
  .option("--rows <names>", "which rows, with commas between", parseRows, [...ROW_NAMES])
  .option("--runs <number>", "how often each side runs", parseRuns, 3)
  .option("--smoke", "run every row once on a sample repository, and check the report")
  .addHelpText("after", EXPLANATION);

function parseRows(text: string): RowName[] {
  const names = text.split(",");
  const unknown = names.filter((name) => !ROW_NAMES.some((known) => known === name));
  if (unknown.length > 0) throw new InvalidArgumentError(`Rows are ${ROW_NAMES.join(", ")}.`);
  return ROW_NAMES.filter((name) => names.includes(name));
}

function parseRuns(text: string): number {
  const runs = Number(text);
  if (!Number.isInteger(runs) || runs < 1) throw new InvalidArgumentError("Runs are a whole number above 0.");
  return runs;
}

async function runBench(workspace: Workspace, options: Arguments): Promise<BenchReport> {
  // Before anything else: it would be a pity to hear of it after the other rows.
  const webServer = options.rows.includes("full-clone") ? await findWebServer() : undefined;
  if (options.rows.includes("full-clone") && webServer === undefined && !options.smoke) {
    throw new Error("row full-clone needs nginx and fcgiwrap: apt-get install nginx-light fcgiwrap");
  }
  const repository = await prepareRepository(workspace, options.repo ?? (await makeSample(workspace)));
  const { objects, packBytes, refs } = repository;
  const store = new IngestedStore(workspace, repository);
  const runOptions = options.smoke ? { runs: 1, warmUpRuns: 0 } : { runs: options.runs, warmUpRuns: 1 };
  const rows: RowReport[] = [];
  for (const name of options.rows) {
    const contest = await openContest(name, { workspace, repository, store, webServer });
    try {
      rows.push(await runContest(name, contest, runOptions, workspace));
    } finally {
      await contest.close();
    }
  }
  return { repository: { objects, packBytes, refs: refs.length }, rows };
}

interface ContestParts {
  readonly workspace: Workspace;
  readonly repository: BenchRepository;
  readonly store: IngestedStore;
  readonly webServer: WebServerPrograms | undefined;
}

function openContest(
  name: RowName,
  { workspace, repository, store, webServer }: ContestParts,
): Promise<Contest> {
  switch (name) {
    case "index":
      return openIndexContest(workspace, repository);
    case "ingest":
      return openIngestContest(workspace, repository, store);
    case "full-clone":
      return openFullCloneContest(workspace, repository, store, webServer);
  }
}

/** Large enough that the indexer uses threads. */
const SAMPLE_COMMIT_COUNT = 3000;

async function makeSample(workspace: Workspace): Promise<string> {
  const folder = workspace.path("sample.git");
  await makeSampleRepository(folder, { commitCount: SAMPLE_COMMIT_COUNT });
  return folder;
}

const options = command.parse().opts<Arguments>();
if ((options.repo === undefined) === (options.smoke === undefined)) {
  command.error("error: give either --repo <folder> or --smoke");
}
if (process.platform !== "linux") command.error("error: the bench reads /proc, which only Linux has");

const workspace = await Workspace.open();
let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    void workspace.close().finally(() => process.exit(128 + constants.signals[signal]));
  });
}
try {
  const report = await runBench(workspace, options);
  if (options.smoke) assertComplete(report, options.rows);
  console.log(formatTable(report));
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
} catch (error) {
  if (!isInterrupted) console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  if (!isInterrupted) await workspace.close();
}
