/**
 * No alarm fires in an hour of ordinary work: 20 repositories, and each minute 5 pushes, 10 clones and one 500 of the primary. Four minutes'
 * work is done, by git, webhooks and queues through the deployment; the hour consists of these four, over and over.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FunctionName } from "../../infra/bundle.ts";
import { DeployedAlarms, MetricData, resourceMetric } from "../support/aws-front/alarm-evaluator.ts";
import { type DeployedAcme, QUEUES, startDeployedAcme } from "../support/aws-front/deployed-acme.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { git } from "../support/git/run-git.ts";
import { addCommit, makeEmptyRepository } from "../support/primary.ts";

const runtimeClient = findRuntimeClient();
const MINUTE_MS = 60_000;
const NOW_MS = 1_000 * MINUTE_MS;
const REPOSITORIES = 20;
const PUSHES_A_MINUTE = 5;
const CLONES_A_MINUTE = 10;
/** In which each repository gets a push and two clones. */
const REAL_MINUTES = REPOSITORIES / PUSHES_A_MINUTE;
const CLIENTS = 2;

interface MinuteOfWork {
  readonly log: string;
  /** How long its jobs took: none waited longer in a queue. */
  readonly seconds: number;
  readonly accessLog: DeployedAcme["front"]["api"]["accessLog"];
  /** Lambda's own, by metric. */
  readonly lambda: ReadonlyMap<string, number>;
  /** Messages of each dead-letter queue at its end, by metric. */
  readonly deadLetters: ReadonlyMap<string, number>;
}

