/** `nearside dead-letters` */
import { Command, InvalidArgumentError } from "commander";
import { ConfigError, ProtocolError } from "../../lib/errors.ts";
import { parseSyncJob } from "../../lib/mirror/sync-job.ts";
import type { DeadLetter } from "../../lib/queue/job-queue.ts";
import { SqsDeadLetters, SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { print, sqsOf } from "./command-options.ts";

interface LetterOptions {
  readonly deadLetterQueueUrl: string;
  readonly queueUrl?: string;
  readonly max: number;
  readonly json?: true;
}

const EXPLANATION = `
A job that has failed five times waits here until somebody has seen to the cause: see nearside status --failed. A mirror in one process
keeps none: it tries again with each round, and nearside sync does so at once.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function deadLettersCommand(): Command {
  const both = (name: string, description: string) =>
    new Command(name)
      .description(description)
      .requiredOption("--dead-letter-queue-url <url>", "as the deployment prints it: DeadLetterQueueUrl")
      .option("--max <number>", "how many at most", parseCount, 1000)
      .addHelpText("after", EXPLANATION);
  return new Command("dead-letters")
    .description("lists or replays the jobs that a deployed mirror has given up")
    .addCommand(both("list", "shows them, and changes nothing").option("--json", "print JSON").action(list))
    .addCommand(
      both("replay", "puts them back into the queue")
        .requiredOption("--queue-url <url>", "as the deployment prints it: SyncQueueUrl")
        .action(replay),
    );
}

async function list(options: LetterOptions): Promise<void> {
  const letters = await lettersOf(options, options.deadLetterQueueUrl).list(options.max);
  if (options.json) {
    print(JSON.stringify(letters, undefined, 2));
    return;
  }
  for (const letter of letters) print(describe(letter));
  print(`${letters.length} dead letters.`);
}

async function replay(options: LetterOptions): Promise<void> {
  const { queueUrl, deadLetterQueueUrl, max } = options;
  if (queueUrl === undefined || queueUrl === deadLetterQueueUrl)
    throw new ConfigError("--queue-url must be the queue of jobs, not that of dead letters");
  print(`${await lettersOf(options, queueUrl).replay(max)} dead letters are in the queue again.`);
}

function lettersOf({ deadLetterQueueUrl }: LetterOptions, queueUrl: string): SqsDeadLetters {
  const client = sqsOf(queueUrl);
  return new SqsDeadLetters({ client, deadLetterQueueUrl, queue: new SqsJobQueue(client, queueUrl) });
}

function describe({ body }: DeadLetter): string {
  try {
    const job = parseSyncJob(body);
    if (job.kind === "workspace") return `${job.workspace} (all of it), ${job.reason}, of ${job.queuedAt}`;
    return `${job.workspace}/${job.facts?.slug ?? job.uuid}, ${job.reason}, of ${job.queuedAt}`;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return `not a job of this mirror: ${JSON.stringify(body.slice(0, 200))}`;
  }
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number from 1 to 999999.");
}
