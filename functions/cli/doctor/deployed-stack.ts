/** The service stack of a deployment, as its checks see and change it, by signed requests to AWS. */
import { setTimeout as sleep } from "node:timers/promises";
import type { AwsSend } from "./aws-account.ts";
import { restoring } from "./restoring.ts";

export interface DeployedStack {
  /** The mirror's own metrics, and names of dimensions. Source: CloudWatch, ListMetrics. */
  metrics(): Promise<{ readonly names: readonly string[]; readonly dimensions: readonly string[] }>;
  /** What CloudWatch says of a metric over time, asked as the function for pages asks. Source: CloudWatch, GetMetricData. */
  chartStatus(): Promise<string>;
  /**
   * Runs with one execution of the function at a time, then restores what was reserved.
   * @param id - As in the template, without the hash: `StatusFunction`. Source: AWS Lambda, PutFunctionConcurrency.
   */
  withOneExecution<T>(id: string, run: () => Promise<T>): Promise<T>;
  /** Runs with a function that has no time to start, then restores it. Source: AWS Lambda, UpdateFunctionConfiguration. */
  withoutTime<T>(id: string, run: () => Promise<T>): Promise<T>;
  /** @returns `undefined`: there is no stream tier. Source: Amazon ECS, DescribeServices. */
  tierTasks(): Promise<TierTasks | undefined>;
  /** Runs when no task of the stream tier runs any more, then restores their number. @returns `undefined`: there is no tier. Source: Amazon ECS, UpdateService. */
  withoutTier<T>(run: () => Promise<T>): Promise<T | undefined>;
  /** Runs, and has the tier's tasks end meanwhile. As {@link withoutTier} else. */
  whileTierStops<T>(run: () => Promise<T>): Promise<T | undefined>;
}

interface TierTasks {
  readonly desiredCount: number;
  readonly runningCount: number;
}

interface DeployedStackOptions {
  readonly stackPrefix: string;
  /** What is checked, without a slash at its end: a stack with another GitUrl is not changed. */
  readonly mirrorUrl: string;
  readonly send: AwsSend;
  /** Until a change counts: Lambda refuses another one meanwhile. */
  readonly appliedMs?: number;
}

const APPLIED_MS = 10_000;
/** Two minutes of deregistration, and two until a task is stopped. */
const DRAINING_TRIES = 30;
/** Of `appliedMs`, after which a run has begun. */
const RUN_SHARE = 0.3;

export function deployedStack({
  stackPrefix,
  mirrorUrl,
  send,
  appliedMs = APPLIED_MS,
}: DeployedStackOptions): DeployedStack {
  const { query, json, putJson, ecs } = awsOperations(send);
  const physicalId = (type: string, id: string) => findResource(query, `${stackPrefix}-Service`, type, id);
  async function functionName(id: string): Promise<string> {
    const name = await physicalId("AWS::Lambda::Function", id);
    if (name === undefined) throw new Error(`the stack ${stackPrefix}-Service has no ${id}`);
    return encodeURIComponent(name);
  }
  async function whileChanged<T>(
    { change, isApplied, restore, what }: StackChange,
    run: () => Promise<T>,
  ): Promise<T> {
    const gitUrl = await findOutput(query, `${stackPrefix}-Service`, "GitUrl");
    if (gitUrl?.replace(/\/+$/, "") !== mirrorUrl)
      throw new Error(
        `nothing is changed: GitUrl of the stack ${stackPrefix}-Service is ${gitUrl ?? "missing"}`,
      );
    const changeAndRun = async (): Promise<T> => {
      await change();
      await isApplied?.();
      await sleep(appliedMs);
      return run();
    };
    // Lambda refuses a change while another one is under way.
    return restoring(changeAndRun, { restore, byHand: what, pauseMs: appliedMs });
  }
  const tierService = async () => ecsService(await physicalId("AWS::ECS::Service", "StreamTierService"), ecs);
  return {
    ...metricQuestions(stackPrefix, { query, json }),
    async withOneExecution(id, run) {
      const name = await functionName(id);
      const path = `/2017-10-31/functions/${name}/concurrency`;
      const { ReservedConcurrentExecutions: before } = await json(
        "lambda",
        `/2019-09-30/functions/${name}/concurrency`,
      );
      const reserve = (count: number) => putJson("lambda", path, { ReservedConcurrentExecutions: count });
      const restore = () =>
        before === undefined ? send("lambda", path, { method: "DELETE" }) : reserve(before);
      const what = `reserved concurrency of ${name}: ${before ?? "none"}`;
      return whileChanged({ change: () => reserve(1), restore, what }, run);
    },
    async withoutTime(id, run) {
      const name = await functionName(id);
      const path = `/2015-03-31/functions/${name}/configuration`;
      const { MemorySize, Timeout } = await json("lambda", path);
      const put = (values: object) => putJson("lambda", path, values);
      const change = () => put({ MemorySize: 128, Timeout: 1 });
      const restore = () => put({ MemorySize, Timeout });
      const what = `memory and timeout of ${name}: ${MemorySize} MB, ${Timeout} s`;
      return whileChanged({ change, restore, what }, run);
    },
    ...tierChanges(tierService, whileChanged, appliedMs),
  };
}

