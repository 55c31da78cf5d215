/**
 * Each alarm of the stream tier, from its cause: servers in processes of their own, whose lines are metrics, and what a load balancer
 * counts of them: their health and their answers.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { TierKeys } from "../../lib/git-http/tier-token.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { DeployedAlarms, MetricData, resourceMetric } from "../support/aws-front/alarm-evaluator.ts";
import { deployment } from "../support/deployment.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type MirrorProcess, spawnMirror } from "../support/mirror-process.ts";
import { nameRepository } from "../support/named-repository.ts";

const KEYS = "k".repeat(32);
const MINUTE_MS = 60_000;
const NOW_MS = 1_000 * MINUTE_MS;
const HEALTH_TIMEOUT_MS = 3_000;
const UUID = "11111111-2222-4333-8444-555555555555";
const TIER = {
  streamTier: "fargate",
  streamTierUrl: "https://bulk.mirror.example.com",
  streamTierCertificate: "arn:aws:acm:eu-west-1:111122223333:certificate/0000-1111",
  streamTierImage: "example.com/nearside:1",
};

const alarms = new DeployedAlarms(deployment({ deployment: TIER }).service);
const tierAlarms = (data: MetricData) =>
  alarms.firing(data, NOW_MS).filter((name) => name.startsWith("stream-tier"));
const targets = alarms.logicalId(
  "AWS::ElasticLoadBalancingV2::TargetGroup",
  "StreamTierBalancerHttpsTasksGroup",
);
const balancer = alarms.logicalId("AWS::ElasticLoadBalancingV2::LoadBalancer", "StreamTierBalancer");
const seen = new Set<string>();

interface Task {
  readonly server: MirrorProcess;
  readonly url: string;
}

let folder: TemporaryFolder;
let tasks: Task[];

beforeEach(async () => {
  folder = await temporaryFolder();
  const env = { [ENV.streamTierKeys]: KEYS, [ENV.stackPrefix]: "Nearside" };
  tasks = await Promise.all(
    [0, 1].map(async () => {
      const server = spawnMirror(["--tier", "--port", "0", "--store", folder.path], { env });
      return { server, url: await server.printed(/"url":"([^"]+)"/) };
    }),
  );
});

afterEach(async () => {
  for (const { server } of tasks) await server.stop("SIGKILL");
  await folder.remove();
});

async function isHealthy({ url }: Task): Promise<boolean> {
  const signal = AbortSignal.timeout(HEALTH_TIMEOUT_MS);
  return fetch(`${url}/-/health`, { signal }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** A quarter of an hour as it is now, and what else the load balancer counts in each five minutes of it. */
async function lasting(
  more: (data: MetricData, atMs: number) => void = () => undefined,
): Promise<MetricData> {
  const healthy = (await Promise.all(tasks.map(isHealthy))).filter(Boolean).length;
  const data = new MetricData();
  for (let minutes = 1; minutes < 15; minutes += 5) {
    const atMs = NOW_MS - minutes * MINUTE_MS;
    data.add(resourceMetric("AWS/ApplicationELB", "HealthyHostCount", targets), healthy, atMs);
    data.add(
      resourceMetric("AWS/ApplicationELB", "UnHealthyHostCount", targets),
      tasks.length - healthy,
      atMs,
    );
    more(data, atMs);
  }
  return data;
}

function expectFiring(data: MetricData, ...names: string[]): void {
  expect(tierAlarms(data).toSorted()).toEqual(names.toSorted());
  for (const name of names) seen.add(name);
}

/** @returns The status of the first request of a fetch with a token. */
async function askedWith(token: string): Promise<number> {
  const [{ url } = { url: "" }] = tasks;
  const response = await fetch(`${url}/-/t/${token}/acme/sample.git/info/refs?service=git-upload-pack`);
  await response.body?.cancel();
  return response.status;
}

test("none fires while two servers answer", async () => {
  expectFiring(await lasting());
});

test("a server that hangs is unhealthy, and without another one the tier is away", async () => {
  const [{ server: hanging } = { server: undefined }, { server: other } = { server: undefined }] = tasks;
  if (hanging === undefined || other === undefined) throw new Error("no task");
  process.kill(hanging.pid, "SIGSTOP");
  expectFiring(await lasting(), "stream-tier-unhealthy");
  await other.stop("SIGKILL");
  // ECS takes a task that has ended out of the targets.
  tasks.splice(1);
  expectFiring(await lasting(), "stream-tier-away", "stream-tier-unhealthy");
  await hanging.stop("SIGKILL");
  tasks.splice(0);
  expectFiring(await lasting(), "stream-tier-away");
});

test("a store that gives no manifest makes errors", async () => {
  const store = new FsBlobStore(folder.path);
  await nameRepository(store, UUID, { workspace: "acme", slug: "sample", isPrivate: true });
  await store.write(repositoryKeys(UUID).manifest, new TextEncoder().encode("damaged"));
  const request = {
    repository: { kind: "name", workspace: "acme", slug: "sample" },
    authorization: undefined,
    remoteAddress: "127.0.0.1",
  } as const;
  const token = new TierKeys(KEYS).sign(request, { kind: "allowed" }, UUID, Date.now());
  const statuses: number[] = [];
  for (let count = 0; count < 5; count++) statuses.push(await askedWith(token));
  const errors = statuses.filter((status) => status >= 500).length;
  expect([errors, statuses]).toEqual([5, statuses]);
  const answered = resourceMetric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", balancer);
  expectFiring(await lasting((data, atMs) => data.add(answered, errors, atMs)), "stream-tier-errors");
  const brokenOff = resourceMetric("AWS/ApplicationELB", "HTTPCode_ELB_502_Count", balancer);
  expectFiring(await lasting((data, atMs) => data.add(brokenOff, errors, atMs)), "stream-tier-errors");
});

test("tokens that are not valid are counted by the server itself", async () => {
  for (let count = 0; count < 20; count++) expect(await askedWith("a.b")).toBe(403);
  const [{ server } = { server: undefined }] = tasks;
  const { stdout } = (await server?.stop("SIGTERM")) ?? { stdout: "" };
  tasks.splice(0, 1);
  expectFiring(await lasting((data, atMs) => data.addLog(stdout, atMs)), "stream-tier-refusals");
});

test("no alarm of the tier was left out", () => {
  const withoutTier = new Set(new DeployedAlarms(deployment().service).names());
  expect([...seen].toSorted()).toEqual(
    alarms
      .names()
      .filter((name) => !withoutTier.has(name))
      .toSorted(),
  );
});
