/** `nearside dead-letters` */
import { Command, InvalidArgumentError } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import type { DeadLetter, DeadLetters } from "../../lib/queue/job-queue.ts";
import { KeptDeadLetters } from "../../lib/queue/kept-messages.ts";
import { SqsDeadLetters, SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { LOCAL_QUEUES, StoredMessages } from "../local/stored-messages.ts";
import { deadLetterSubject } from "../wiring/dead-letters.ts";
import {
  parseUrlArgument,
  print,
  type StoreOptions,
  sqsOf,
  storeOf,
  storeOptions,
} from "./command-options.ts";
import { printJson } from "./print-json.ts";
import { counted } from "./table.ts";

interface LetterOptions extends StoreOptions {
  readonly deadLetterQueueUrl?: string;
  readonly queueUrl?: string;
  readonly max: number;
  readonly json?: true;
}

const EXPLANATION = `
A sync, or a relay to one receiver, that has failed five times is kept here until it is replayed: see nearside status --failed
and nearside relay list for the cause. A mirror in one process keeps its dead letters in the store; replayed ones run with its next
round, or when it starts. Those of a deployed mirror are in queues: name them by --dead-letter-queue-url.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function configure(command: Command): void {
  const both = (name: string, description: string) =>
    storeOptions(new Command(name).description(description))
      .option(
        "--dead-letter-queue-url <url>",
        "of a deployed mirror, as the deployment prints it: DeadLetterQueueUrl, RelayDeadLetterQueueUrl or LfsDeadLetterQueueUrl",
        parseUrlArgument,
      )
      .option("--max <number>", "how many at most", parseCount, 1000)
      .addHelpText("after", EXPLANATION);
  command
    .addCommand(both("list", "list them").option("--json", "print JSON").action(list))
    .addCommand(
      both("replay", "send them to the queue again")
        .option(
          "--queue-url <url>",
          "of a deployed mirror: SyncQueueUrl, RelayQueueUrl or LfsQueueUrl",
          parseUrlArgument,
        )
        .action(replay),
    );
}

async function list(options: LetterOptions): Promise<void> {
  const letters: DeadLetter[] = [];
  for (const place of placesOf(options, options.deadLetterQueueUrl))
    letters.push(...(await place.list(options.max - letters.length)));
  if (options.json) {
    printJson("dead-letters", letters);
    return;
  }
  for (const letter of letters) print(deadLetterSubject(letter.body).text);
  print(`${counted(letters.length, "dead letter")}${whereOf(options)}.`);
}

async function replay(options: LetterOptions): Promise<void> {
  const { queueUrl, deadLetterQueueUrl, max } = options;
  if ((queueUrl === undefined) !== (deadLetterQueueUrl === undefined))
    throw new ConfigError("--queue-url and --dead-letter-queue-url belong together: give both");
  if (queueUrl !== undefined && queueUrl === deadLetterQueueUrl)
    throw new ConfigError("--queue-url must be the queue of jobs, not that of dead letters");
  let count = 0;
  for (const place of placesOf(options, queueUrl)) count += await place.replay(max - count);
  print(`Sent ${counted(count, "dead letter")} to the queue again.`);
}

function placesOf(options: LetterOptions, queueUrl: string | undefined): DeadLetters[] {
  const { deadLetterQueueUrl } = options;
  if (deadLetterQueueUrl === undefined || queueUrl === undefined) {
    const store = storeOf(options);
    return LOCAL_QUEUES.map((name) => new KeptDeadLetters(new StoredMessages(store, name)));
  }
  const client = sqsOf(queueUrl);
  return [new SqsDeadLetters(client, deadLetterQueueUrl, new SqsJobQueue(client, queueUrl))];
}

function whereOf({ deadLetterQueueUrl, store }: LetterOptions): string {
  const isAmbiguous = deadLetterQueueUrl === undefined && store.startsWith("s3://");
  return isAmbiguous ? " in the store; for those of a deployed mirror give --dead-letter-queue-url" : "";
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number from 1 to 999999.");
}