function metricQuestions(
  stackPrefix: string,
  { query, json }: Pick<ReturnType<typeof awsOperations>, "query" | "json">,
): Pick<DeployedStack, "metrics" | "chartStatus"> {
  return {
    async metrics() {
      const version = "2010-08-01";
      const xml = await query("monitoring", "ListMetrics", version, { Namespace: stackPrefix });
      return { names: elementsOf(xml, "MetricName"), dimensions: elementsOf(xml, "Name") };
    },
    async chartStatus() {
      const EndTime = Math.floor(Date.now() / 3_600_000) * 3_600;
      const Metric = { Namespace: stackPrefix, MetricName: "Clones", Dimensions: [] };
      const { MetricDataResults } = await json("monitoring", "/", {
        method: "POST",
        headers: {
          "content-type": "application/x-amz-json-1.0",
          "x-amz-target": "GraniteServiceVersion20100801.GetMetricData",
        },
        body: JSON.stringify({
          ...{ StartTime: EndTime - 3_600, EndTime },
          MetricDataQueries: [{ Id: "m0", MetricStat: { Metric, Period: 900, Stat: "Sum" } }],
        }),
      });
      return String(MetricDataResults?.[0]?.StatusCode ?? "no result");
    },
  };
}

function tierChanges(
  tierService: () => Promise<ReturnType<typeof ecsService>>,
  whileChanged: <T>(change: StackChange, run: () => Promise<T>) => Promise<T>,
  appliedMs: number,
): Pick<DeployedStack, "tierTasks" | "withoutTier" | "whileTierStops"> {
  async function changeOf({ service, tasks, run }: NonNullable<ReturnType<typeof ecsService>>) {
    const { desiredCount } = await tasks();
    const what = `desired count of ${service}: ${desiredCount}`;
    return { change: () => run(0), restore: () => run(desiredCount), what };
  }
  return {
    async tierTasks() {
      return (await tierService())?.tasks();
    },
    async withoutTier(run) {
      const tier = await tierService();
      if (tier === undefined) return undefined;
      return whileChanged({ ...(await changeOf(tier)), isApplied: () => tier.ended(appliedMs) }, run);
    },
    async whileTierStops<T>(run: () => Promise<T>) {
      const tier = await tierService();
      if (tier === undefined) return undefined;
      const stopped = await changeOf(tier);
      let running: Promise<T> | undefined;
      const change = async () => {
        running = run();
        // Awaited below, whatever happens here.
        running.catch(() => undefined);
        await sleep(appliedMs * RUN_SHARE);
        await stopped.change();
      };
      return whileChanged({ ...stopped, change }, () => running ?? run());
    },
  };
}

