/** Alarms. Each has a section of the same name in docs/operations.md, which says what to look at and what to do. */
import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type IAlarmAction,
  type IMetric,
  MathExpression,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { HttpCodeElb, HttpCodeTarget } from "aws-cdk-lib/aws-elasticloadbalancingv2";
import type { Construct } from "constructs";
import type { MetricName } from "../lib/metrics.ts";
import type { CloudWatchMetrics } from "./cloudwatch-metrics.ts";
import type { MirrorFunction } from "./mirror-function.ts";
import type { StreamTier } from "./stream-tier.ts";

interface AlarmRow {
  /** One clause: what is wrong. */
  readonly meaning: string;
  readonly metric: MetricName | FunctionMetric | BalancerMetric;
  readonly statistic?: string;
  /** From here on; with `isBelow`, below it. */
  readonly threshold: number;
  readonly periodMinutes: number;
  /** Periods in a row. Default: one. */
  readonly periods?: number;
  /** The alarm fires below the threshold, and when there are no data. */
  readonly isBelow?: true;
  /** With all metrics only: each metric of an alarm costs 0.10 $ a month beyond ten. */
  readonly isDetail?: true;
  /** With a stream tier only; `always`: with one that has no schedule. */
  readonly streamTier?: "any" | "always";
}

/** Of the load balancer of the stream tier. */
interface BalancerMetric {
  readonly balancer: "healthy" | "unhealthy" | "errors";
}

/** Of Lambda, for the functions named. */
interface FunctionMetric {
  readonly lambda: "Errors" | "Throttles";
  readonly functions: readonly WatchedFunction[];
}

/** Those that answer callers. The queues' and the schedule's have alarms of what they leave undone. */
export type WatchedFunction = "authorizer" | "gitHttp" | "status" | "pages" | "webhook";

const ALARMS = {
  "sync-dead-letters": {
    meaning: "repositories could not be synchronized after all tries",
    metric: "SyncDeadLetters",
    threshold: 1,
    periodMinutes: 5,
  },
  "lfs-dead-letters": {
    meaning: "LFS files could not be copied after all tries",
    metric: "LfsDeadLetters",
    threshold: 1,
    periodMinutes: 5,
  },
  "relay-dead-letters": {
    meaning: "events could not be delivered after all tries",
    metric: "RelayDeadLetters",
    threshold: 1,
    periodMinutes: 5,
  },
  "sync-queue-age": {
    meaning: "syncs wait or fail for more than half an hour",
    metric: "SyncQueueAge",
    threshold: 1_800,
    periodMinutes: 5,
    periods: 2,
  },
  "lfs-queue-age": {
    meaning: "LFS copies wait or fail for more than six hours",
    metric: "LfsQueueAge",
    threshold: 21_600,
    periodMinutes: 5,
    periods: 2,
    isDetail: true,
  },
  "relay-queue-age": {
    meaning: "events wait or fail for more than half an hour",
    metric: "RelayQueueAge",
    threshold: 1_800,
    periodMinutes: 5,
    periods: 2,
    isDetail: true,
  },
  "sync-lag": {
    meaning: "pushes arrive in the mirror after more than a quarter of an hour",
    metric: "SyncLagSeconds",
    statistic: "p99",
    threshold: 900,
    periodMinutes: 15,
    periods: 2,
  },
  "job-failures": {
    meaning: "many runs of jobs fail",
    metric: "JobFailures",
    threshold: 30,
    periodMinutes: 5,
    periods: 3,
    isDetail: true,
  },
  reconcile: {
    meaning: "no round of reconcile has succeeded for half an hour",
    metric: "ReconcileRounds",
    threshold: 1,
    periodMinutes: 30,
    isBelow: true,
  },
  "authorizer-failures": {
    meaning: "requests are refused because the authorizer fails",
    metric: "AuthorizerFailures",
    threshold: 5,
    periodMinutes: 5,
  },
  "answer-failures": {
    meaning: "clones and fetches fail by a fault of the mirror",
    metric: "AnswerFailures",
    threshold: 5,
    periodMinutes: 5,
    periods: 2,
  },
  "function-errors": {
    meaning: "functions crash or run out of time",
    metric: { lambda: "Errors", functions: ["gitHttp", "status", "pages", "webhook"] },
    threshold: 5,
    periodMinutes: 5,
    periods: 2,
  },
  throttles: {
    meaning: "requests are refused because too many functions run",
    metric: { lambda: "Throttles", functions: ["gitHttp", "status", "webhook"] },
    threshold: 10,
    periodMinutes: 5,
  },
  "api-throttles": {
    meaning: "requests are refused because the API gets more than requestsPerSecond",
    metric: "RequestsThrottled",
    threshold: 20,
    periodMinutes: 5,
  },
  "primary-errors": {
    meaning: "Bitbucket answers with errors, or not at all",
    metric: "PrimaryErrors",
    threshold: 15,
    periodMinutes: 5,
    periods: 2,
  },
  "primary-rate-limits": {
    meaning: "Bitbucket limits the rate of the mirror's requests",
    metric: "PrimaryRateLimits",
    threshold: 10,
    periodMinutes: 15,
  },
  "token-ends": {
    meaning: "the token of an account at Bitbucket ends within 30 days, has ended, or is rejected",
    metric: "TokensEnding",
    threshold: 1,
    periodMinutes: 30,
  },
  "damaged-blobs": {
    meaning: "stored data is damaged or missing",
    metric: "DamagedBlobs",
    threshold: 1,
    periodMinutes: 5,
  },
  "stream-tier-away": {
    meaning: "no server of the stream tier is healthy",
    metric: { balancer: "healthy" },
    threshold: 1,
    periodMinutes: 5,
    periods: 2,
    isBelow: true,
    streamTier: "always",
  },
  "stream-tier-unhealthy": {
    meaning: "a server of the stream tier is not healthy for a quarter of an hour",
    metric: { balancer: "unhealthy" },
    threshold: 1,
    periodMinutes: 5,
    periods: 3,
    streamTier: "any",
  },
  "stream-tier-errors": {
    meaning: "servers of the stream tier fail or break off",
    metric: { balancer: "errors" },
    threshold: 5,
    periodMinutes: 5,
    periods: 2,
    streamTier: "any",
  },
  "stream-tier-refusals": {
    meaning: "the stream tier refuses clients that the mirror has sent there",
    metric: "TierRefusals",
    threshold: 20,
    periodMinutes: 5,
    streamTier: "any",
  },
} as const satisfies Record<string, AlarmRow>;

