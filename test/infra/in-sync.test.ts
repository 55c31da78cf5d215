/** What keeps the deployed mirror in step: webhooks, queue, schedule, secrets. */

import { Match, Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { CONFIG_LIMITS } from "../../lib/mirror/mirror-config.ts";
import { GROUPS_PER_RECEIVER } from "../../lib/relay/relay-message.ts";
import { deployment, permissions } from "../support/deployment.ts";

test("takes webhooks from anyone, at one address, for as long as Bitbucket waits", () => {
  const template = Template.fromStack(deployment().service);
  const { ref: webhooks } = resourceAt(template, "webhooks");
  template.hasResourceProperties("AWS::ApiGateway::Resource", {
    PathPart: "{workspace}",
    ParentId: { Ref: webhooks },
  });
  template.hasResourceProperties("AWS::ApiGateway::Method", {
    HttpMethod: "POST",
    AuthorizationType: "NONE",
    Integration: { ResponseTransferMode: "STREAM" },
  });
  template.hasResourceProperties("AWS::Lambda::Function", { Timeout: 9 });
});

test("takes them from the addresses that are set, if any are", () => {
  const variablesOf = (file: object) => {
    const functions = Template.fromStack(deployment(file).service).findResources("AWS::Lambda::Function");
    return Object.values(functions)
      .map(({ Properties }) => Properties.Environment?.Variables?.NEARSIDE_WEBHOOK_ADDRESSES)
      .filter((value) => value !== undefined);
  };
  expect(variablesOf({})).toEqual(["any"]);
  const webhookAddresses = ["203.0.113.0/24", "198.51.100.7", "2001:db8::/32"];
  expect(variablesOf({ webhookAddresses })).toEqual(["203.0.113.0/24,198.51.100.7/32,2001:db8::/32"]);
});

test("reconciles every five minutes", () => {
  Template.fromStack(deployment().service).hasResourceProperties("AWS::Events::Rule", {
    ScheduleExpression: "rate(5 minutes)",
    State: "ENABLED",
  });
});

test("lets the webhook function read the configuration and one secret, send, and announce; no more", () => {
  const lines = permissions(deployment().service, "Webhook");
  const actions = lines.map((line) => line.split(" ")[0]);
  expect(actions.toSorted()).toEqual([
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "sqs:SendMessage",
    "ssm:GetParameter",
  ]);
  expect(lines.find((line) => line.startsWith("s3:GetObject"))).toContain("/config.json");
  expect(lines.find((line) => line.startsWith("s3:PutObject"))).toContain("/repos/*/announced");
  expect(lines.find((line) => line.startsWith("ssm:"))).toContain(":parameter/nearside/webhook-secret");
});

test("lets secrets be read below the one path that is set, and only the webhooks' be written", () => {
  const lines = ["Sync", "Reconcile", "Webhook", "GitHttp"].flatMap((id) =>
    permissions(deployment({ deployment: { secretPath: "/acme/git/" } }).service, id).filter((line) =>
      line.startsWith("ssm:"),
    ),
  );
  for (const line of lines) expect(line).toContain(":parameter/acme/git/");
  const written = lines.filter((line) => line.startsWith("ssm:PutParameter"));
  expect(written).toHaveLength(1);
  expect(written[0]).toContain(":parameter/acme/git/webhook-secret");
});

test("lets functions that ask Bitbucket read the accounts' secrets, and not what signs webhooks", () => {
  const secretsOf = (id: string) =>
    permissions(deployment().service, id).flatMap((line) => {
      const [, action, name] = /^(ssm:\w+) .*:parameter\/nearside\/([\w*/-]+)/.exec(line) ?? [];
      return action === undefined ? [] : [`${action} ${name}`];
    });
  const accounts = "ssm:GetParameter accounts/*";
  for (const id of ["AuthorizerRole", "SyncRole", "LfsSyncRole"]) expect(secretsOf(id)).toEqual([accounts]);
  const own = ["ssm:GetParameter webhook-secret", "ssm:PutParameter webhook-secret"];
  expect(secretsOf("ReconcileRole").toSorted()).toEqual([accounts, ...own]);
  expect(secretsOf("WebhookRole")).toEqual(["ssm:GetParameter webhook-secret"]);
  expect(secretsOf("RelayRole")).toEqual(["ssm:GetParameter relay/*"]);
  expect(secretsOf("GitHttpRole")).toEqual([]);
});

test("lets the copier write LFS files and what is known of them, read repositories, and queue; no more", () => {
  const lines = permissions(deployment().service, "LfsSyncRole").filter((line) => !line.startsWith("logs:"));
  const written = lines.filter((line) => /^s3:(Put|Delete|Abort)/.test(line));
  const keys = new Set(written.flatMap((line) => [...line.matchAll(/"\/([^"]+)"/g)].map(([, key]) => key)));
  expect([...keys].toSorted()).toEqual([
    "lfs-parts/*",
    "lfs-sweep.json",
    "lfs/*",
    "repos/*/lfs.json",
    "repos/*/lfs/*",
    "repos/*/objects/pack/*.lfs-1",
  ]);
  const others = lines.filter((line) => !written.includes(line)).map((line) => line.split(" ")[0]);
  expect([...new Set(others)].toSorted()).toEqual([
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
    "ssm:GetParameter",
  ]);
});

test("lets the relay read the configuration and its own secrets, and put events of its own; no more", () => {
  const { service } = deployment();
  const lines = permissions(service, "RelayRole").filter((line) => !line.startsWith("logs:"));
  expect(lines.map((line) => line.split(" ")[0]).toSorted()).toEqual([
    "events:PutEvents",
    "s3:GetObject",
    "s3:ListBucket",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
    "ssm:GetParameter",
  ]);
  expect(lines.find((line) => line.startsWith("ssm:"))).toContain(":parameter/nearside/relay/*");
  expect(lines.find((line) => line.startsWith("events:"))).toContain(":event-bus/default");
  Template.fromStack(service).hasResourceProperties("AWS::Lambda::Function", {
    Timeout: 60,
    Environment: { Variables: Match.objectLike({ NEARSIDE_MIRROR_URL: Match.anyValue() }) },
  });
});

test("lets reconcile change records, names and the configuration, but no repository", () => {
  const written = permissions(deployment().service, "Reconcile").filter((line) =>
    /^s3:(Put|Delete)/.test(line),
  );
  expect(written.length).toBeGreaterThan(0);
  for (const line of written) expect(line).not.toMatch(/repos/);
  // It reserves names, and releases those that belong to others now: a removed document leaves a tombstone.
  const namesOf = (action: string) =>
    written.filter((line) => line.startsWith(action) && line.includes("names/*")).length;
  expect([namesOf("s3:PutObject"), namesOf("s3:DeleteObject")]).toEqual([1, 0]);
});

test("has room for all receivers of the relay that there may be, should all of them hang", () => {
  const mappings = Template.fromStack(deployment().service).findResources("AWS::Lambda::EventSourceMapping", {
    Properties: { EventSourceArn: { "Fn::GetAtt": [Match.stringLikeRegexp("^RelayQueue"), "Arn"] } },
  });
  expect(
    Object.values(mappings).map(({ Properties }) => Properties.ScalingConfig.MaximumConcurrency),
  ).toEqual([GROUPS_PER_RECEIVER * (CONFIG_LIMITS.maxRelayWebhooks + 1)]);
});

/** The API's resource for a part of the path. */
function resourceAt(template: Template, pathPart: string): { ref: string } {
  const found = template.findResources("AWS::ApiGateway::Resource", { Properties: { PathPart: pathPart } });
  const [ref = ""] = Object.keys(found);
  return { ref };
}
