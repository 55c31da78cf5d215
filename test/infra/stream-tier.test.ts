import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { deployment, permissions } from "../support/deployment.ts";

const CERTIFICATE = "arn:aws:acm:eu-west-1:111122223333:certificate/0000-1111";
const TIER = {
  streamTier: "fargate",
  streamTierUrl: "https://bulk.mirror.example.com",
  streamTierCertificate: CERTIFICATE,
  // An image that is built is hashed with all of its files.
  streamTierImage: "example.com/nearside:1",
};

const templateOf = (tier: object = {}, common: object = {}) =>
  Template.fromStack(deployment({ ...common, deployment: { ...TIER, ...tier } }).service);

type Resources = Readonly<Record<string, { readonly Type: string }>>;

function typesOfChanged(before: Resources, after: Resources): (string | undefined)[] {
  const ids = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = ids.filter((id) => JSON.stringify(before[id]) !== JSON.stringify(after[id]));
  return changed.map((id) => after[id]?.Type).toSorted();
}

test("the authorizer and the pages get a changed secret by a deploy with its version", () => {
  const [none = {}, first = {}, second = {}] = [undefined, "1".repeat(32), "2".repeat(32)].map(
    (authSecretVersion) =>
      Template.fromStack(deployment({ deployment: { authSecretVersion } }).service).toJSON()["Resources"],
  );
  expect(typesOfChanged(none, first)).toEqual(["AWS::Lambda::Function", "AWS::Lambda::Function"]);
  expect(typesOfChanged(first, second)).toEqual(["AWS::Lambda::Function", "AWS::Lambda::Function"]);
});

test("there is no stream tier by default, and it costs nothing then", () => {
  const template = Template.fromStack(deployment().service);
  for (const type of ["AWS::ECS::Service", "AWS::EC2::VPC", "AWS::ElasticLoadBalancingV2::LoadBalancer"])
    template.resourceCountIs(type, 0);
  expect(JSON.stringify(template.toJSON())).not.toContain(ENV.streamTierUrl);
});

