/**
 * CloudWatch's part of monitoring, as far as the deployment's alarms use it: metrics out of log lines in embedded metric format, statistics
 * over periods, and whether an alarm is in ALARM. Alarms and the filter of the access log are the synthesized template's.
 */

import type { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";

interface MetricReference {
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions?: readonly { readonly Value: unknown }[];
}

interface AlarmProperties extends Partial<MetricReference> {
  readonly AlarmName: string;
  readonly ComparisonOperator: string;
  readonly EvaluationPeriods: number;
  readonly Period?: number;
  readonly Statistic?: string;
  readonly ExtendedStatistic?: string;
  readonly Threshold: number;
  readonly TreatMissingData: "breaching" | "notBreaching";
  readonly Metrics?: readonly {
    readonly Id: string;
    readonly Expression?: string;
    readonly MetricStat?: {
      readonly Metric: MetricReference;
      readonly Period: number;
      readonly Stat: string;
    };
  }[];
}

interface EmfLine {
  readonly _aws?: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Metrics: readonly { readonly Name: string }[];
    }[];
  };
}

/** Values by metric, in simulated time. */
export class MetricData {
  readonly #values = new Map<string, { readonly atMs: number; readonly value: number }[]>();

  add(key: string, value: number, atMs: number): void {
    const values = this.#values.get(key) ?? [];
    values.push({ atMs, value });
    this.#values.set(key, values);
  }

