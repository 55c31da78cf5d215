/** What the settings of a deployment make of the stacks. */
import { Match, Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { IDLE_QUEUES, idleMonthPrice } from "../measure/cost.ts";
import { deployment, deployments } from "../support/deployment.ts";

const service = (file: object = {}) => Template.fromStack(deployment(file).service);

/** By the function's construct id. */
function reservedConcurrency(file: object): Record<string, number> {
  const functions = Object.entries(service(file).findResources("AWS::Lambda::Function"));
  return Object.fromEntries(
    functions.map(([id, { Properties }]) => [
      id.replace(/Function.*/, ""),
      Properties.ReservedConcurrentExecutions,
    ]),
  );
}

test("functions that callers start have concurrency of their own, and no busy one takes all of an account", () => {
  const reserved = reservedConcurrency({});
  expect(reserved).toMatchObject({
    Authorizer: 200,
    GitHttp: 400,
    Status: 100,
    Pages: 20,
    Webhook: 50,
    Reconcile: 1,
  });
  const queued = Object.values(service().findResources("AWS::Lambda::EventSourceMapping")).map(
    ({ Properties }) => Number(Properties.ScalingConfig.MaximumConcurrency),
  );
  expect(queued.toSorted((a, b) => a - b)).toEqual([10, 10, 84]);
  const sum = [...Object.values(reserved), ...queued].reduce((total, one) => total + (one ?? 0), 0);
  // An account has 1,000, and reserves at most 900 of them.
  expect(sum).toBeLessThanOrEqual(900);
});

test("an account too small for reservations gets none", () => {
  const names = ["git", "authorizer", "status", "pages", "webhook", "reconcile"];
  const settings = Object.fromEntries(names.map((name) => [`${name}Concurrency`, 0]));
  expect(Object.values(reservedConcurrency({ deployment: settings })).filter(Boolean)).toEqual([]);
});

test("the API has a limit of requests, its own name, and text with a time to try again for failures", () => {
  const template = service({ deployment: { requestsPerSecond: 50 } });
  template.hasResourceProperties("AWS::ApiGateway::Stage", {
    MethodSettings: [Match.objectLike({ ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 })],
  });
  template.hasResourceProperties("AWS::ApiGateway::RestApi", { Name: "Nearside-Service" });
  for (const [type, status] of [
    ["THROTTLED", "429"],
    ["DEFAULT_5XX", Match.absent()],
  ])
    template.hasResourceProperties("AWS::ApiGateway::GatewayResponse", {
      ResponseType: type,
      StatusCode: status,
      ResponseParameters: { "gatewayresponse.header.Retry-After": "'10'" },
      ResponseTemplates: Match.objectLike({ "text/plain": Match.stringLikeRegexp("try again in 10 s\n$") }),
    });
});

test("the access log has times and causes, and nothing that could hold a secret", () => {
  const [stage] = Object.values(service().findResources("AWS::ApiGateway::Stage"));
  const format: string = stage?.["Properties"].AccessLogSetting.Format;
  const fields = Object.values(JSON.parse(format) as Record<string, string>);
  for (const field of ["path", "status", "responseLatency", "integration.latency", "error.responseType"])
    expect(fields).toContain(`$context.${field}`);
  for (const field of fields) {
    expect(field).toMatch(/^\$context\.[\w.]+$/);
    // Headers, queries, and what the authorizer hands to the function.
    expect(field).not.toMatch(/header|querystring|authorizer\.(access|principalId)|error\.message/i);
  }
});

test("status and wait have a small function of their own", () => {
  const template = service();
  const [[id]] = Object.entries(
    template.findResources("AWS::Lambda::Function", { Properties: { MemorySize: 256, Timeout: 300 } }),
  ) as [[string, unknown]];
  expect(id).toMatch(/^Status/);
  template.hasResourceProperties("AWS::ApiGateway::Method", {
    HttpMethod: "ANY",
    AuthorizationType: "CUSTOM",
    ResourceId: { Ref: Match.stringLikeRegexp("^GitEndpointApirepositoriesproxy") },
    Integration: Match.objectLike({
      ResponseTransferMode: "STREAM",
      Uri: { "Fn::Join": ["", Match.arrayWith([{ "Fn::GetAtt": [id, "Arn"] }])] },
    }),
  });
});

test("rounds of reconcile are not repeated when they fail", () => {
  service().hasResourceProperties("AWS::Lambda::EventInvokeConfig", {
    MaximumRetryAttempts: 0,
    MaximumEventAgeInSeconds: 300,
  });
});

test("each region gets a mirror, with the same names", () => {
  const { mirrors } = deployments({ deployment: { regions: "eu-west-1,ap-southeast-2" } });
  expect(mirrors.map(({ service: stack }) => [stack.region, stack.stackName])).toEqual([
    ["eu-west-1", "Nearside-Service"],
    ["ap-southeast-2", "Nearside-Service"],
  ]);
  const templates = mirrors.map(({ service: stack }) => Template.fromStack(stack).toJSON());
  expect(JSON.stringify(templates[0])).not.toContain("ap-southeast-2");
  expect(JSON.stringify(templates[1])).not.toContain("eu-west-1");
  // A region that is added changes nothing where a mirror is already.
  const alone = service({ deployment: { regions: "eu-west-1" } }).toJSON();
  expect(templates[0]).toEqual(alone);
});

test("a bucket that was kept is used again, behind a policy of its own", () => {
  const file = { allowedAddresses: ["203.0.113.0/24"], deployment: { existingBucket: "kept-bucket" } };
  const { storage, service: stack } = deployment(file);
  const template = Template.fromStack(storage);
  template.resourceCountIs("AWS::S3::Bucket", 0);
  template.hasResourceProperties("AWS::S3::BucketPolicy", {
    Bucket: "kept-bucket",
    PolicyDocument: {
      Statement: [
        Match.objectLike({ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } }),
        Match.objectLike({ Sid: "LinksOnlyFromAllowedAddresses" }),
      ],
    },
  });
  Template.fromStack(stack).hasResourceProperties("AWS::Lambda::Function", {
    Environment: { Variables: Match.objectLike({ NEARSIDE_BUCKET: "kept-bucket" }) },
  });
});

