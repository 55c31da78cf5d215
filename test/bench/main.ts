/** Measures the mirror and git side by side: `npm run bench -- --repo <bare repository>`. */
import { readFile, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { assertComplete, type BenchReport, formatTable } from "./bench-report.ts";
import { EXPLANATION } from "./explanation.ts";
import { formatMarkdown } from "./markdown-table.ts";
import { runContest } from "./measurement.ts";
import { findWebServer, type WebServerPrograms } from "./nginx-git-server.ts";
import { Preparations } from "./preparations.ts";
import { isContestRow, type Row } from "./row.ts";
import { ROWS } from "./rows.ts";
import { Workspace } from "./workspace.ts";

interface Arguments {
  readonly repo?: string;
  readonly json?: string;
  readonly rows: readonly Row[];
  readonly runs: number;
  readonly keep?: string;
  readonly storeLatencyMs: number;
  readonly smoke?: true;
  readonly table?: string;
}

const command = new Command("bench")
  .description("Measures the mirror and git side by side on any repository. Linux only.")
  .option("--repo <folder>", "the repository to measure with; it is only read")
  .option("--json <file>", "also write the figures as JSON")
  .addOption(
    new Option("--rows <names>", "which rows, with commas between").argParser(parseRows).default(ROWS, "all"),
  )
  .option("--runs <number>", "how often each side runs", parseCount, 3)
  .option(
    "--keep <folder>",
    "where packed copies and filled stores stay for the next time; else they are removed",
  )
  .option("--store-latency-ms <number>", "what each request of the slower store takes longer", parseCount, 20)
  .option("--smoke", "run every row once on a sample repository, and check the report")
  .option("--table <file>", "only print the table of a file that --json wrote, in Markdown")
  .addHelpText("after", EXPLANATION);

function parseRows(text: string): Row[] {
  const names = text.split(",");
  const known = ROWS.map(({ name }) => name);
  if (!names.every((name) => known.includes(name)))
    throw new InvalidArgumentError(`Rows are ${known.join(", ")}.`);
  return ROWS.filter(({ name }) => names.includes(name));
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("It is a whole number above 0.");
  return count;
}

async function runBench(workspace: Workspace, options: Arguments): Promise<BenchReport> {
  const { rows, smoke, storeLatencyMs } = options;
  // Before anything else: it would be a pity to hear of it after the other rows.
  const contests = rows.filter(isContestRow);
  const served = contests.filter(({ isServed }) => isServed);
  const webServer = served.length > 0 ? await findWebServer() : undefined;
  if (served.length > 0 && webServer === undefined && !smoke) {
    const names = served.map(({ name }) => name).join(", ");
    throw new Error(`${names}: needs nginx and fcgiwrap: apt-get install nginx-light fcgiwrap`);
  }
  const preparations = contests.length > 0 ? await prepare(workspace, options, webServer) : undefined;
  const runOptions = smoke ? { runs: 1, warmUpRuns: 0 } : { runs: options.runs, warmUpRuns: 1 };
  const reports: BenchReport["rows"][number][] = [];
  for (const row of rows) {
    if (!isContestRow(row))
      reports.push(await row.measure(workspace, { isSmoke: smoke === true, runs: runOptions }));
    else if (preparations !== undefined) {
      const contest = await row.open(preparations);
      try {
        reports.push(await runContest(row.name, contest, runOptions, workspace));
      } finally {
        await contest.close();
      }
    }
  }
  return {
    ...(preparations && { repository: await describeRepository(preparations) }),
    storeLatencyMs,
    runs: runOptions.runs,
    rows: reports,
  };
}

async function prepare(
  workspace: Workspace,
  { repo, storeLatencyMs, smoke }: Arguments,
  webServer: WebServerPrograms | undefined,
): Promise<Preparations> {
  const original = repo ?? (await makeSample(workspace));
  return new Preparations({
    workspace,
    original,
    storeDelayMs: storeLatencyMs,
    webServer,
    followsEachPush: smoke === undefined,
    refCount: smoke === undefined ? REF_COUNT : SMOKE_REF_COUNT,
  });
}

async function describeRepository(
  preparations: Preparations,
): Promise<NonNullable<BenchReport["repository"]>> {
  const { objects, packBytes, refs } = await preparations.whole();
  return { objects, packBytes, refs: refs.length };
}

/** Some Bitbucket repositories have more: each pull request leaves refs behind. */
const REF_COUNT = 50_000;
const SMOKE_REF_COUNT = 2000;

/** Large enough that the indexer uses threads. */
const SAMPLE_COMMIT_COUNT = 3000;

async function makeSample(workspace: Workspace): Promise<string> {
  const folder = workspace.path("sample.git");
  await makeSampleRepository(folder, { commitCount: SAMPLE_COMMIT_COUNT });
  return folder;
}

async function main(options: Arguments): Promise<void> {
  const workspace = await Workspace.open(options.keep);
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
    if (options.json !== undefined)
      await writeFile(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  } catch (error) {
    if (!isInterrupted) console.error("error:", error instanceof Error ? describe(error) : error);
    process.exitCode = 1;
  } finally {
    if (!isInterrupted) await workspace.close();
  }
}

/** With what it came from. */
function describe({ message, cause }: Error): string {
  return cause instanceof Error ? `${message}: ${describe(cause)}` : message;
}

const options = command.parse().opts<Arguments>();
if (options.table !== undefined) {
  console.log(formatMarkdown(JSON.parse(await readFile(options.table, "utf8")) as BenchReport));
} else {
  const needsRepository = options.rows.some(isContestRow) && options.smoke === undefined;
  if ((needsRepository && options.repo === undefined) || (options.repo !== undefined && options.smoke))
    command.error("error: give one of --repo <folder>, --smoke and --table <file>");
  if (process.platform !== "linux") command.error("error: the bench reads /proc, which only Linux has");
  await main(options);
}
