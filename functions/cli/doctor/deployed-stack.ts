/** The service stack of a deployment, as its checks see and change it, by signed requests to AWS. */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, Stopped } from "../explain.ts";
import type { AwsSend } from "./aws-account.ts";
import { awsOperations, elementsOf, findOutput, findResource } from "./aws-operations.ts";
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
  whileTierStops<T>(run: () => Promise<T>): Promise<WhileStopping<T> | undefined>;
}

interface WhileStopping<T> {
  readonly result: T;
  /** The tier's tasks when the run ended; `undefined`: it ended before they were stopped. */
  readonly tasksAtEnd: TierTasks | undefined;
  readonly tasksBefore: number;
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
    let changing: Promise<unknown> | undefined;
    const changeAndRun = async (signal: AbortSignal): Promise<T> => {
      changing = change(signal);
      await changing;
      signal.throwIfAborted();
      await isApplied?.();
      await sleep(appliedMs, undefined, { signal });
      return run();
    };
    // A change that is still being made would come after what restores it.
    const restoreAfter = () => Promise.allSettled([changing]).then(restore);
    // Lambda refuses a change while another one is under way.
    return restoring(changeAndRun, { restore: restoreAfter, byHand: what, pauseMs: appliedMs });
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
  async function changeOf({ service, tasks, run }: Tier) {
    const { desiredCount, runningCount } = await tasks();
    const what = `desired count of ${service}: ${desiredCount}`;
    const change = { change: () => run(0), restore: () => run(desiredCount), what };
    return { change, desiredCount, runningCount };
  }
  /** The tasks run again when it returns, so that the next check has them. */
  async function changed<T>(tier: Tier, desiredCount: number, run: () => Promise<T>): Promise<T> {
    const areBack = () => tier.reached((count) => count >= desiredCount, appliedMs);
    const [ran] = await Promise.allSettled([run()]);
    if (ran.status === "rejected" && ran.reason instanceof Stopped) throw ran.reason;
    const notBack = await areBack().then(
      (isBack) => (isBack ? undefined : "restored, and the tasks of the stream tier do not run again"),
      (error: Error) => messageOf(error),
    );
    if (notBack === undefined) {
      if (ran.status === "rejected") throw ran.reason;
      return ran.value;
    }
    throw new Error(ran.status === "rejected" ? `${messageOf(ran.reason)}; ${notBack}` : notBack);
  }
  return {
    async tierTasks() {
      return (await tierService())?.tasks();
    },
    async withoutTier(run) {
      const tier = await tierService();
      if (tier === undefined) return undefined;
      const { change, desiredCount } = await changeOf(tier);
      const isApplied = async () => {
        // A task that drains completes what it has begun to answer.
        const isEnded = await tier.reached((count) => count === 0, appliedMs);
        if (!isEnded) throw new Error("tasks of the stream tier do not end");
      };
      return changed(tier, desiredCount, () => whileChanged({ ...change, isApplied }, run));
    },
    async whileTierStops<T>(run: () => Promise<T>) {
      const tier = await tierService();
      if (tier === undefined) return undefined;
      const { change: stopped, desiredCount, runningCount: tasksBefore } = await changeOf(tier);
      let isChanged = false;
      let running: Promise<WhileStopping<T>> | undefined;
      const runAndLook = async (): Promise<WhileStopping<T>> => {
        const result = await run();
        return { result, tasksBefore, tasksAtEnd: isChanged ? await tier.tasks() : undefined };
      };
      const change = async (signal: AbortSignal) => {
        running = runAndLook();
        // Awaited below, whatever happens here.
        running.catch(() => undefined);
        await sleep(appliedMs * RUN_SHARE, undefined, { signal });
        await stopped.change();
        isChanged = true;
      };
      return changed(tier, desiredCount, () =>
        whileChanged({ ...stopped, change }, () => running ?? runAndLook()),
      );
    },
  };
}

type Tier = NonNullable<ReturnType<typeof ecsService>>;

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
    /** @returns Whether it came to be, within some minutes. */
    async reached(isReached: (runningCount: number) => boolean, pauseMs: number): Promise<boolean> {
      for (let tries = 0; !isReached((await tasks()).runningCount); tries++) {
        if (tries === DRAINING_TRIES) return false;
        await sleep(pauseMs);
      }
      return true;
    },
  };
}

type Change = () => Promise<unknown>;

interface StackChange {
  readonly change: (signal: AbortSignal) => Promise<unknown>;
  /** Resolves when the change has taken place, if that can be seen. */
  readonly isApplied?: Change;
  readonly restore: Change;
  /** What is restored, and its value. */
  readonly what: string;
}