  /** What a function wrote to its log, as if all of it had been written at one time. */
  addLog(log: string, atMs: number): void {
    for (const line of log.split("\n").filter((text) => text.startsWith("{"))) {
      const { _aws: directives, ...fields } = JSON.parse(line) as EmfLine & Record<string, unknown>;
      for (const { Namespace, Metrics } of directives?.CloudWatchMetrics ?? [])
        for (const { Name } of Metrics) this.add(`${Namespace}/${Name}`, Number(fields[Name]), atMs);
    }
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** @returns `undefined` where there is no value. */
  statistic(key: string, name: string, fromMs: number, toMs: number): number | undefined {
    const within = (this.#values.get(key) ?? []).filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    const values = within.map(({ value }) => value).sort((a, b) => a - b);
    if (values.length === 0) return undefined;
    if (name === "Sum") return values.reduce((sum, value) => sum + value, 0);
    if (name === "Maximum") return values.at(-1);
    if (name === "Minimum") return values[0];
    const [, percent] = /^p(\d+)$/.exec(name) ?? [];
    if (percent === undefined) throw new Error(`no such statistic here: ${name}`);
    return values[Math.ceil((Number(percent) / 100) * values.length) - 1];
  }
}

/** As `MetricData` names a metric of a resource. */
export function resourceMetric(namespace: string, metric: string, logicalId: string): string {
  return `${namespace}/${metric}/${logicalId}`;
}

export class DeployedAlarms {
  readonly #template: Template;
  readonly #alarms: readonly AlarmProperties[];

  constructor(service: Stack) {
    this.#template = Template.fromStack(service);
    this.#alarms = Object.values(this.#template.findResources("AWS::CloudWatch::Alarm")).map(
      ({ Properties }) => Properties,
    );
  }

  /** Without the stack's prefix. */
  names(): string[] {
    return this.#alarms.map(({ AlarmName }) => nameOf(AlarmName));
  }

  /** @returns Those that have no value of any of their metrics. */
  withoutData(data: MetricData): string[] {
    return this.#alarms
      .filter((alarm) => !metricsOf(alarm).some((metric) => data.has(keyOf(metric))))
      .map(({ AlarmName }) => nameOf(AlarmName));
  }

  firing(data: MetricData, nowMs: number): string[] {
    return this.#alarms
      .filter((alarm) => isFiring(alarm, data, nowMs))
      .map(({ AlarmName }) => nameOf(AlarmName));
  }

  /** @param idStart - The id without its hash. */
  logicalId(type: string, idStart: string): string {
    const found = Object.keys(this.#template.findResources(type)).find((id) => id.slice(0, -8) === idStart);
    if (found === undefined) throw new Error(`the template has no ${type} ${idStart}`);
    return found;
  }

  maxReceiveCount(queueIdStart: string): number {
    const { [this.logicalId("AWS::SQS::Queue", queueIdStart)]: queue } =
      this.#template.findResources("AWS::SQS::Queue");
    return Number(queue?.["Properties"].RedrivePolicy.maxReceiveCount);
  }

  /** A line of the access log, through the stack's metric filter. */
  addAccess(line: Readonly<Record<string, string>>, data: MetricData, atMs: number): void {
    for (const { Properties } of Object.values(this.#template.findResources("AWS::Logs::MetricFilter"))) {
      const terms = [...String(Properties.FilterPattern).matchAll(/\$\.(\w+) = "(\w+)"/g)];
      if (terms.length === 0) throw new Error(`not understood: ${Properties.FilterPattern}`);
      if (!terms.some(([, field = "", text]) => line[field] === text)) continue;
      for (const { MetricNamespace, MetricName, MetricValue } of Properties.MetricTransformations)
        data.add(`${MetricNamespace}/${MetricName}`, Number(MetricValue), atMs);
    }
  }
}

function metricsOf({ Metrics, Namespace = "", MetricName = "", Dimensions = [] }: AlarmProperties) {
  if (Metrics === undefined) return [{ Namespace, MetricName, Dimensions }];
  return Metrics.flatMap(({ MetricStat }) => MetricStat?.Metric ?? []);
}

function nameOf(alarmName: string): string {
  return alarmName.replace(/^[A-Za-z]+-/, "");
}

function isFiring(alarm: AlarmProperties, data: MetricData, nowMs: number): boolean {
  const { Metrics, EvaluationPeriods, ComparisonOperator, Threshold, TreatMissingData } = alarm;
  const [first] = Metrics?.flatMap(({ MetricStat }) => MetricStat ?? []) ?? [];
  const periodMs = (first?.Period ?? alarm.Period ?? 0) * 1000;
  for (let period = 0; period < EvaluationPeriods; period++) {
    const toMs = nowMs - period * periodMs;
    const value = measured(alarm, data, toMs - periodMs, toMs);
    const breaches =
      value === undefined
        ? TreatMissingData === "breaching"
        : ComparisonOperator === "LessThanThreshold"
          ? value < Threshold
          : value >= Threshold;
    if (!breaches) return false;
  }
  return true;
}

function measured(
  alarm: AlarmProperties,
  data: MetricData,
  fromMs: number,
  toMs: number,
): number | undefined {
  if (alarm.Metrics === undefined) {
    const { Namespace = "", MetricName = "", Dimensions = [] } = alarm;
    const statistic = alarm.ExtendedStatistic ?? alarm.Statistic ?? "";
    return data.statistic(keyOf({ Namespace, MetricName, Dimensions }), statistic, fromMs, toMs);
  }
  // A metric with a label is in the list as well.
  const [only] = alarm.Metrics;
  if (alarm.Metrics.length === 1 && only?.MetricStat !== undefined)
    return data.statistic(keyOf(only.MetricStat.Metric), only.MetricStat.Stat, fromMs, toMs);
  const expression = alarm.Metrics.find(({ Expression }) => Expression !== undefined)?.Expression ?? "";
  let sum = 0;
  for (const term of expression.split(" + ")) {
    const [, id] = /^FILL\((\w+), 0\)$/.exec(term) ?? [];
    const stat = alarm.Metrics.find(({ Id }) => Id === id)?.MetricStat;
    if (stat === undefined) throw new Error(`not understood: ${expression}`);
    sum += data.statistic(keyOf(stat.Metric), stat.Stat, fromMs, toMs) ?? 0;
  }
  return sum;
}

function keyOf({ Namespace, MetricName, Dimensions = [] }: MetricReference): string {
  if (Dimensions.length === 0) return `${Namespace}/${MetricName}`;
  const ids = Dimensions.flatMap(({ Value }) => {
    const { Ref, "Fn::GetAtt": attribute } = Value as {
      readonly Ref?: string;
      readonly "Fn::GetAtt"?: readonly string[];
    };
    return Ref ?? attribute?.[0] ?? [];
  });
  const [id] = ids;
  if (id === undefined) throw new Error(`no resource is named by the dimensions of ${MetricName}`);
  return resourceMetric(Namespace, MetricName, id);
}