test("tags, a boundary of permissions and the bootstrap's qualifier are on everything", () => {
  const settings = { tags: "team=git,stage=test", permissionsBoundary: "limits", bootstrapQualifier: "acme" };
  const { app, service: stack, storage } = deployment({ deployment: settings });
  const template = Template.fromStack(stack);
  for (const { Properties } of Object.values(template.findResources("AWS::IAM::Role"))) {
    expect(JSON.stringify(Properties.PermissionsBoundary)).toContain(":policy/limits");
    expect(Properties.Tags).toContainEqual({ Key: "team", Value: "git" });
  }
  for (const one of [stack, storage]) {
    const artifact = app.synth().getStackByName(one.stackName);
    expect(artifact.tags).toEqual({ team: "git", stage: "test" });
    expect(artifact.assumeRoleArn).toContain("cdk-acme-deploy-role");
  }
});

test("the outputs are the next commands to type", () => {
  const outputs = Object.keys(service().findOutputs("*"));
  for (const name of ["GitUrl", "BucketName", "SyncQueueUrl", "NextStoreAccount", "NextConnect", "NextCheck"])
    expect(outputs).toContain(name);
});

const ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/abc";
const SECOND_ARN = "arn:aws:acm:us-east-1:123456789012:certificate/def";

test("a name of its own is the mirror's address, and leads to the nearest of several regions", () => {
  const settings = {
    domainName: "git.example.com",
    certificateArns: `${ARN},${SECOND_ARN}`,
    hostedZoneId: "Z1",
  };
  const { mirrors } = deployments({ deployment: { ...settings, regions: "eu-west-1,us-east-1" } });
  const [first, second] = mirrors.map(({ service: stack }) => Template.fromStack(stack));
  first?.hasResourceProperties("AWS::ApiGateway::DomainName", {
    DomainName: "git.example.com",
    RegionalCertificateArn: ARN,
    SecurityPolicy: "TLS_1_2",
  });
  second?.hasResourceProperties("AWS::ApiGateway::DomainName", { RegionalCertificateArn: SECOND_ARN });
  second?.hasResourceProperties("AWS::Route53::RecordSet", {
    HostedZoneId: "Z1",
    Name: "git.example.com",
    Region: "us-east-1",
    SetIdentifier: "us-east-1",
  });
  first?.hasOutput("GitUrl", { Value: "https://git.example.com/" });
  first?.hasResourceProperties("AWS::Lambda::Function", {
    Environment: { Variables: Match.objectLike({ NEARSIDE_MIRROR_URL: "https://git.example.com/" }) },
  });
  const refused = (deploymentSettings: object) => () => deployments({ deployment: deploymentSettings });
  expect(refused({ domainName: "git.example.com" })).toThrow("belong together");
  expect(refused({ ...settings, regions: "ap-southeast-2" })).toThrow("no certificate in ap-southeast-2");
});

