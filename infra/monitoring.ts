/** Dashboard, alarms and saved log queries of a mirror. */
import { Duration, Stack } from "aws-cdk-lib";
import type { RestApi } from "aws-cdk-lib/aws-apigateway";
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  MathExpression,
  SingleValueWidget,
  TextWidget,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { type LogGroup, QueryDefinition, QueryString, type QueryStringProps } from "aws-cdk-lib/aws-logs";
import { type ITopic, Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { Construct } from "constructs";
import { METRIC_NAMES, type Metric, type MetricName, metricOf } from "../lib/metrics.ts";
import { addAlarms, type WatchedFunction } from "./alarms.ts";
import {
  CloudWatchMetrics,
  countAuthorizerFailures,
  countThrottledRequests,
  type MetricSources,
} from "./cloudwatch-metrics.ts";
import type { MirrorFunction } from "./mirror-function.ts";
import type { DeploymentSettings } from "./settings.ts";
import type { StreamTier } from "./stream-tier.ts";

export interface MonitoringProps {
  readonly settings: DeploymentSettings;
  readonly queues: MetricSources["queues"];
  readonly functions: Readonly<
    Record<WatchedFunction | "sync" | "lfsSync" | "relay" | "reconcile", MirrorFunction>
  >;
  readonly api: RestApi;
  readonly accessLog: LogGroup;
  readonly streamTier: StreamTier | undefined;
}

const WIDTH = 24;
const SECTIONS = {
  serving: "Clones and fetches",
  access: "Who may read",
  sync: "Syncs and events",
  primary: "Bitbucket",
  lfs: "Git LFS",
  store: "Store",
} as const satisfies Record<Metric["section"], string>;

export class Monitoring extends Construct {
  readonly #props: MonitoringProps;
  readonly #metrics: CloudWatchMetrics;
  readonly #hasDetail: boolean;

  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    this.#props = props;
    const { settings, functions, queues } = props;
    const { stackPrefix } = settings;
    this.#hasDetail = settings.hasAllMetrics;
    this.#metrics = new CloudWatchMetrics({ namespace: stackPrefix, queues });
    countAuthorizerFailures(this, stackPrefix, props.accessLog);
    countThrottledRequests(this, stackPrefix, props.accessLog);
    const topic = this.#topic();
    const alarms = addAlarms(this, {
      stackPrefix,
      metrics: this.#metrics,
      functions,
      hasDetail: this.#hasDetail,
      streamTier: props.streamTier,
      action: topic && new SnsAction(topic),
    });
    const widgets: IWidget[][] = [[new AlarmStatusWidget({ alarms, width: WIDTH, title: "Alarms" })]];
    for (const section of Object.keys(SECTIONS) as Metric["section"][])
      widgets.push(...this.#section(section));
    widgets.push([this.#costWidget()]);
    // Their names are those of an account, of all regions.
    new Dashboard(this, "Dashboard", { dashboardName: `${stackPrefix}-${Stack.of(this).region}`, widgets });
    this.#addQueries();
  }

  #topic(): ITopic | undefined {
    const { alarmTopic, alarmEmail } = this.#props.settings;
    if (alarmTopic !== undefined) return Topic.fromTopicArn(this, "Topic", alarmTopic);
    if (alarmEmail === undefined) return undefined;
    const topic = new Topic(this, "Topic", { enforceSSL: true });
    topic.addSubscription(new EmailSubscription(alarmEmail));
    return topic;
  }

  /** A graph for each unit: what has one scale. */
  #section(section: Metric["section"]): IWidget[][] {
    const names = METRIC_NAMES.filter((name) => metricOf(name).section === section && this.#isShown(name));
    const graphs = (["Count", "Seconds", "Bytes"] as const)
      .map((unit) => ({ unit, names: names.filter((name) => metricOf(name).unit === unit) }))
      .filter(({ names: shown }) => shown.length > 0);
    const width = Math.floor(WIDTH / graphs.length);
    const text = new TextWidget({ markdown: `## ${SECTIONS[section]}`, width: WIDTH, height: 1 });
    return [
      [text],
      graphs.map(
        ({ unit, names: shown }) =>
          new GraphWidget({
            left: shown.flatMap((name) => this.#lines(name)),
            leftYAxis: { label: unit, min: 0, showUnits: false },
            title: unit === "Count" ? "in 5 minutes" : unit,
            width,
          }),
      ),
    ];
  }

  #isShown(name: MetricName): boolean {
    const metric = metricOf(name);
    if (metric.kind === "gauge") return true;
    if (metric.isOfStreamTier) return this.#props.streamTier !== undefined;
    return !metric.isDetail || this.#hasDetail;
  }

  #lines(name: MetricName): IMetric[] {
    const metric = metricOf(name);
    if (metric.kind !== "histogram") return [this.#metrics.of(name)];
    const lines = [
      ["p50", "median"],
      ["p99", "99 of 100"],
    ] as const;
    return lines.map(([statistic, words]) =>
      this.#metrics.of(name, { statistic }).with({ label: `${metric.help}, ${words}` }),
    );
  }

  /** Without storage and logs, and as if nothing were free. */
  #costWidget(): IWidget {
    const { functions, api } = this.#props;
    const options = { period: Duration.days(1), statistic: "Sum" };
    const usingMetrics: Record<string, IMetric> = {
      requests: api.metricCount(options),
      reads: this.#metrics.of("StoreReads", options),
      writes: this.#metrics.of("StoreWrites", options),
      sent: this.#metrics.of("SentBytes", options),
    };
    const terms = Object.entries(MILLION_PRICES).map(([name, price]) => costOf(name, price));
    for (const [name, { lambda, memoryGib }] of Object.entries(functions)) {
      usingMetrics[`${name}Ms`] = lambda.metricDuration(options);
      usingMetrics[`${name}Runs`] = lambda.metricInvocations(options);
      terms.push(
        costOf(`${name}Ms`, memoryGib * MILLION_GIB_MS_PRICE),
        costOf(`${name}Runs`, MILLION_RUNS_PRICE),
      );
    }
    const expression = terms.join(" + ");
    const cost = new MathExpression({ expression, usingMetrics, period: Duration.days(1), label: "$ a day" });
    return new SingleValueWidget({
      metrics: [cost],
      title: "Estimated cost of a day (functions, API, S3 requests, bytes to the internet)",
      period: Duration.days(1),
      width: WIDTH,
      height: 3,
    });
  }

  #addQueries(): void {
    const { functions, settings } = this.#props;
    for (const [name, { log, ...query }] of Object.entries(QUERIES)) {
      new QueryDefinition(this, `Query-${name}`, {
        queryDefinitionName: `${settings.stackPrefix}/${name}`,
        queryString: new QueryString(query),
        logGroups: [functions[log].logGroup],
      });
    }
  }
}

