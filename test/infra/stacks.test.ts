import { Match, Template } from "aws-cdk-lib/assertions";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, test } from "vitest";
import { SERVING_NODE_OPTIONS } from "../../infra/bundle.ts";
import { deployment, permissions } from "../support/deployment.ts";

describe("the service stack", () => {
  test("streams git's responses for up to 15 minutes", () => {
    Template.fromStack(deployment().service).hasResourceProperties("AWS::ApiGateway::Method", {
      HttpMethod: "ANY",
      Integration: {
        Type: "AWS_PROXY",
        ResponseTransferMode: "STREAM",
        TimeoutInMillis: 900_000,
        Uri: { "Fn::Join": ["", Match.arrayWith(["/response-streaming-invocations"])] },
      },
    });
  });

  test("hands git's request bodies over as bytes and compresses nothing", () => {
    Template.fromStack(deployment().service).hasResourceProperties("AWS::ApiGateway::RestApi", {
      BinaryMediaTypes: ["application/x-git-upload-pack-request"],
      EndpointConfiguration: { Types: ["REGIONAL"] },
      MinimumCompressionSize: Match.absent(),
    });
  });

  test("lets no caller past the authorizer, which API Gateway asks each time", () => {
    const template = Template.fromStack(deployment().service);
    const methods = template.findResources("AWS::ApiGateway::Method");
    expect(Object.values(methods).length).toBeGreaterThan(0);
    const open = Object.entries(methods).filter(
      ([, { Properties }]) => Properties.AuthorizationType !== "CUSTOM",
    );
    // Pages have sessions and decide by themselves; webhooks are authenticated by their signature.
    expect(open.map(([id]) => id.replace(/[0-9A-F]{8}$/, "")).toSorted()).toEqual([
      "GitEndpointApiGET",
      "GitEndpointApiproxyANY",
      "GitEndpointApiwebhooksworkspacePOST",
    ]);
    template.hasResourceProperties("AWS::ApiGateway::Authorizer", {
      Type: "REQUEST",
      AuthorizerResultTtlInSeconds: 0,
      IdentitySource: "",
    });
  });

  test("challenges git by API Gateway's own answer, with the header that functions cannot send", () => {
    const header = { "gatewayresponse.header.WWW-Authenticate": Match.stringLikeRegexp("^'Basic realm=") };
    Template.fromStack(deployment().service).hasResourceProperties("AWS::ApiGateway::GatewayResponse", {
      ResponseType: "UNAUTHORIZED",
      StatusCode: "401",
      ResponseParameters: Match.objectLike(header),
    });
  });

  test.each(["AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"])(
    "answers %s with 503, when to try again, and a line of text",
    (type) => {
      const [response] = Object.values(
        Template.fromStack(deployment().service).findResources("AWS::ApiGateway::GatewayResponse", {
          Properties: { ResponseType: type },
        }),
      );
      expect(response?.["Properties"]).toMatchObject({
        StatusCode: "503",
        ResponseParameters: { "gatewayresponse.header.Retry-After": "'10'" },
        ResponseTemplates: { "text/plain": expect.stringMatching(/^[^"$\n]+ try again in 10 s\n$/) },
      });
    },
  );

  /** Lambda's refusal of an invocation becomes INTEGRATION_FAILURE where that is set, and else 500. */
  test.each(["THROTTLED", "INTEGRATION_FAILURE"])(
    "answers %s with 429 and when to try again",
    (ResponseType) => {
      Template.fromStack(deployment().service).hasResourceProperties("AWS::ApiGateway::GatewayResponse", {
        ...{ ResponseType, StatusCode: "429" },
        ResponseParameters: { "gatewayresponse.header.Retry-After": "'10'" },
        ResponseTemplates: Match.objectLike({
          "text/plain": "too many requests to the mirror at once, try again in 10 s\n",
        }),
      });
    },
  );

  test("leaves the account's role for API logs alone, unless configured to set it", () => {
    const kept = Template.fromStack(deployment().service);
    kept.resourceCountIs("AWS::ApiGateway::Account", 0);
    const set = Template.fromStack(deployment({ deployment: { apiLogRole: "create" } }).service);
    set.hasResource("AWS::ApiGateway::Account", { DeletionPolicy: "Retain" });
  });

  test("syncs one job at a time for each repository, with room for a large one", () => {
    const template = Template.fromStack(deployment().service);
    template.hasResourceProperties("AWS::Lambda::Function", {
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
      Timeout: 900,
      MemorySize: 3538,
      EphemeralStorage: { Size: 10_240 },
    });
    template.hasResourceProperties("AWS::SQS::Queue", {
      FifoQueue: true,
      VisibilityTimeout: 1080,
      RedrivePolicy: Match.objectLike({ maxReceiveCount: 5 }),
    });
    template.hasResourceProperties("AWS::Lambda::EventSourceMapping", {
      BatchSize: 1,
      FunctionResponseTypes: ["ReportBatchItemFailures"],
    });
  });

  test("gives the functions that pass on bytes little room for young objects, and no other", () => {
    const functions = Object.entries(
      Template.fromStack(deployment().service).findResources("AWS::Lambda::Function"),
    );
    const limited = functions.filter(
      ([, { Properties }]) => Properties.Environment.Variables.NODE_OPTIONS === SERVING_NODE_OPTIONS,
    );
    const names = limited.map(([id]) => id).toSorted();
    expect(names).toEqual([expect.stringMatching(/^GitHttp/), expect.stringMatching(/^LfsSync/)]);
  });

  test("lets git-http read repositories, ask for syncs, and change nothing but finished answers and notes of refusals", () => {
    const lines = permissions(deployment().service, "GitHttp");
    expect([...new Set(lines.map((line) => line.split(" ")[0]))].toSorted()).toEqual([
      "logs:CreateLogStream",
      "logs:PutLogEvents",
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:ListBucket",
      "s3:PutObject",
      "sqs:SendMessage",
    ]);
    const changing = lines.filter((line) => /^s3:(Put|Delete|Abort)/.test(line));
    for (const line of changing) expect(line).toMatch(/\/(answers|refused)\/\*/);
    for (const line of changing) expect(line).not.toMatch(/\/(names|repos|lfs)\/\*(?!\/cache)/);
    expect(lines.filter((line) => line.startsWith("s3:GetObject ")).join()).toMatch(/\/lfs\/\*"/);
  });

  test("lets pages read repositories, decide who may see them, and change nothing but verdicts and the log of administrators, who may queue syncs", () => {
    const lines = permissions(deployment().service, "Pages");
    const changes = lines.filter((line) => /:(Put|Delete|Abort)/.test(line)).join();
    expect(changes.match(/\/[a-z-]+\/[^"]*"/g)?.toSorted()).toEqual(['/admin-log/*"', '/auth/*"']);
    const sent = lines.filter((line) => line.startsWith("sqs:"));
    expect(sent).toEqual([expect.stringMatching(/^sqs:SendMessage .*SyncQueue/)]);
    expect(lines.join()).not.toMatch(/\/lfs\/\*"|webhook-secret/);
    expect(lines.filter((line) => line.startsWith("cloudwatch:"))).toEqual(['cloudwatch:GetMetricData "*"']);
    const unattended = permissions(deployment({ administration: "off" }).service, "Pages");
    expect(unattended.join()).toContain("/auth/*");
    expect(unattended.join()).not.toMatch(/cloudwatch:|sqs:|lambda:|admin-log/);
  });

  test("lets the authorizer read names, refs and verdicts, its secret and the accounts, and no objects", () => {
    const lines = permissions(deployment().service, "Authorizer");
    const of = (action: string) => lines.filter((line) => line.startsWith(`${action} `)).join();
    expect(of("s3:GetObject").match(/\/[a-z]+\/[^"]*"/g)).toEqual([
      '/auth/*"',
      '/names/*"',
      '/projects/*"',
      '/repos/*/manifest.json"',
      '/repos/*/ref-snapshots/*"',
      '/repos/*/repository.json"',
      '/workspaces/*"',
    ]);
    expect(of("s3:PutObject")).toMatch(/\/auth\/\*/);
    expect(of("s3:PutObject")).not.toMatch(/names|repos/);
    expect(of("s3:DeleteObject")).toBe("");
    // CloudFormation puts the secret into the function's environment.
    expect(of("secretsmanager:GetSecretValue")).toBe("");
  });
});

describe("cdk-nag", () => {
  test("finds nothing in a closed deployment but what is acknowledged", () => {
    expect(unexpectedFindings({}, ACKNOWLEDGED)).toEqual({ unexpected: [], stale: [] });
  });

  test("finds with all settings what they ask for, too", () => {
    const file = {
      allowedAddresses: ["203.0.113.0/24"],
      deployment: {
        ...{
          apiLogRole: "create",
          egress: "fixed",
          ipAddressType: "dualstack",
          wafRequestsPerFiveMinutes: 2_000,
        },
        domainName: "git.example.com",
        certificateArns:
          "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
      },
    };
    expect(
      unexpectedFindings(file, [
        ...ACKNOWLEDGED.filter(({ finding }) => !finding.source.includes("APIG3")),
        ...ACKNOWLEDGED_WITH_SETTINGS,
      ]),
    ).toEqual({
      unexpected: [],
      stale: [],
    });
  });
});

interface Acknowledgement {
  /** Of "<rule> <construct path>". */
  readonly finding: RegExp;
  readonly reason: string;
}

const ACKNOWLEDGED: readonly Acknowledgement[] = [
  {
    finding: /^AwsSolutions-S1 Storage\/Repositories\//,
    reason:
      "Callers reach the bucket only through the functions, and API Gateway logs each of their requests.",
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::Storage:[^\]]*\/(names|projects|repos|auth|refused|workspaces|failures|findings|webhooks|lfs|lfs-parts|answers|admin-log)\/(\*|\*\/lfs\.json|\*\/lfs\/\*|\*\/objects\/pack\/\*\.lfs-1|\*\/(repository|manifest)\.json|\*\/ref-snapshots\/\*|\*\/announced)\] Service\/(Authorizer|GitHttp|Status|Pages|Administer|Sync|LfsSync|Reconcile|Webhook)\/Role\//,
    reason: "Keys below these prefixes are made at run time.",
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::arn:[^\]]*:parameter\/nearside\/accounts\/\*\] Service\/(Authorizer|Pages|Administer|Sync|LfsSync|Reconcile)\/Role\//,
    reason: "Workspaces are connected at run time, each with a secret of its own below this path.",
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::arn:[^\]]*:parameter\/nearside\/relay\/\*\] Service\/Relay\/Role\//,
    reason: "Webhooks are added at run time, each with a secret below this path.",
  },
  {
    finding: /^AwsSolutions-IAM5\[Resource::\*\] Service\/Pages\/Role\//,
    reason: "CloudWatch's GetMetricData, for charts, knows no resource.",
  },
  {
    finding: /^AwsSolutions-APIG4 Service\/GitEndpoint\/Api\/Default\/-\/webhooks\//,
    reason: "Bitbucket cannot sign for AWS; its deliveries carry a signature, which the function checks.",
  },
  {
    finding: /^AwsSolutions-APIG4 Service\/GitEndpoint\/Api\/Default\/(GET|-\/\{proxy\+\}\/ANY)\//,
    reason: "Pages are for browsers: the function decides about each request for its session's caller.",
  },
  {
    finding: /^AwsSolutions-SMG4 Storage\/AuthSecret\//,
    reason:
      "A deploy brings in a new version: it ends sessions, and the primary is asked about callers again.",
  },
  {
    finding: /^AwsSolutions-APIG2 Service\/GitEndpoint\//,
    reason: "The function checks each request; git's body is binary, which API Gateway cannot validate.",
  },
  {
    finding: /^AwsSolutions-APIG3 Service\/GitEndpoint\//,
    reason: "A web ACL costs a fixed sum a month; who wants one attaches it to the stage.",
  },
  {
    finding: /^AwsSolutions-COG4 Service\/GitEndpoint\//,
    reason: "The callers are git clients, which cannot use a Cognito user pool.",
  },
];

const ACKNOWLEDGED_WITH_SETTINGS: readonly Acknowledgement[] = [
  {
    finding: /^AwsSolutions-VPC7 Service\/Egress\//,
    reason: "Only functions are in the network; what they ask and answer is in their logs.",
  },
  {
    finding:
      /^AwsSolutions-IAM5\[Resource::\*\] Service\/(Authorizer|Administer|GitHttp|Sync|LfsSync|Reconcile)\/Role\//,
    reason: "Lambda attaches functions to a network by actions that know no resource.",
  },
  {
    finding: /^AwsSolutions-IAM4\[[^\]]*AmazonAPIGatewayPushToCloudWatchLogs\] Service\/GitEndpoint\//,
    reason: "API Gateway's own role for writing its logs, as AWS defines it.",
  },
];

/** What cdk-nag reports and is not acknowledged, and acknowledgements of what it no longer reports. */
function unexpectedFindings(
  file: object,
  acknowledged: readonly Acknowledgement[],
): { unexpected: string[]; stale: string[] } {
  const { app } = deployment(file);
  app.synth();
  const findings = new AwsSolutionsChecks()
    .validateScope(app)
    .violations.flatMap(({ ruleName, violatingResources }) =>
      violatingResources.map(({ constructPath }) =>
        `${ruleName} ${constructPath}`.replaceAll("Nearside-", ""),
      ),
    );
  return {
    unexpected: findings.filter((text) => !acknowledged.some(({ finding }) => finding.test(text))),
    stale: acknowledged
      .filter(({ finding }) => !findings.some((text) => finding.test(text)))
      .map(({ finding }) => finding.source),
  };
}