test("the API and its name can be reached by IPv6", () => {
  const settings = { ipAddressType: "dualstack", domainName: "git.example.com", certificateArns: ARN };
  const template = service({ deployment: settings });
  for (const type of ["AWS::ApiGateway::RestApi", "AWS::ApiGateway::DomainName"])
    template.hasResourceProperties(type, {
      EndpointConfiguration: { Types: ["REGIONAL"], IpAddressType: "dualstack" },
    });
});

test("WAF limits the requests of one address", () => {
  const template = service({ deployment: { wafRequestsPerFiveMinutes: 2_000 } });
  template.hasResourceProperties("AWS::WAFv2::WebACL", {
    Scope: "REGIONAL",
    Rules: [
      Match.objectLike({
        Statement: { RateBasedStatement: { Limit: 2_000, AggregateKeyType: "IP" } },
        Action: { Block: { CustomResponse: Match.objectLike({ ResponseCode: 429 }) } },
      }),
    ],
  });
  template.resourceCountIs("AWS::WAFv2::WebACLAssociation", 1);
  service().resourceCountIs("AWS::WAFv2::WebACL", 0);
  expect(() => service({ deployment: { wafRequestsPerFiveMinutes: 9 } })).toThrow("at least 10");
});

test("functions that ask Bitbucket do so from one address, and no other is in the network", () => {
  const template = service({ deployment: { egress: "fixed" } });
  template.resourceCountIs("AWS::EC2::NatGateway", 1);
  template.hasResourceProperties("AWS::EC2::VPCEndpoint", { VpcEndpointType: "Gateway" });
  const functions = Object.entries(template.findResources("AWS::Lambda::Function"));
  const inside = functions.filter(([, { Properties }]) => Properties.VpcConfig !== undefined);
  expect(inside.map(([id]) => id.replace(/Function.*/, "")).toSorted()).toEqual([
    "Administer",
    "Authorizer",
    "GitHttp",
    "LfsSync",
    "Pages",
    "Reconcile",
    "Sync",
  ]);
  template.hasOutput("EgressAddress", {});
  service().resourceCountIs("AWS::EC2::VPC", 0);
});

test("a key of one's own encrypts bucket, queues and secret, and each function may use it", () => {
  const kmsKeyArn = "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";
  const { storage, service: stack } = deployment({ deployment: { kmsKeyArn } });
  const template = Template.fromStack(stack);
  for (const { Properties } of Object.values(template.findResources("AWS::SQS::Queue")))
    expect(Properties.KmsMasterKeyId).toBe(kmsKeyArn);
  const policies = Object.values(template.findResources("AWS::IAM::Policy")).map(({ Properties }) =>
    JSON.stringify(Properties.PolicyDocument),
  );
  const roles = Object.keys(template.findResources("AWS::IAM::Role"));
  expect(policies.filter((text) => text.includes(kmsKeyArn))).toHaveLength(roles.length);
  Template.fromStack(storage).hasResourceProperties("AWS::S3::Bucket", {
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [
        {
          BucketKeyEnabled: true,
          ServerSideEncryptionByDefault: { KMSMasterKeyID: kmsKeyArn, SSEAlgorithm: "aws:kms" },
        },
      ],
    },
  });
  Template.fromStack(storage).hasResourceProperties("AWS::SecretsManager::Secret", { KmsKeyId: kmsKeyArn });
});

test("an idle month costs less than 2 dollars, by the queues and alarms that are deployed", () => {
  const template = service();
  const mappings = Object.keys(template.findResources("AWS::Lambda::EventSourceMapping"));
  expect(mappings).toHaveLength(IDLE_QUEUES);
  const alarms = Object.keys(template.findResources("AWS::CloudWatch::Alarm")).length;
  expect(alarms).toBeGreaterThan(0);
  const sum = Object.values(idleMonthPrice(alarms)).reduce((total, price) => total + price, 0);
  expect(sum).toBeGreaterThan(0.5);
  expect(sum).toBeLessThan(2);
});
