/** What a deployment with every setting at its default consists of: what is added or lost by accident, as by another release of CDK, shows here. */
import type { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { deployment } from "../support/deployment.ts";

/** @returns How many of each type. */
function resourcesOf(stack: Stack): Record<string, number> {
  const { Resources } = Template.fromStack(stack).toJSON() as { Resources: Record<string, { Type: string }> };
  const counts: Record<string, number> = {};
  for (const { Type } of Object.values(Resources)) counts[Type] = (counts[Type] ?? 0) + 1;
  return counts;
}

function functionsOf(stack: Stack): string[] {
  return Object.entries(Template.fromStack(stack).findResources("AWS::Lambda::Function"))
    .map(([id, { Properties }]) => {
      const { MemorySize, Timeout, Runtime } = Properties;
      return `${id.replace(/Function[0-9A-F]{8}$/, "")}: ${MemorySize} MiB, ${Timeout} s, ${Runtime}`;
    })
    .toSorted();
}

test("resources", () => {
  const { storage, service } = deployment();
  expect(resourcesOf(storage)).toMatchInlineSnapshot(`
    {
      "AWS::S3::Bucket": 1,
      "AWS::S3::BucketPolicy": 1,
      "AWS::SecretsManager::Secret": 1,
    }
  `);
  expect(resourcesOf(service)).toMatchInlineSnapshot(`
    {
      "AWS::ApiGateway::Authorizer": 1,
      "AWS::ApiGateway::Deployment": 1,
      "AWS::ApiGateway::GatewayResponse": 7,
      "AWS::ApiGateway::Method": 6,
      "AWS::ApiGateway::Resource": 7,
      "AWS::ApiGateway::RestApi": 1,
      "AWS::ApiGateway::Stage": 1,
      "AWS::CloudWatch::Alarm": 15,
      "AWS::CloudWatch::Dashboard": 1,
      "AWS::Events::Rule": 1,
      "AWS::IAM::Policy": 9,
      "AWS::IAM::Role": 9,
      "AWS::Lambda::EventInvokeConfig": 1,
      "AWS::Lambda::EventSourceMapping": 3,
      "AWS::Lambda::Function": 9,
      "AWS::Lambda::Permission": 8,
      "AWS::Logs::LogGroup": 10,
      "AWS::Logs::MetricFilter": 2,
      "AWS::Logs::QueryDefinition": 4,
      "AWS::SQS::Queue": 6,
      "AWS::SQS::QueuePolicy": 6,
    }
  `);
});

test("functions", () => {
  expect(functionsOf(deployment().service)).toMatchInlineSnapshot(`
    [
      "Authorizer: 512 MiB, 29 s, nodejs24.x",
      "GitHttp: 1769 MiB, 900 s, nodejs24.x",
      "LfsSync: 1769 MiB, 900 s, nodejs24.x",
      "Pages: 512 MiB, 29 s, nodejs24.x",
      "Reconcile: 1769 MiB, 900 s, nodejs24.x",
      "Relay: 512 MiB, 60 s, nodejs24.x",
      "Status: 256 MiB, 300 s, nodejs24.x",
      "Sync: 3538 MiB, 900 s, nodejs24.x",
      "Webhook: 1769 MiB, 9 s, nodejs24.x",
    ]
  `);
});
