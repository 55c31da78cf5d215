import { readFile } from "node:fs/promises";
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { METRIC_NAMES, metricOf } from "../../lib/metrics.ts";
import { deployment } from "../support/deployment.ts";

interface AlarmProperties {
  readonly AlarmName: string;
  readonly AlarmDescription: string;
  readonly Metrics?: readonly { readonly MetricStat?: unknown }[];
  readonly AlarmActions?: readonly unknown[];
}

const STREAM_TIER = {
  streamTier: "fargate",
  streamTierUrl: "https://bulk.mirror.example.com",
  streamTierCertificate: "arn:aws:acm:eu-west-1:111122223333:certificate/0000-1111",
  streamTierImage: "example.com/nearside:1",
};

function alarmsOf(file: object = {}): AlarmProperties[] {
  const found = Template.fromStack(deployment(file).service).findResources("AWS::CloudWatch::Alarm");
  return Object.values(found).map(({ Properties }) => Properties);
}

/** Those of an expression count one by one; the expression itself does not. */
function metricCount({ Metrics }: AlarmProperties): number {
  return Metrics === undefined ? 1 : Metrics.filter(({ MetricStat }) => MetricStat !== undefined).length;
}

test("by default no more than ten metrics and ten metrics of alarms are beyond what CloudWatch gives for nothing", () => {
  const alarmed = alarmsOf().reduce((sum, alarm) => sum + metricCount(alarm), 0);
  expect(alarmed).toBeLessThanOrEqual(20);
  const own = METRIC_NAMES.map(metricOf).filter((row) => row.kind !== "gauge");
  const ofAll = own.filter(({ isOfStreamTier, isRare }) => !isOfStreamTier && !isRare);
  expect(ofAll.filter(({ isDetail }) => !isDetail)).toHaveLength(20);
  expect(ofAll).toHaveLength(25);
});

test("each alarm links a section of docs/operations.md, and there is no section without an alarm", async () => {
  const text = await readFile("docs/operations.md", "utf8");
  const [, alarmText = ""] = /\n## Alarms\n([\s\S]*?)\n## /.exec(text) ?? [];
  const headings = [...alarmText.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
  const linked = alarmsOf({ deployment: { metrics: "all", ...STREAM_TIER } }).map(
    ({ AlarmDescription }) => /docs\/operations\.md#([a-z0-9-]+)$/.exec(AlarmDescription)?.[1],
  );
  expect(linked.sort()).toEqual(headings.sort());
});

test("every function that answers callers is watched for failures, and but for pages for throttling", () => {
  const template = Template.fromStack(deployment().service);
  const answering = Object.values(template.findResources("AWS::ApiGateway::Method")).map(({ Properties }) =>
    functionsIn(Properties.Integration.Uri),
  );
  const [integrated, authorizer] = [new Set(answering.flat()), authorizerOf(template)];
  const watched = (metric: string) =>
    Object.values(template.findResources("AWS::CloudWatch::Alarm"))
      .flatMap(({ Properties }) => Properties.Metrics ?? [])
      .filter(({ MetricStat }) => MetricStat?.Metric.MetricName === metric)
      .flatMap(({ MetricStat }) => functionsIn(MetricStat.Metric.Dimensions));
  expect(integrated.size).toBe(4);
  expect(watched("Errors").sort()).toEqual([...integrated].sort());
  // The authorizer's errors and throttles are counted where API Gateway reports them.
  const [pages = ""] = Object.keys(
    template.findResources("AWS::Lambda::Function", { Properties: { ReservedConcurrentExecutions: 20 } }),
  );
  // Nor is a page that one has to load again worth an alarm.
  const others = [...integrated].filter((id) => id !== pages);
  expect(watched("Throttles").sort()).toEqual(others.sort());
  expect(authorizer).toHaveLength(1);
});

test("alarms go to the topic or the address of the settings", () => {
  expect(alarmsOf().every(({ AlarmActions }) => AlarmActions === undefined)).toBe(true);
  const arn = "arn:aws:sns:eu-west-1:123456789012:alarms";
  for (const alarm of alarmsOf({ deployment: { alarmTopic: arn } }))
    expect(alarm.AlarmActions).toEqual([arn]);
  const outputs = (file: object) => Template.fromStack(deployment(file).service).findOutputs("NextAlarms");
  expect(outputs({})).toMatchObject({ NextAlarms: { Value: expect.stringContaining("alarmEmail") } });
  expect(outputs({ deployment: { alarmTopic: arn } })).toEqual({});
  const template = Template.fromStack(deployment({ deployment: { alarmEmail: "ops@example.com" } }).service);
  template.hasResourceProperties("AWS::SNS::Subscription", {
    Protocol: "email",
    Endpoint: "ops@example.com",
  });
  expect(() => alarmsOf({ deployment: { alarmTopic: arn, regions: "eu-west-1,us-east-1" } })).toThrow(
    "alarmEmail",
  );
});

test("the dashboard shows each metric that is recorded, and no other", () => {
  const shown = (file: object) => {
    const [dashboard] = Object.values(
      Template.fromStack(deployment(file).service).findResources("AWS::CloudWatch::Dashboard"),
    );
    const body = JSON.stringify(dashboard?.["Properties"].DashboardBody);
    return METRIC_NAMES.filter((name) => body.includes(metricOf(name).help));
  };
  const basic = METRIC_NAMES.filter((name) => {
    const row = metricOf(name);
    return row.kind === "gauge" || !(row.isDetail || row.isOfStreamTier);
  });
  expect(shown({})).toEqual(basic);
  expect(shown({ deployment: { metrics: "all", ...STREAM_TIER } })).toEqual(METRIC_NAMES);
});

test("queries of the logs are saved under the mirror's name", () => {
  const found = Template.fromStack(deployment().service).findResources("AWS::Logs::QueryDefinition");
  expect(Object.values(found).map(({ Properties }) => Properties.Name)).toEqual([
    "Nearside/worst repositories",
    "Nearside/slow answers",
    "Nearside/failed syncs",
    "Nearside/lost rights",
    "Nearside/refused callers",
  ]);
});

function authorizerOf(template: Template): string[] {
  const found = Object.values(template.findResources("AWS::ApiGateway::Authorizer"));
  return found.flatMap(({ Properties }) => functionsIn(Properties.AuthorizerUri));
}

/** Logical ids of functions that a value refers to. */
function functionsIn(value: unknown): string[] {
  const ids = [...JSON.stringify(value).matchAll(/"(\w+Function[0-9A-F]{8})"/g)].map(([, id = ""]) => id);
  return [...new Set(ids)];
}