describe.skipIf(runtimeClient === undefined)("an hour of work", () => {
  let acme: DeployedAcme;
  let alarms: DeployedAlarms;
  let folder: string;
  const slugs = Array.from({ length: REPOSITORIES }, (_, index) => `project-${index}`);

  beforeAll(async () => {
    acme = await startDeployedAcme({
      runtimeClient: runtimeClient ?? "",
      settings: { deployment: { metrics: "all" } },
      maxEnvironments: CLIENTS,
      async make(sample) {
        folder = join(sample, "..");
        await Promise.all(slugs.map((slug) => makeEmptyRepository(join(folder, `${slug}.git`))));
        for (const slug of slugs) await pushed(slug, "first");
      },
    });
    alarms = new DeployedAlarms(acme.front.service);
    await acme.front.function("reconcile").invokeAsync({});
    await acme.settled();
  });

  afterAll(() => acme.close());

  const pushed = (slug: string, content: string) =>
    addCommit(join(folder, `${slug}.git`), "main", "file.txt", content);

  async function clone(slug: string, commit: string): Promise<void> {
    const target = acme.primary.newPath();
    const url = `${acme.front.url}/acme/${slug}.git`;
    await git([...acme.credentials.options, "clone", "--quiet", "--bare", url, target]);
    expect(await git(["rev-parse", "main"], { cwd: target })).toBe(commit);
  }

  /** @returns The entries from `from` on, round and round. */
  function turn<T>(entries: readonly T[], from: number, count: number): T[] {
    return Array.from({ length: count }, (_, index) => entries[(from + index) % entries.length] as T);
  }

  /** @returns The whole lines that functions write from now on. */
  function logFromHere(): () => string {
    const { front } = acme;
    const logs = () =>
      Object.keys(front.counts()).map((name) => [name, front.function(name as FunctionName).log()] as const);
    const before = new Map(logs().map(([name, log]) => [name, log.length]));
    return () =>
      logs()
        .map(([name, log]) => log.slice(before.get(name) ?? 0, log.lastIndexOf("\n") + 1))
        .join("");
  }

  async function work(minute: number): Promise<MinuteOfWork> {
    const { front, primary } = acme;
    const log = logFromHere();
    const before = { access: front.api.accessLog.length, lambda: lambdaCounts() };
    const startedMs = performance.now();
    primary.fake.controls.misbehave({ failWithStatus: 500, appliesTo: "git", requestsLeft: 1 });
    for (const slug of turn(slugs, minute * PUSHES_A_MINUTE, PUSHES_A_MINUTE)) {
      await pushed(slug, `of minute ${minute}`);
      await primary.fake.lifecycle.pushed({ workspace: "acme", slug });
    }
    await acme.settled();
    const seconds = (performance.now() - startedMs) / 1000;
    primary.fake.controls.behave();
    const cloned = turn(slugs, minute * CLONES_A_MINUTE, CLONES_A_MINUTE);
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        for (let slug = cloned.pop(); slug !== undefined; slug = cloned.pop())
          await clone(slug, await git(["rev-parse", "main"], { cwd: join(folder, `${slug}.git`) }));
      }),
    );
    // Lines arrive after the answer.
    await expect.poll(() => countOf("git-http:answered", log())).toBe(CLONES_A_MINUTE);
    await expect.poll(() => countOf("sync:published", log())).toBe(PUSHES_A_MINUTE);
    const lambda = [...lambdaCounts()].map(
      ([key, count]) => [key, count - (before.lambda.get(key) ?? 0)] as const,
    );
    return {
      ...{ log: log(), seconds, lambda: new Map(lambda), deadLetters: await deadLetters() },
      accessLog: front.api.accessLog.slice(before.access),
    };
  }

  function lambdaCounts(): Map<string, number> {
    const counts = Object.entries(acme.front.counts()).flatMap(([name, { failed, throttled }]) => {
      const idStart = `${name.charAt(0).toUpperCase()}${name.slice(1)}Function`;
      const id = alarms.logicalId("AWS::Lambda::Function", idStart);
      return [
        [resourceMetric("AWS/Lambda", "Errors", id), failed],
        [resourceMetric("AWS/Lambda", "Throttles", id), throttled],
      ] as const;
    });
    return new Map(counts);
  }

  async function deadLetters(): Promise<Map<string, number>> {
    const counts = QUEUES.map(async (name) => {
      const id = alarms.logicalId("AWS::SQS::Queue", `${name}DeadLetterQueue`);
      const count = await acme.front.queues.count(`${name}DeadLetterQueue`);
      return [resourceMetric("AWS/SQS", "ApproximateNumberOfMessagesVisible", id), count] as const;
    });
    return new Map(await Promise.all(counts));
  }

  function addMinute(
    { log, seconds, accessLog, lambda, deadLetters: dead }: MinuteOfWork,
    data: MetricData,
    atMs: number,
  ): void {
    data.addLog(log, atMs);
    for (const [key, count] of [...lambda, ...dead]) data.add(key, count, atMs);
    for (const { status, errorType } of accessLog)
      alarms.addAccess({ status: String(status), ...(errorType && { errorType }) }, data, atMs);
    for (const queue of QUEUES) {
      const id = alarms.logicalId("AWS::SQS::Queue", queue);
      data.add(resourceMetric("AWS/SQS", "ApproximateAgeOfOldestMessage", id), seconds, atMs);
    }
  }

  test("none fires", async () => {
    const minutes: MinuteOfWork[] = [];
    for (let minute = 0; minute < REAL_MINUTES; minute++) minutes.push(await work(minute));
    const round = logFromHere();
    await acme.front.function("reconcile").invokeAsync({});
    await expect.poll(() => countOf("reconcile:round", round())).toBe(1);
    const data = new MetricData();
    // With what the longest periods look back on.
    for (let at = NOW_MS - 90 * MINUTE_MS; at < NOW_MS; at += MINUTE_MS) {
      addMinute(minutes[(at / MINUTE_MS) % REAL_MINUTES] as MinuteOfWork, data, at);
      if ((at / MINUTE_MS) % 5 === 0) data.addLog(round(), at);
    }
    const inHour = (metric: string) => data.statistic(metric, "Sum", NOW_MS - 60 * MINUTE_MS, NOW_MS);
    expect(inHour("Nearside/PrimaryErrors")).toBe(60);
    expect(inHour("Nearside/Clones")).toBe(60 * CLONES_A_MINUTE);
    // What is written only when it happens; the access log's filters count nothing here.
    expect(alarms.withoutData(data).toSorted()).toEqual([
      "answer-failures",
      "api-throttles",
      "authorizer-failures",
      "damaged-blobs",
      "job-failures",
      "primary-rate-limits",
      "token-ends",
    ]);
    for (let at = NOW_MS - 60 * MINUTE_MS; at <= NOW_MS; at += MINUTE_MS)
      expect([at, alarms.firing(data, at)]).toEqual([at, []]);
  });
});

function countOf(event: string, log: string): number {
  return log.split(`"event":"${event}"`).length - 1;
}
