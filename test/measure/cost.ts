/**
 * What a deployment costs: `npm run cost`. Counts the store's requests, the seconds and the bytes of pushes and clones in this run, over
 * the S3 test server and real git, and multiplies them with AWS's prices. What is not measured is a constant with its source.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { git } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";
import { syncRig } from "../support/sync-rig.ts";

/** us-east-1, in dollars. Source: AWS's price pages, 2026. */
const PRICE = {
  lambdaGbSecond: 0.0000133334,
  lambdaRequest: 0.2 / 1e6,
  streamedGb: 0.008,
  apiRequest: 3.5 / 1e6,
  s3Write: 0.005 / 1e3,
  s3Read: 0.0004 / 1e3,
  storedGbMonth: 0.023,
  sqsFifoRequest: 0.5 / 1e6,
  egressGb: 0.09,
  logGb: 0.5,
  secretMonth: 0.4,
  alarmMonth: 0.1,
  metricMonth: 0.3,
} as const;

const GB = 1e9;
/** As infra/functions.ts has them. */
const MEMORY_GB = { git: 1769 / 1024, authorizer: 0.5, sync: 3538 / 1024, webhook: 1769 / 1024 } as const;
/** A stream passes 10 MB at once, and the rest at 2 MB/s: the function waits. Source: AWS API Gateway, response streaming. */
const BURST_BYTES = 10e6;
const STREAM_BYTES_PER_SECOND = 2e6;
/** Billed as one API request each. */
const STREAM_BILLING_BYTES = 10e6;
/** Lambda's own free streaming: the first 6 MB of each answer. */
const FREE_STREAM_BYTES = 6e6;
/** Challenge, info/refs, ls-refs, fetch. */
const REQUESTS_PER_CLONE = 4;
/** The primary's answer, most of it. */
const AUTHORIZER_SECONDS = 0.25;
const WEBHOOK_SECONDS = 0.1;
const LOG_BYTES_PER_REQUEST = 1_000;
/** Sent, received and deleted. */
const SQS_REQUESTS_PER_JOB = 3;
/** Lambda asks each queue so often, with nothing in it: five pollers, 20 s each. Source: AWS Lambda, scaling of SQS event sources. */
const IDLE_POLLS_PER_QUEUE = (5 * 30 * 86_400) / 20;
export const IDLE_QUEUES = 3;
const ROUNDS_PER_MONTH = (30 * 86_400) / 300;
const ROUND_SECONDS = 0.5;
const ROUND_READS = 6;
const FREE = { sqsRequests: 1e6, alarms: 10, metrics: 10 } as const;
/** What a deployment has with the default settings. */
const DEFAULT = { alarms: 15, metrics: 20 } as const;

const PUSHES = 8;
const CLONES = 5;

interface Usage {
  readonly reads: number;
  readonly writes: number;
  readonly seconds: number;
  readonly bytes: number;
}

async function main(): Promise<void> {
  await using folder = await temporaryFolder();
  const counted = { reads: 0, writes: 0 };
  await using server = await countingServer(join(folder.path, "s3"), counted);
  const primary = await startPrimary({ make: makeRepository });
  const store = new S3BlobStore({ client: createS3Client(server.s3), bucket: server.s3.bucketName });
  const rig = syncRig(primary, store);
  try {
    await rig.sync();
    const usageOf = async (times: number, run: (index: number) => Promise<number>): Promise<Usage> => {
      Object.assign(counted, { reads: 0, writes: 0 });
      const startedMs = performance.now();
      let bytes = 0;
      for (let index = 0; index < times; index++) bytes += await run(index);
      const seconds = (performance.now() - startedMs) / 1000 / times;
      return { reads: counted.reads / times, writes: counted.writes / times, seconds, bytes: bytes / times };
    };
    const push = await usageOf(PUSHES, async (index) => {
      await primary.commit("main", `pushed-${index}.txt`, `${index}\n`);
      await rig.sync();
      return 0;
    });
    const url = await rig.serve();
    const clone = (options: readonly string[]) => usageOf(CLONES, () => cloneBytes(primary, url, options));
    const shallow = await clone(["--depth", "1"]);
    const full = await clone([]);
    print({ push, shallow, full });
  } finally {
    await rig.close();
    await primary.close();
  }
}

