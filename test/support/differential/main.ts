/** The differential test on demand: `npm run differential`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { describeDifference, summarize } from "./report.ts";
import { prepareRepository } from "./run-repository.ts";
import { REQUESTS_AFTER_PUSH } from "./run-seed.ts";
import { runSeeds, type SeedsProgress } from "./run-seeds.ts";

interface Arguments {
  readonly seed?: number;
  readonly from: number;
  readonly seeds?: number;
  readonly seconds?: number;
  readonly repo?: string;
  readonly requests?: number;
}

const DEFAULT_SEEDS = 200;
const MAX_DIFFERENCES = 20;

const EXPLANATION = `
Makes random repositories, lets a mirror follow random pushes to them, and sends the same random requests to the mirror
and to git upload-pack. What comes back must make equal clients.

Examples:
  npm run differential -- --seeds 1000
  npm run differential -- --seconds 600 --from 5000
  npm run differential -- --seeds 2000 --requests 20
  npm run differential -- --repo ../git.git --seconds 300
  npm run differential -- --seed 17           replay one; the repository is kept if it differs

Exit codes: 0 no difference; 1 differences; 2 wrong arguments.`;

function parseArguments(argv: readonly string[]): Arguments {
  return new Command("differential")
    .description("Compares the mirror's answers with git's, for random repositories and requests.")
    .option("--seed <number>", "replay one seed", parseCount)
    .option("--from <number>", "the first seed", parseCount, 1)
    .option(
      "--seeds <number>",
      `how many seeds (default: ${DEFAULT_SEEDS}, or what --seconds allows)`,
      parseCount,
    )
    .option("--seconds <number>", "end with the seed that runs after so long", parseCount)
    .option("--repo <folder>", "requests on this repository instead of random ones")
    .option(
      "--requests <number>",
      `after each push to a random repository (default: ${REQUESTS_AFTER_PUSH}): more of them ask more in the same time`,
      parseCount,
    )
    .addHelpText("after", EXPLANATION)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv, { from: "user" })
    .opts<Arguments>();
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 0) throw new InvalidArgumentError("Expected a whole number.");
  return count;
}

function* seedsOf(
  { seed, from, seeds, seconds }: Arguments,
  startedMs: number,
): Generator<number, void, undefined> {
  if (seed !== undefined) {
    yield seed;
    return;
  }
  const count = seeds ?? (seconds === undefined ? DEFAULT_SEEDS : Number.POSITIVE_INFINITY);
  for (let i = 0; i < count; i++) {
    if (seconds !== undefined && Date.now() - startedMs > seconds * 1000) return;
    yield from + i;
  }
}

async function main(options: Arguments): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "nearside-differential-"));
  const startedMs = Date.now();
  const describe = ({ seedCount, totals, differences }: SeedsProgress): string =>
    `${seedCount} seeds, ${summarize(totals, startedMs)}, ${differences.length} differences`;
  const run = options.repo === undefined ? undefined : await prepareRepository(options.repo, folder);
  const progress = await runSeeds({
    ...(run === undefined ? {} : { run }),
    seeds: seedsOf(options, startedMs),
    ...(options.requests === undefined ? {} : { requestsAfterPush: options.requests }),
    folder,
    onSeed: (now, found) => {
      for (const difference of found) process.stdout.write(`${describeDifference(difference, options)}\n`);
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${describe(now)}`);
      else if (now.seedCount % 100 === 0) process.stderr.write(`${describe(now)}\n`);
      return now.differences.length < MAX_DIFFERENCES;
    },
  });
  process.stdout.write(`${process.stderr.isTTY ? "\n" : ""}${describe(progress)}\n`);
  if (progress.differences.length === 0) await rm(folder, { recursive: true });
  else process.stdout.write(`repositories of these seeds: ${folder}\n`);
  return progress.differences.length === 0 ? 0 : 1;
}

process.exitCode = await main(parseArguments(process.argv.slice(2)));
