/** The rows of lib/metrics.ts as CloudWatch's metrics: the functions' own by their log lines, those of queues by SQS. */
import { Duration, Stack } from "aws-cdk-lib";
import { Metric, Unit } from "aws-cdk-lib/aws-cloudwatch";
import { FilterPattern, type LogGroup, MetricFilter } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { type MetricName, metricOf, type QueueName } from "../lib/metrics.ts";
import type { JobQueue } from "./job-queue.ts";

const PERIOD = Duration.minutes(5);

export interface MetricSources {
  /** As the functions get it. */
  readonly namespace: string;
  readonly queues: Readonly<Record<QueueName, JobQueue>>;
}

export class CloudWatchMetrics {
  readonly #sources: MetricSources;

  constructor(sources: MetricSources) {
    this.#sources = sources;
  }

  /** @param statistic - Default: what adds up for counters, the largest for gauges. */
  of(
    name: MetricName,
    { statistic, period = PERIOD }: { statistic?: string; period?: Duration } = {},
  ): Metric {
    const row = metricOf(name);
    const label = row.help;
    if (row.kind === "gauge") {
      const { queue, deadLetterQueue } = this.#sources.queues[row.queue];
      const options = { label, period, statistic: statistic ?? "Maximum" };
      if (row.of === "age") return queue.metricApproximateAgeOfOldestMessage(options);
      if (row.of === "waiting") return queue.metricApproximateNumberOfMessagesVisible(options);
      return deadLetterQueue.metricApproximateNumberOfMessagesVisible(options);
    }
    return new Metric({
      namespace: this.#sources.namespace,
      metricName: name,
      label,
      period,
      statistic: statistic ?? (row.kind === "counter" ? "Sum" : "p99"),
    });
  }
}

/** They reach no function. */
export function countThrottledRequests(scope: Construct, namespace: string, accessLog: LogGroup): void {
  countAccess(scope, { namespace, accessLog, name: "RequestsThrottled", errorTypes: ["THROTTLED"] });
}

/** A challenge counts among Lambda's errors of an authorizer, and a changed status hides its failures from API Gateway's. */
export function countAuthorizerFailures(scope: Construct, namespace: string, accessLog: LogGroup): void {
  const errorTypes = ["AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"];
  countAccess(scope, { namespace, accessLog, name: "AuthorizerFailures", errorTypes });
}

interface CountedAccess {
  readonly namespace: string;
  readonly accessLog: LogGroup;
  readonly name: MetricName;
  /** Of API Gateway's own answers. */
  readonly errorTypes: readonly string[];
}

function countAccess(scope: Construct, { namespace, accessLog, name, errorTypes }: CountedAccess): void {
  new MetricFilter(Stack.of(scope), name, {
    logGroup: accessLog,
    filterPattern: FilterPattern.any(
      ...errorTypes.map((type) => FilterPattern.stringValue("$.errorType", "=", type)),
    ),
    metricNamespace: namespace,
    metricName: name,
    metricValue: "1",
    unit: Unit.COUNT,
  });
}