/** 35 MB, of which the last commit has 15. */
async function makeRepository(repository: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const work = `${repository}-work`;
  await mkdir(work);
  await git(["init", "--quiet", "--initial-branch=main", work]);
  for (let index = 0; index < 700; index++) await writeFile(join(work, `file-${index}`), randomBytes(50_000));
  const commit = async (message: string) => {
    await git(["add", "--all"], { cwd: work });
    await git(["commit", "--quiet", "-m", message], { cwd: work });
  };
  await commit("first");
  await git(["rm", "--quiet", ...Array.from({ length: 400 }, (_, index) => `file-${index}`)], { cwd: work });
  await commit("second");
  await git(["push", "--quiet", repository, "main"], { cwd: work });
}

async function cloneBytes(primary: Primary, url: string, options: readonly string[]): Promise<number> {
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", ...options, url, clone]);
  const counts = await git(["count-objects", "-v"], { cwd: clone });
  return Number(/^size-pack: (\d+)$/m.exec(counts)?.[1]) * 1024;
}

async function countingServer(folder: string, counted: { reads: number; writes: number }) {
  const s3 = await startS3Server({
    folder,
    intercept: ({ method, url = "" }) => {
      const isList = method === "GET" && /^\/[^/?]+\/?\?/.test(url);
      // Deletions are free.
      if (method === "PUT" || method === "POST" || isList) counted.writes += 1;
      else if (method === "GET" || method === "HEAD") counted.reads += 1;
      return false;
    },
  });
  return { s3, [Symbol.asyncDispose]: () => s3.close() };
}

function clonePrice({ reads, writes, seconds, bytes }: Usage): Record<string, number> {
  const waitSeconds = Math.max(0, bytes - BURST_BYTES) / STREAM_BYTES_PER_SECOND;
  const gitGbSeconds = Math.max(seconds, waitSeconds) * MEMORY_GB.git;
  const authorizerGbSeconds = (REQUESTS_PER_CLONE - 1) * AUTHORIZER_SECONDS * MEMORY_GB.authorizer;
  const apiRequests = REQUESTS_PER_CLONE - 1 + Math.max(1, Math.ceil(bytes / STREAM_BILLING_BYTES));
  return {
    egress: (bytes / GB) * PRICE.egressGb,
    "functions' seconds": (gitGbSeconds + authorizerGbSeconds) * PRICE.lambdaGbSecond,
    streaming: (Math.max(0, bytes - FREE_STREAM_BYTES) / GB) * PRICE.streamedGb,
    requests: apiRequests * PRICE.apiRequest + 2 * REQUESTS_PER_CLONE * PRICE.lambdaRequest,
    store: reads * PRICE.s3Read + writes * PRICE.s3Write,
    logs: ((REQUESTS_PER_CLONE * LOG_BYTES_PER_REQUEST) / GB) * PRICE.logGb,
  };
}

function pushPrice({ reads, writes, seconds }: Usage): Record<string, number> {
  return {
    "functions' seconds":
      (seconds * MEMORY_GB.sync + WEBHOOK_SECONDS * MEMORY_GB.webhook) * PRICE.lambdaGbSecond,
    store: reads * PRICE.s3Read + writes * PRICE.s3Write,
    requests: PRICE.apiRequest + 2 * PRICE.lambdaRequest + SQS_REQUESTS_PER_JOB * PRICE.sqsFifoRequest,
    logs: ((3 * LOG_BYTES_PER_REQUEST) / GB) * PRICE.logGb,
  };
}