/** $ for a million of each, in us-east-1, November 2026. */
const MILLION_PRICES = { requests: 3.5, reads: 0.4, writes: 5, sent: 0.00009 };
const MILLION_GIB_MS_PRICE = 0.0133334;
const MILLION_RUNS_PRICE = 0.2;

/** CloudWatch's expressions have no numbers such as 4e-7. */
function costOf(name: string, millionPrice: number): string {
  return `FILL(${name}, 0) / 1000000 * ${millionPrice.toFixed(6)}`;
}

/** Saved in CloudWatch Logs Insights. */
const QUERIES: Record<string, QueryStringProps & { log: "gitHttp" | "authorizer" | "sync" | "reconcile" }> = {
  "worst repositories": {
    log: "gitHttp",
    filterStatements: ['event = "git-http:answered"'],
    statsStatements: [
      "count() as answers, sum(SentBytes) / 1000000 as megabytes, pct(seconds, 95) as slowSeconds by path",
    ],
    sort: "megabytes desc",
    limit: 30,
  },
  "slow answers": {
    log: "gitHttp",
    filterStatements: ['event = "git-http:answered"', "seconds > 30"],
    fields: [
      "@timestamp",
      "path",
      "origin",
      "isClone",
      "isWhole",
      "seconds",
      "FirstByteSeconds",
      "SentBytes",
    ],
    sort: "seconds desc",
    limit: 50,
  },
  "failed syncs": {
    log: "sync",
    filterStatements: ['event = "queue:job-failed"'],
    statsStatements: ["count() as failures, earliest(@timestamp) as since by groupId, code, message"],
    sort: "failures desc",
    limit: 50,
  },
  "lost rights": {
    log: "reconcile",
    filterStatements: ['event = "reconcile:no-access"'],
    // The first of the names: a line has a list, of which Insights makes a field for each place.
    fields: [
      "@timestamp",
      "workspace",
      "count",
      "isWithdrawn",
      "repositories.0",
      "repositories.1",
      "message",
    ],
    sort: "@timestamp desc",
    limit: 50,
  },
  "refused callers": {
    log: "authorizer",
    filterStatements: [
      'event = "access:decided"',
      "status in [401, 404, 429, 503]",
      'verdict != "challenged"',
    ],
    statsStatements: ["count() as requests by caller, address, status, verdict, cause"],
    sort: "requests desc",
    limit: 50,
  },
};