export interface AlarmsProps {
  readonly stackPrefix: string;
  readonly metrics: CloudWatchMetrics;
  readonly functions: Readonly<Record<WatchedFunction, MirrorFunction>>;
  readonly hasDetail: boolean;
  readonly streamTier: StreamTier | undefined;
  readonly action: IAlarmAction | undefined;
}

export function addAlarms(scope: Construct, props: AlarmsProps): Alarm[] {
  const rows = Object.entries<AlarmRow>(ALARMS).filter(([, row]) => isMade(row, props));
  return rows.map(([id, row]) => {
    const { meaning, threshold, periods = 1, isBelow } = row;
    const alarm = new Alarm(scope, `Alarm-${id}`, {
      alarmName: `${props.stackPrefix}-${id}`,
      alarmDescription: `${meaning[0]?.toUpperCase()}${meaning.slice(1)}. What to do: docs/operations.md#${id}`,
      metric: metricOfAlarm(row, props),
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: isBelow
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: isBelow ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
    });
    if (props.action !== undefined) {
      alarm.addAlarmAction(props.action);
      alarm.addOkAction(props.action);
    }
    return alarm;
  });
}

function isMade({ isDetail, streamTier: needed }: AlarmRow, { hasDetail, streamTier }: AlarmsProps): boolean {
  if (needed !== undefined && streamTier === undefined) return false;
  if (needed === "always" && !streamTier?.runsAlways) return false;
  return !isDetail || hasDetail;
}

function metricOfAlarm(row: AlarmRow, { metrics, functions, streamTier }: AlarmsProps): IMetric {
  const period = Duration.minutes(row.periodMinutes);
  const { metric, statistic } = row;
  if (typeof metric === "string") return metrics.of(metric, { period, ...(statistic && { statistic }) });
  if ("balancer" in metric) {
    if (streamTier === undefined) throw new Error("an alarm of the stream tier, and there is none");
    return metricOfBalancer(metric, streamTier, { period, label: row.meaning });
  }
  const options = { period, statistic: "Sum" };
  const usingMetrics = Object.fromEntries(
    metric.functions.map((name) => [
      name,
      metric.lambda === "Errors"
        ? functions[name].lambda.metricErrors(options)
        : functions[name].lambda.metricThrottles(options),
    ]),
  );
  const expression = metric.functions.map((name) => `FILL(${name}, 0)`).join(" + ");
  return new MathExpression({ expression, usingMetrics, period, label: row.meaning });
}

function metricOfBalancer(
  { balancer: kind }: BalancerMetric,
  { targets, loadBalancer }: StreamTier,
  { period, label }: { readonly period: Duration; readonly label: string },
): IMetric {
  if (kind === "healthy") return targets.metrics.healthyHostCount({ period, statistic: "Maximum" });
  if (kind === "unhealthy") return targets.metrics.unhealthyHostCount({ period, statistic: "Minimum" });
  const options = { period, statistic: "Sum" };
  // Not 503: the load balancer answers it outside the schedule.
  const usingMetrics = {
    answered: loadBalancer.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, options),
    brokenOff: loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_502_COUNT, options),
    late: loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_504_COUNT, options),
  };
  const expression = "FILL(answered, 0) + FILL(brokenOff, 0) + FILL(late, 0)";
  return new MathExpression({ expression, usingMetrics, period, label });
}