/** Every setting at its default; nothing stored. */
export function idleMonthPrice(alarms: number = FREE.alarms): Record<string, number> {
  const polls = Math.max(0, IDLE_QUEUES * IDLE_POLLS_PER_QUEUE - FREE.sqsRequests);
  return {
    "the queues' polls": polls * PRICE.sqsFifoRequest,
    "the authorizer's secret": PRICE.secretMonth,
    "rounds of reconcile":
      ROUNDS_PER_MONTH *
      (ROUND_SECONDS * MEMORY_GB.git * PRICE.lambdaGbSecond +
        PRICE.lambdaRequest +
        ROUND_READS * PRICE.s3Read +
        (LOG_BYTES_PER_REQUEST / GB) * PRICE.logGb),
    alarms: Math.max(0, alarms - FREE.alarms) * PRICE.alarmMonth,
  };
}

const COMPANIES = {
  small: { shallow: 2_000, full: 200, pushes: 2_000, storedGb: 5 },
  medium: { shallow: 50_000, full: 2_000, pushes: 20_000, storedGb: 50 },
  large: { shallow: 1_000_000, full: 20_000, pushes: 200_000, storedGb: 500 },
} as const;

function total(lines: Readonly<Record<string, number>>): number {
  return Object.values(lines).reduce((sum, one) => sum + one, 0);
}

const dollars = (amount: number) => `$${amount.toFixed(2)}`;

function billLines(lines: Readonly<Record<string, number>>, times: number): string {
  return Object.entries(lines)
    .filter(([, price]) => price * times >= 0.005)
    .map(([name, price]) => `${name} ${dollars(price * times)}`)
    .join(", ");
}

function print({ push, shallow, full }: Readonly<Record<"push" | "shallow" | "full", Usage>>): void {
  const usage = ({ reads, writes, seconds, bytes }: Usage) =>
    `${writes.toFixed(1)} writes and ${reads.toFixed(1)} reads of the store, ${seconds.toFixed(2)} s, ${(bytes / 1e6).toFixed(1)} MB`;
  const rows: readonly (readonly [string, number, Readonly<Record<string, number>>, string])[] = [
    ["1,000 clones with `--depth 1`", 1_000, clonePrice(shallow), usage(shallow)],
    ["1,000 full clones", 1_000, clonePrice(full), usage(full)],
    ["10,000 pushes", 10_000, pushPrice(push), usage(push)],
    ["a stored GB, a month", 1, { storage: PRICE.storedGbMonth }, ""],
    [`an idle month, the default's ${DEFAULT.alarms} alarms`, 1, idleMonthPrice(DEFAULT.alarms), ""],
    [
      `the default's ${DEFAULT.metrics} metrics, if all are written in every hour of a month`,
      1,
      { metrics: (DEFAULT.metrics - FREE.metrics) * PRICE.metricMonth },
      "",
    ],
  ];
  const table = [
    "| what | costs | of it | measured for one |",
    "| --- | --- | --- | --- |",
    ...rows.map(
      ([what, times, lines, measured]) =>
        `| ${what} | ${dollars(total(lines) * times)} | ${billLines(lines, times)} | ${measured} |`,
    ),
    "",
    "| company, a month | clones with `--depth 1` | full clones | pushes | stored | costs |",
    "| --- | --- | --- | --- | --- | --- |",
    ...Object.entries(COMPANIES).map(([name, company]) => {
      const month =
        company.shallow * total(clonePrice(shallow)) +
        company.full * total(clonePrice(full)) +
        company.pushes * total(pushPrice(push)) +
        company.storedGb * PRICE.storedGbMonth +
        total(idleMonthPrice());
      const { shallow: s, full: f, pushes, storedGb } = company;
      return `| ${name} | ${s.toLocaleString("en")} | ${f.toLocaleString("en")} | ${pushes.toLocaleString("en")} | ${storedGb} GB | ${dollars(month)} |`;
    }),
  ];
  process.stdout.write(`${table.join("\n")}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
