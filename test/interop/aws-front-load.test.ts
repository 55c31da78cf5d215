/**
 * Many clients at once through the model of AWS: processes that start cold, more requests than processes, and what is refused. The figures
 * are what CI's machine bears; NEARSIDE_FRONT_LOAD=whole takes 200 clones by 40 clients over 20 processes a function, and 100 waits.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { AwsFrontOptions } from "../support/aws-front/aws-front.ts";
import { type DeployedAcme, QUEUES, startDeployedAcme } from "../support/aws-front/deployed-acme.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { refsOf } from "../support/primary.ts";

const runtimeClient = findRuntimeClient();
const isWhole = process.env["NEARSIDE_FRONT_LOAD"] === "whole";
const LOAD = isWhole
  ? { clones: 200, clients: 40, environments: 20, waits: 100, stampede: 200, reserved: 5 }
  : { clones: 30, clients: 10, environments: 4, waits: 8, stampede: 20, reserved: 2 };
/** Of a function at a time: the rest of what runs here is clients, the primary and S3. */
const EXECUTING = availableParallelism();
const TIMEOUT_MS = isWhole ? 1_800_000 : 240_000;

/** Requests by one address, and so many at once, are not what is tested here. */
const COMMON = { anonymousPerMinute: 1_000_000, wrongCredentialsPerMinute: 1_000_000 };

describe.skipIf(runtimeClient === undefined)("many at once", { timeout: TIMEOUT_MS }, () => {
  let acme: DeployedAcme | undefined;
  afterEach(async () => {
    await acme?.close();
    acme = undefined;
  });

  async function mirrored(
    deployment: object,
    limits: Pick<AwsFrontOptions, "maxEnvironments" | "maxExecuting"> = {},
  ): Promise<DeployedAcme> {
    acme = await startDeployedAcme({
      ...{ runtimeClient: runtimeClient ?? "", settings: { ...COMMON, deployment } },
      ...limits,
    });
    await acme.front.function("reconcile").invokeAsync({});
    await acme.settled();
    return acme;
  }

  /** @returns What each clone said; `undefined`: it is whole. */
  async function cloneAll({ primary, credentials, url }: DeployedAcme): Promise<(string | undefined)[]> {
    const main = await git(["rev-parse", "main"], { cwd: primary.repository });
    const results: (string | undefined)[] = [];
    let next = 0;
    async function client(): Promise<void> {
      while (next < LOAD.clones) {
        const target = join(primary.folder, `shallow-${next++}`);
        const { exitCode, stderr } = await tryGit([
          ...[...credentials.options, "clone", "--quiet", "--bare", "--depth", "1", url, target],
        ]);
        if (exitCode === 0) expect(await git(["rev-parse", "main"], { cwd: target })).toBe(main);
        results.push(exitCode === 0 ? undefined : stderr);
      }
    }
    await Promise.all(Array.from({ length: LOAD.clients }, client));
    return results;
  }

  async function expectNothingDead({ front }: DeployedAcme): Promise<void> {
    for (const name of QUEUES) expect(await front.queues.count(`${name}DeadLetterQueue`)).toBe(0);
    expect(front.policies.denied).toEqual([]);
  }

  test(`${LOAD.clones} shallow clones by ${LOAD.clients} clients, ${LOAD.environments} processes a function, all cold at first`, async () => {
    const deployed = await mirrored({}, { maxEnvironments: LOAD.environments, maxExecuting: EXECUTING });
    const startedMs = performance.now();
    const failures = (await cloneAll(deployed)).filter((text) => text !== undefined);
    const { gitHttp, authorizer } = deployed.front.counts();
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    report({ seconds, gitHttp, authorizer, failures, ends: endsOf(deployed) });
    expect(failures).toEqual([]);
    expect(gitHttp).toMatchObject({ cold: LOAD.environments, throttled: 0, failed: 0 });
    expect(authorizer).toMatchObject({ cold: LOAD.environments, throttled: 0 });
    expect(gitHttp?.queued).toBeGreaterThan(0);
    await expectNothingDead(deployed);
  });

  test("with as few processes reserved, the rest is refused with 429 and a line for git's user, and nothing is half sent", async () => {
    const deployed = await mirrored({ gitConcurrency: LOAD.reserved }, { maxExecuting: EXECUTING });
    const results = await cloneAll(deployed);
    const refused = results.filter((text) => text !== undefined);
    const { gitHttp } = deployed.front.counts();
    report({
      refused: refused.length,
      of: results.length,
      gitHttp,
      texts: [...new Set(refused)],
      ends: endsOf(deployed),
    });
    expect(refused.length).toBeGreaterThan(0);
    for (const text of refused) expect(text).toMatch(/returned error: 429/);
    expect(gitHttp).toMatchObject({ cold: LOAD.reserved, mostAtOnce: LOAD.reserved, failed: 0 });
    for (const { status } of deployed.front.api.accessLog) expect([200, 202, 401, 429]).toContain(status);
    await expectNothingDead(deployed);
  });

  test(`a webhook is answered and its sync runs while ${LOAD.waits} requests wait`, async () => {
    const deployed = await mirrored({ statusConcurrency: LOAD.waits });
    const { primary, front } = deployed;
    const waits = Array.from({ length: LOAD.waits }, () =>
      deployed
        .ask(`/-/repositories/acme/sample/wait?id=${"0".repeat(40)}&timeout=240`)
        .catch(() => undefined),
    );
    while (front.function("status").running < LOAD.waits) await pause(100);
    // One more is refused.
    const more = await deployed.ask("/-/repositories/acme/sample/status");
    expect([more.status, await more.text()]).toEqual([429, expect.stringContaining("try again in 10 s")]);
    const commit = await primary.commit("main", "pushed.txt", "pushed\n");
    await primary.fake.lifecycle.pushed({ workspace: "acme", slug: "sample" });
    expect(primary.fake.controls.deliveries.map(({ status }) => status)).toEqual([202]);
    await deployed.settled();
    const target = primary.newPath();
    await git([...deployed.credentials.options, "clone", "--quiet", "--mirror", deployed.url, target]);
    expect(await refsOf(target)).toContain(commit);
    await expectNothingDead(deployed);
    await deployed.front.close();
    await Promise.all(waits);
  });

  test(`a stampede of ${LOAD.stampede} waits makes one job`, async () => {
    const deployed = await mirrored(
      { statusConcurrency: LOAD.stampede },
      {
        maxEnvironments: LOAD.environments * 2,
      },
    );
    const { primary, front } = deployed;
    const before = front.function("sync").counts.invocations;
    // Without a webhook.
    const commit = await primary.commit("main", "silent.txt", "silent\n");
    const path = `/-/repositories/acme/sample/wait?ref=refs/heads/main&id=${commit}&timeout=200`;
    const answers = await Promise.all(Array.from({ length: LOAD.stampede }, () => deployed.ask(path)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await deployed.settled();
    report(front.counts());
    expect(front.function("sync").counts.invocations - before).toBe(1);
    await expectNothingDead(deployed);
  });
});

/** What Lambda logs of processes that ended. */
function endsOf({ front }: DeployedAcme): string[] {
  const lines = front.log().split("\n");
  return [...new Set(lines.filter((line) => /^(Task|Runtime) /.test(line)))].slice(0, 20);
}

function report(figures: object): void {
  if (isWhole) console.log(JSON.stringify(figures, undefined, 1));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