/** @param service - Its ARN. Source: Amazon ECS, DescribeServices and UpdateService. */
function ecsService(service: string | undefined, ecs: ReturnType<typeof awsOperations>["ecs"]) {
  if (service === undefined) return undefined;
  const [, cluster = "default"] = /:service\/([^/]+)\//.exec(service) ?? [];
  async function tasks(): Promise<TierTasks> {
    const { services } = await ecs("DescribeServices", { cluster, services: [service] });
    const { desiredCount, runningCount } = services[0];
    return { desiredCount, runningCount };
  }
  return {
    ...{ service, tasks },
    run: (desiredCount: number) => ecs("UpdateService", { cluster, service, desiredCount }),
    /** A task that drains completes what it has begun to answer. */
    async ended(pauseMs: number): Promise<void> {
      for (let tries = 0; (await tasks()).runningCount > 0; tries++) {
        if (tries === DRAINING_TRIES) throw new Error("tasks of the stream tier do not end");
        await sleep(pauseMs);
      }
    },
  };
}

type Change = () => Promise<unknown>;

interface StackChange {
  readonly change: Change;
  /** Resolves when the change has taken place, if that can be seen. */
  readonly isApplied?: Change;
  readonly restore: Change;
  /** What is restored, and its value. */
  readonly what: string;
}

/** The forms in which AWS's services take requests. */
function awsOperations(send: AwsSend) {
  const json = async (service: string, path: string, init?: RequestInit) => {
    const text = await send(service, path, init);
    return text === "" ? {} : JSON.parse(text);
  };
  const withBody = (method: string, body: object, type: string, headers = {}): RequestInit => ({
    ...{ method, body: JSON.stringify(body), headers: { "content-type": type, ...headers } },
  });
  return {
    json,
    putJson: (service: string, path: string, body: object) =>
      json(service, path, withBody("PUT", body, "application/json")),
    ecs(operation: string, body: object) {
      const target = `AmazonEC2ContainerServiceV20141113.${operation}`;
      return json(
        "ecs",
        "/",
        withBody("POST", body, "application/x-amz-json-1.1", { "x-amz-target": target }),
      );
    },
    query: (service: string, Action: string, Version: string, parameters: Readonly<Record<string, string>>) =>
      send(service, "/", {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ Action, Version, ...parameters }).toString(),
      }),
  };
}

/** @returns AWS's name or ARN of a resource; `undefined` if the stack has none. Source: CloudFormation, ListStackResources. */
async function findResource(
  query: ReturnType<typeof awsOperations>["query"],
  StackName: string,
  type: string,
  id: string,
): Promise<string | undefined> {
  let token: string | undefined;
  do {
    const parameters = { StackName, ...(token !== undefined && { NextToken: token }) };
    const xml = await query("cloudformation", "ListStackResources", "2010-05-15", parameters);
    for (const member of xml.split("</member>")) {
      const isWanted = elementOf(member, "LogicalResourceId")?.slice(0, -8) === id;
      if (isWanted && elementOf(member, "ResourceType") === type)
        return elementOf(member, "PhysicalResourceId");
    }
    token = elementOf(xml, "NextToken");
  } while (token !== undefined);
  return undefined;
}

/** @returns `undefined` if the stack has none. Source: CloudFormation, DescribeStacks. */
async function findOutput(
  query: ReturnType<typeof awsOperations>["query"],
  StackName: string,
  key: string,
): Promise<string | undefined> {
  const xml = await query("cloudformation", "DescribeStacks", "2010-05-15", { StackName });
  const output = xml.split("</member>").find((member) => elementsOf(member, "OutputKey").includes(key));
  return output === undefined ? undefined : elementOf(output, "OutputValue");
}

function elementOf(xml: string, name: string): string | undefined {
  return elementsOf(xml, name)[0];
}

function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]+)</${name}>`, "g"))].map(([, text = ""]) => text);
}
