/** Each alarm of the deployment, from its cause: bundles run under AWS's runtime client, and their own log lines are the metrics. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DeployedAlarms, MetricData, resourceMetric } from "../support/aws-front/alarm-evaluator.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import type { DeployedFunction } from "../support/aws-front/deployed-function.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { secondCredentialLines } from "../support/aws-front/second-credential-lines.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { ACCOUNT_TOKEN } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();
const MINUTE_MS = 60_000;
/** What is simulated has this time. */
const NOW_MS = 1_000 * MINUTE_MS;
const SYNC_ENDED = /"event":"(sync:(published|unchanged|current)|queue:job-failed)"/;
const ANSWERED = /"event":"(git-http:answered|git-http:answer-failed|http:failed|http:response-cut)"/;
const ROUND_ENDED = /"event":"reconcile:round"/;
const UUID = stableUuid("repository", "acme/sample");

describe.skipIf(runtimeClient === undefined)("alarms", () => {
  let alarms: DeployedAlarms;
  const seen = new Set<string>();
  let folder: TemporaryFolder;
  let primary: string;
  let bitbucket: FakeBitbucket;
  let front: AwsFront;
  let sync: DeployedFunction;
  let reconcile: DeployedFunction;
  let failsPacks = false;
  let cloneCount = 0;

  beforeAll(async () => {
    folder = await temporaryFolder();
    primary = join(folder.path, "primary", "acme", "sample.git");
    await mkdir(join(folder.path, "primary", "acme"), { recursive: true });
    await makeSampleRepository(primary);
    bitbucket = await startFakeBitbucket({
      repositoriesFolder: join(folder.path, "primary"),
      accounts: {
        callers: [{ name: "bot", token: ACCOUNT_TOKEN, rights: { acme: "read" } }],
        repositories: { "acme/sample": { public: true } },
      },
    });
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      settings: { gitUrl: bitbucket.gitUrl, apiUrl: bitbucket.apiUrl, deployment: { metrics: "all" } },
      interceptS3(request, response) {
        if (!failsPacks || !request.url?.includes("/objects/pack/")) return false;
        response.writeHead(403).end();
        return true;
      },
    });
    alarms = new DeployedAlarms(front.service);
    [sync, reconcile] = [front.function("sync"), front.function("reconcile")];
    await pushed();
    expect(await work()).toContain('"event":"sync:published"');
  });

  afterAll(async () => {
    await Promise.all([front.close(), bitbucket.close()]);
    await folder.remove();
  });

  beforeEach(() => {
    bitbucket.controls.behave();
    failsPacks = false;
  });

  /** @returns The lines that functions wrote meanwhile, up to one with this event: they arrive after the answer. */
  async function logOf(from: { log(): string }, last: RegExp, run: () => Promise<unknown>): Promise<string> {
    const before = new Set(from.log().split("\n"));
    await run();
    const added = () =>
      from
        .log()
        .split("\n")
        .filter((line) => !before.has(line))
        .join("\n");
    for (let tries = 0; !last.test(added()); tries++) {
      if (tries > 600) throw new Error(`no line matches ${last}: ${added()}`);
      await sleep(100);
    }
    return `${added()}\n`;
  }

  function work({ reason = "push", agoMinutes = 0 } = {}): Promise<string> {
    const queuedAt = new Date(Date.now() - agoMinutes * MINUTE_MS).toISOString();
    return logOf(sync, SYNC_ENDED, () =>
      sync.invoke(message({ kind: "repository", workspace: "acme", uuid: UUID, reason, queuedAt })),
    );
  }

  function message(job: unknown): unknown {
    const attributes = { ApproximateReceiveCount: "1", MessageGroupId: "sample" };
    const body = JSON.stringify(job);
    return { Records: [{ messageId: "m1", receiptHandle: "r1", body, attributes, eventSource: "aws:sqs" }] };
  }

  async function pushed(): Promise<void> {
    const tree = await git(["rev-parse", "main^{tree}"], { cwd: primary });
    const id = await git(["commit-tree", tree, "-p", "main", "-m", String(Math.random())], { cwd: primary });
    await git(["update-ref", "refs/heads/main", id], { cwd: primary });
  }

  const cloned = () =>
    logOf(front, ANSWERED, async () => {
      const target = join(folder.path, `clone-${cloneCount++}`);
      await tryGit(["clone", "--quiet", "--bare", "--depth", "2", `${front.url}/acme/sample.git`, target]);
    });

  const repeated = async (count: number, run: () => Promise<string>): Promise<string> => {
    let log = "";
    for (let index = 0; index < count; index++) log += await run();
    return log;
  };

  /** The same log in each five minutes of the last half hour, beside rounds of reconcile. */
  async function lasting(log: string): Promise<MetricData> {
    const data = new MetricData();
    const round = await logOf(reconcile, ROUND_ENDED, () => reconcile.invoke({}));
    for (let minutes = 1; minutes < 30; minutes += 5) {
      data.addLog(log, NOW_MS - minutes * MINUTE_MS);
      data.addLog(round, NOW_MS - minutes * MINUTE_MS);
    }
    return data;
  }

  function expectFiring(data: MetricData, ...names: string[]): void {
    expect(alarms.firing(data, NOW_MS).sort()).toEqual([...names].sort());
    for (const name of names) seen.add(name);
  }

  test("the primary fails, or limits the rate", async () => {
    bitbucket.controls.misbehave({ failWithStatus: 500 });
    expectFiring(await lastingWithRounds(await repeated(10, work)), "primary-errors");
    bitbucket.controls.misbehave({ rateLimitedForSeconds: 1, appliesTo: "git" });
    const limited = await repeated(10, work);
    expectFiring(await lastingWithRounds(limited), "primary-rate-limits");
  });

  test("many jobs fail", async () => {
    const failure = () => logOf(sync, /"event":"queue:job-failed"/, () => sync.invoke(message("not a job")));
    expectFiring(await lasting(await repeated(31, failure)), "job-failures");
  });

  test("pushes arrive late", async () => {
    await pushed();
    expectFiring(await lasting(await work({ agoMinutes: 20 })), "sync-lag");
  });

  test("no round of reconcile succeeds, or none runs", async () => {
    expectFiring(new MetricData(), "reconcile");
    bitbucket.controls.misbehave({ down: true, appliesTo: "rest" });
    const data = new MetricData();
    data.addLog(
      await logOf(reconcile, ROUND_ENDED, () => reconcile.invoke({ mode: "list" })),
      NOW_MS - MINUTE_MS,
    );
    expect(alarms.firing(data, NOW_MS)).toContain("reconcile");
  });

  test("an account's token ends within 30 days", async () => {
    const name = "/nearside/accounts/bot";
    const account = front.secrets.parameters.get(name) ?? "";
    const endingIn = async (days: number): Promise<string[]> => {
      const expires = new Date(Date.now() + days * 24 * 60 * MINUTE_MS).toISOString().slice(0, 10);
      front.secrets.parameters.set(name, JSON.stringify({ ...JSON.parse(account), expires }));
      return alarms.firing(await lasting(""), NOW_MS);
    };
    expect(await endingIn(40)).toEqual([]);
    expect(await endingIn(29)).toEqual(["token-ends"]);
    seen.add("token-ends");
    front.secrets.parameters.set(name, account);
  });

  test("Bitbucket rejects the first of an account's two tokens: syncs use the second", async () => {
    const name = "/nearside/accounts/bot";
    const account = front.secrets.parameters.get(name) ?? "";
    const rejected = { email: "bot@example.com", token: "of-last-year" };
    front.secrets.parameters.set(name, JSON.stringify([rejected, JSON.parse(account)]));
    await pushed();
    const log = await work();
    front.secrets.parameters.set(name, account);
    expect(log).toContain('"event":"sync:published"');
    expect(log).toContain('"event":"account:second-credential"');
    const data = await lasting("");
    for (const { line, minute } of await secondCredentialLines(6 * 60))
      data.addLog(line, NOW_MS - (6 * 60 - minute) * MINUTE_MS);
    for (let minutes = 5 * 60; minutes > 0; minutes -= 30)
      expect(alarms.firing(data, NOW_MS - minutes * MINUTE_MS)).toContain("token-ends");
    expectFiring(data, "token-ends");
  });

  test("the store gives no packs", async () => {
    await pushed();
    await work();
    failsPacks = true;
    const log = await repeated(6, cloned);
    failsPacks = false;
    expectFiring(await lasting(log), "answer-failures");
  });

  test("a stored file is damaged", async () => {
    const { store } = front;
    for await (const { key } of store.list(`repos/${UUID}/objects/pack/`))
      if (key.endsWith(".idx")) await store.write(key, new TextEncoder().encode("no index"));
    await pushed();
    expectFiring(await lasting(await work()), "damaged-blobs");
  });

  test.each([
    ["sync", "SyncQueue", "sync-dead-letters", "sync-queue-age"],
    ["lfsSync", "LfsQueue", "lfs-dead-letters", "lfs-queue-age"],
    ["relay", "RelayQueue", "relay-dead-letters", "relay-queue-age"],
  ] as const)(
    "a job of %s that always fails is a dead letter, and one that waits is old",
    async (name, queue, deadLetters, age) => {
      const consumer = front.function(name);
      const failed = { batchItemFailures: [{ itemIdentifier: "m1" }] };
      for (let tries = alarms.maxReceiveCount(queue); tries > 0; tries--)
        expect(await consumer.invoke(message("not a job"))).toEqual(failed);
      const data = await lasting("");
      const metric = "ApproximateNumberOfMessagesVisible";
      const dead = alarms.logicalId("AWS::SQS::Queue", `${queue}DeadLetterQueue`);
      data.add(resourceMetric("AWS/SQS", metric, dead), 1, NOW_MS - MINUTE_MS);
      expectFiring(data, deadLetters);
      const old = await lasting("");
      const id = alarms.logicalId("AWS::SQS::Queue", queue);
      for (const minutes of [1, 6])
        old.add(
          resourceMetric("AWS/SQS", "ApproximateAgeOfOldestMessage", id),
          22_000,
          NOW_MS - minutes * MINUTE_MS,
        );
      expectFiring(old, age);
    },
  );

  test("functions fail, and the authorizer with them, or are throttled", async () => {
    // What is no request makes it throw: its answer ends before it began, or does not begin.
    await expect(front.function("webhook").invoke({})).rejects.toThrow(/end of JSON|no response/);
    const data = await lasting("");
    const errors = alarms.logicalId("AWS::Lambda::Function", "WebhookFunction");
    for (let minutes = 1; minutes <= 10; minutes++)
      data.add(resourceMetric("AWS/Lambda", "Errors", errors), 1, NOW_MS - minutes * MINUTE_MS);
    expectFiring(data, "function-errors");
    const refused = await lasting("");
    for (let count = 0; count < 5; count++)
      alarms.addAccess({ status: "503", errorType: "AUTHORIZER_FAILURE" }, refused, NOW_MS - MINUTE_MS);
    alarms.addAccess({ status: "401", errorType: "UNAUTHORIZED" }, refused, NOW_MS - MINUTE_MS);
    expectFiring(refused, "authorizer-failures");
    const throttled = await lasting("");
    const throttles = alarms.logicalId("AWS::Lambda::Function", "GitHttpFunction");
    throttled.add(resourceMetric("AWS/Lambda", "Throttles", throttles), 12, NOW_MS - MINUTE_MS);
    expectFiring(throttled, "throttles");
    const overStage = await lasting("");
    for (let count = 0; count < 20; count++)
      alarms.addAccess({ status: "429", errorType: "THROTTLED" }, overStage, NOW_MS - MINUTE_MS);
    expectFiring(overStage, "api-throttles");
  });

  test("no alarm was left out", () => {
    expect([...seen].sort()).toEqual(alarms.names().sort());
  });

  /** Rounds are taken while the primary answers. */
  async function lastingWithRounds(log: string): Promise<MetricData> {
    bitbucket.controls.behave();
    return lasting(log);
  }
});