describe("the stream tier", () => {
  test("is a service of containers with public addresses and a gateway to S3, without NAT", () => {
    const template = templateOf({ streamTierTasks: 3 });
    template.hasResourceProperties("AWS::ECS::Service", {
      DesiredCount: 3,
      LaunchType: "FARGATE",
      NetworkConfiguration: { AwsvpcConfiguration: Match.objectLike({ AssignPublicIp: "ENABLED" }) },
    });
    template.resourceCountIs("AWS::EC2::NatGateway", 0);
    template.hasResourceProperties("AWS::EC2::VPCEndpoint", { VpcEndpointType: "Gateway" });
    template.resourceCountIs("AWS::ApplicationAutoScaling::ScalableTarget", 0);
  });

  test("runs the server with a read-only root, and with its keys as a secret", () => {
    const ranges = { allowedAddresses: ["203.0.113.0/24"] };
    const template = templateOf({}, { ...ranges, gitUrl: "https://git.example.com" });
    template.hasResourceProperties("AWS::ECS::TaskDefinition", {
      RuntimePlatform: { CpuArchitecture: "ARM64", OperatingSystemFamily: "LINUX" },
      Volumes: [{ Name: "tmp" }],
      ContainerDefinitions: [
        Match.objectLike({
          Image: "example.com/nearside:1",
          ReadonlyRootFilesystem: true,
          StopTimeout: 120,
          MountPoints: [{ ContainerPath: "/tmp", ReadOnly: false, SourceVolume: "tmp" }],
          Secrets: [Match.objectLike({ Name: ENV.streamTierKeys })],
        }),
      ],
    });
    const [definition] = Object.values(template.findResources("AWS::ECS::TaskDefinition"));
    const { Command, Environment } = definition?.["Properties"].ContainerDefinitions[0] ?? {};
    expect(Command.slice(0, 2)).toEqual(["serve", "--tier"]);
    expect(Command).toEqual(expect.arrayContaining(["--git-url", "https://git.example.com"]));
    expect(Command.slice(-4)).toEqual([
      ...["--trusted-proxy", "10.174.0.0/24"],
      ...["--allow-address", "203.0.113.0/24"],
    ]);
    expect(Environment.map(({ Name }: { Name: string }) => Name)).toEqual([
      ENV.syncQueueUrl,
      ENV.logLevel,
      ENV.stackPrefix,
      ENV.metrics,
    ]);
  });

  test("is reached by HTTPS alone, and asked for its health", () => {
    const template = templateOf();
    template.resourceCountIs("AWS::ElasticLoadBalancingV2::Listener", 1);
    template.hasResourceProperties("AWS::ElasticLoadBalancingV2::Listener", {
      Port: 443,
      Protocol: "HTTPS",
      Certificates: [{ CertificateArn: CERTIFICATE }],
      SslPolicy: Match.stringLikeRegexp("TLS13"),
    });
    template.hasResourceProperties("AWS::ElasticLoadBalancingV2::TargetGroup", {
      HealthCheckPath: "/-/health",
      TargetType: "ip",
    });
    // Its path has a token; see docs/large-repositories.md.
    const [balancer] = Object.values(template.findResources("AWS::ElasticLoadBalancingV2::LoadBalancer"));
    expect(balancer?.["Properties"].LoadBalancerAttributes).not.toContainEqual(
      expect.objectContaining({ Key: "access_logs.s3.enabled", Value: "true" }),
    );
  });

  test("is built from the files that its image needs: others change no task", async () => {
    const { app } = deployment({ deployment: { ...TIER, streamTierImage: undefined } });
    app.synth();
    const [image] = (await readdir(app.outdir)).filter((name) =>
      existsSync(join(app.outdir, name, "Dockerfile")),
    );
    const folder = join(app.outdir, image ?? "");
    const files = await readdir(folder);
    expect(files.filter((name) => !name.startsWith(".docker")).toSorted()).toEqual([
      ...["Dockerfile", "LICENSE", "cdk.json", "functions", "infra", "lib"],
      ...["package-lock.json", "package.json", "test", "tsconfig.json"],
    ]);
    expect(await readdir(join(folder, "test", "support"))).toEqual(["fake-bitbucket", "git"]);
    const { metafile } = await build({
      ...{ entryPoints: ["functions/nearside.ts"], bundle: true, platform: "node", format: "esm" },
      ...{ packages: "external", splitting: true, outdir: folder, write: false, metafile: true },
    });
    expect(Object.keys(metafile.inputs).filter((name) => !existsSync(join(folder, name)))).toEqual([]);
  });

  test("is what the git function redirects to, with the same keys", () => {
    const template = templateOf({ streamTierThresholdMib: 50 });
    template.hasResourceProperties("AWS::Lambda::Function", {
      Environment: {
        Variables: Match.objectLike({
          [ENV.streamTierUrl]: "https://bulk.mirror.example.com",
          [ENV.streamTierKeys]: Match.anyValue(),
          [ENV.streamTierThresholdMib]: "50",
        }),
      },
    });
    const functions = Object.values(template.findResources("AWS::Lambda::Function"));
    const withKeys = functions.filter((one) => JSON.stringify(one).includes(ENV.streamTierKeys));
    expect(withKeys).toHaveLength(1);
  });

  test("gets changed keys by a deploy with their version: the function and the tasks, and nothing else", () => {
    const versions = [undefined, "1".repeat(32), "2".repeat(32)];
    const [none = {}, first = {}, second = {}] = versions.map(
      (streamTierKeysVersion) => templateOf({ streamTierKeysVersion }).toJSON()["Resources"],
    );
    const changed = ["AWS::ECS::TaskDefinition", "AWS::Lambda::Function"];
    expect(typesOfChanged(none, first)).toEqual(changed);
    expect(typesOfChanged(first, second)).toEqual(changed);
  });

  test("may read repositories, keep answers and ask for syncs", () => {
    const lines = permissions(deployment({ deployment: TIER }).service, "StreamTierTaskRole");
    expect([...new Set(lines.map((line) => line.split(" ")[0]))].toSorted()).toEqual([
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:ListBucket",
      "s3:PutObject",
      "sqs:SendMessage",
    ]);
    for (const line of lines.filter((one) => /^s3:(Put|Delete|Abort)/.test(one)))
      expect(line).toMatch(/\/answers\/\*/);
    expect(lines.join()).not.toMatch(/\/(auth|workspaces|refused)\/\*/);
  });

  test.each([
    ["always", ["away", "errors", "refusals", "unhealthy"]],
    ["MON-FRI 07:00-19:00 Europe/Berlin", ["errors", "refusals", "unhealthy"]],
  ])("that runs %s has alarms of its own", (streamTierSchedule, names) => {
    const alarms = Object.values(templateOf({ streamTierSchedule }).findResources("AWS::CloudWatch::Alarm"));
    const own = alarms
      .map(({ Properties }) => Properties)
      .filter(({ AlarmName }) => AlarmName.startsWith("Nearside-stream-tier-"));
    expect(own.map(({ AlarmName }) => AlarmName.slice("Nearside-stream-tier-".length)).toSorted()).toEqual(
      names,
    );
    const away = own.find(({ AlarmName }) => AlarmName.endsWith("-away"));
    // No task at all: there is no measurement then.
    expect(away?.TreatMissingData).toBe(names.includes("away") ? "breaching" : undefined);
  });

  test("runs by a schedule", () => {
    const template = templateOf({
      streamTierTasks: 2,
      streamTierSchedule: "MON-FRI 07:00-19:30 Europe/Berlin",
    });
    template.hasResourceProperties("AWS::ApplicationAutoScaling::ScalableTarget", {
      MinCapacity: 0,
      MaxCapacity: 0,
      ScheduledActions: [
        Match.objectLike({
          Schedule: "cron(0 7,8,9,10,11,12,13,14,15,16,17,18,19 ? * MON-FRI *)",
          Timezone: "Europe/Berlin",
          ScalableTargetAction: { MinCapacity: 2, MaxCapacity: 2 },
        }),
        Match.objectLike({
          // At night it is off on all days.
          Schedule: "cron(30 0,1,2,3,4,5,6,19,20,21,22,23 ? * * *)",
          ScalableTargetAction: { MinCapacity: 0, MaxCapacity: 0 },
        }),
      ],
    });
  });

  test.each([
    [{ streamTierUrl: undefined }, "streamTier needs streamTierUrl and streamTierCertificate"],
    [{ streamTierUrl: "http://bulk.example.com" }, "streamTierUrl must be https://"],
    [{ streamTierUrl: "https://bulk.example.com/git" }, "streamTierUrl must be https://"],
    [{ streamTierSchedule: "MON-FRI 19:00-07:00 Europe/Berlin" }, "must begin before it ends"],
    [{ streamTierSchedule: "daily" }, "streamTierSchedule must be always, or days"],
    [{ streamTierCertificate: "cert" }, "streamTierCertificate must be the ARN"],
    [{ streamTierKeysVersion: "AWSCURRENT" }, "streamTierKeysVersion must be the id of a secret's version"],
  ])("%j is refused", (wrong, message) => {
    expect(() => templateOf(wrong)).toThrow(message);
  });

  test("cdk-nag finds nothing in it but what is acknowledged", () => {
    const { app } = deployment({ deployment: TIER });
    app.synth();
    const findings = new AwsSolutionsChecks()
      .validateScope(app)
      .violations.flatMap(({ ruleName, violatingResources }) =>
        violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`),
      )
      .filter((text) => text.includes("/StreamTier/"));
    expect(findings.filter((text) => !ACKNOWLEDGED.some(({ finding }) => finding.test(text)))).toEqual([]);
    const stale = ACKNOWLEDGED.filter(({ finding }) => !findings.some((text) => finding.test(text)));
    expect(stale).toEqual([]);
  });
});

const ACKNOWLEDGED: readonly { readonly finding: RegExp; readonly reason: string }[] = [
  {
    finding: /^AwsSolutions-SMG4 /,
    reason:
      "Tokens live for an hour; how to change the key without an interruption is in docs/large-repositories.md.",
  },
  {
    finding: /^AwsSolutions-VPC7 /,
    reason: "Flow logs cost money; the servers log each request, with the client's address.",
  },
  {
    finding: /^AwsSolutions-EC23 /,
    reason:
      "Git clients are anywhere. The servers check the allow list; the git function asks for their health.",
  },
  {
    finding: /^AwsSolutions-ELB2 /,
    reason: "The load balancer's log would have paths, which hold tokens. The servers log without them.",
  },
  {
    finding: /^AwsSolutions-ECS4 /,
    reason: "Container Insights costs money by the metric; what counts is in the servers' log.",
  },
  {
    finding: /^AwsSolutions-ECS2 /,
    reason: "The variable names a queue and is no secret.",
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::[^\]]*\/(names|projects|repos|answers)\/\*[^\]]*\] /,
    reason: "Keys below these prefixes are made at run time.",
  },
];
