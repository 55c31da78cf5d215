/** Whether a deployment with these settings can succeed in the account: before it is begun. */
import { SETTINGS } from "../../../lib/settings.ts";
import type { FileSettings } from "../../../lib/settings-file.ts";
import type { AwsAccount } from "./aws-account.ts";
import { type Finding, fail, failedWith, ok } from "./finding.ts";

const CONCURRENCY_SETTINGS = [
  "gitConcurrency",
  "authorizerConcurrency",
  "statusConcurrency",
  "pagesConcurrency",
  "webhookConcurrency",
  "reconcileConcurrency",
] as const;
/** Queues are read by functions without a reservation; 84 of the relay. */
const QUEUED_SETTINGS = ["syncConcurrency", "lfsConcurrency"] as const;
const RELAY_CONCURRENCY = 84;

/** AWS keeps as many unreserved. Source: AWS Lambda, "Configuring reserved concurrency". */
const MIN_UNRESERVED = 100;

/** Of the template that CDK's bootstrap deploys. */
const MIN_BOOTSTRAP_VERSION = 6;
const DEFAULT_QUALIFIER = "hnb659fds";

const READ_ADVICE = "The AWS credentials need the right to ask; see the message.";

export async function* checkQuotas(settings: FileSettings, aws: AwsAccount): AsyncGenerator<Finding> {
  yield await attempt("quota: Lambda's concurrent executions", (check) =>
    checkConcurrency(check, settings, aws),
  );
  yield await attempt("quota: API Gateway's requests", async (check) => {
    const asked = settings.requestsPerSecond ?? SETTINGS.requestsPerSecond.default;
    const { requestsPerSecond } = await aws.apiGateway();
    if (requestsPerSecond >= asked) return ok(check, `${requestsPerSecond} a second in ${aws.region}`);
    const advice = `Set deployment.requestsPerSecond to at most ${requestsPerSecond}, or have the quota raised.`;
    return fail(
      check,
      `${requestsPerSecond} a second in ${aws.region}, and the settings allow ${asked}`,
      advice,
    );
  });
  yield await attempt("API Gateway's role for logs", async (check) => {
    const { logRole } = await aws.apiGateway();
    if (logRole !== undefined) return ok(check, logRole);
    if (settings.apiLogRole === "create") return ok(check, "the deployment makes it");
    return blocking(
      check,
      "there is none",
      'Set deployment.apiLogRole to "create" for the first deployment in a region.',
    );
  });
  yield await attempt("CDK's bootstrap", async (check) => {
    const qualifier = settings.bootstrapQualifier ?? DEFAULT_QUALIFIER;
    const version = Number((await aws.parameter(`/cdk-bootstrap/${qualifier}/version`)) ?? 0);
    if (version >= MIN_BOOTSTRAP_VERSION) return ok(check, `version ${version} in ${aws.region}`);
    const detail = version === 0 ? `${aws.region} is not prepared` : `version ${version} is too old`;
    return blocking(check, detail, "Run npx cdk bootstrap, or set deployment.bootstrapQualifier.");
  });
}

function blocking(check: string, detail: string, advice: string): Finding {
  return { ...fail(check, detail, advice), blocksDeployment: true };
}

async function checkConcurrency(check: string, settings: FileSettings, aws: AwsAccount): Promise<Finding> {
  const { limit, unreserved } = await aws.concurrency();
  const sumOf = (names: readonly (typeof CONCURRENCY_SETTINGS)[number][] | typeof QUEUED_SETTINGS) =>
    names.reduce((sum, name) => sum + (settings[name] ?? SETTINGS[name].default), 0);
  const reserved = sumOf(CONCURRENCY_SETTINGS);
  const queued = sumOf(QUEUED_SETTINGS) + RELAY_CONCURRENCY;
  // A mirror that is there already has reserved its part.
  const others = limit - unreserved >= reserved ? limit - unreserved - reserved : limit - unreserved;
  const left = limit - others - reserved;
  const detail = `${limit} in ${aws.region}; the settings reserve ${reserved}`;
  if (reserved > 0 && left < MIN_UNRESERVED) {
    const advice = `AWS keeps ${MIN_UNRESERVED} unreserved. Have the quota "Concurrent executions" raised, or set ${CONCURRENCY_SETTINGS.join(", ")} lower, 0 reserves none.`;
    // How much of it an earlier deployment has reserved is not known.
    const isCertain = limit - reserved < MIN_UNRESERVED;
    return (isCertain ? blocking : fail)(check, `${detail}, which leaves ${left}`, advice);
  }
  if (left >= queued) return ok(check, detail);
  return fail(
    check,
    `${detail}, and queues take up to ${queued} of the ${left} that are left`,
    "Have the quota raised, or expect that jobs wait.",
  );
}

/** @param settings - Of the deployment whose roles and secrets the caller must be able to use. */
export async function* checkPermissions(settings: FileSettings, aws: AwsAccount): AsyncGenerator<Finding> {
  const caller = await aws.caller();
  const principal = principalOf(caller.arn);
  const qualifier = settings.bootstrapQualifier ?? DEFAULT_QUALIFIER;
  const stackPrefix = settings.stackPrefix ?? SETTINGS.stackPrefix.default;
  const secretPath = settings.secretPath ?? `/${stackPrefix.toLowerCase()}/`;
  const of = (service: string, resource: string) =>
    `arn:aws:${service}:${service === "iam" ? "" : aws.region}:${caller.account}:${resource}`;
  const needs: readonly (readonly [string, readonly string[], string])[] = [
    ...["deploy", "file-publishing", "lookup"].map(
      (role) =>
        [
          `to assume CDK's role ${role}`,
          ["sts:AssumeRole"],
          of("iam", `role/cdk-${qualifier}-${role}-role-${caller.account}-${aws.region}`),
        ] as const,
    ),
    [
      "to read what is deployed",
      ["cloudformation:DescribeStacks"],
      of("cloudformation", `stack/${stackPrefix}-Service/*`),
    ],
    [
      "to store accounts",
      ["ssm:PutParameter", "ssm:GetParameter"],
      of("ssm", `parameter${secretPath}accounts/*`),
    ],
  ];
  for (const [what, actions, resource] of needs)
    yield await attempt(`permission ${what}`, async (check) => {
      const denied = await aws.deniedActions(principal, actions, resource);
      if (denied.length === 0) return ok(check, `${principal} may`);
      return fail(check, `${principal} may not: ${denied.join(", ")}`, `Let it do so on ${resource}.`);
    });
}

/** IAM simulates roles and users, and no session of one. */
function principalOf(arn: string): string {
  const session = /^arn:([a-z-]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(arn);
  return session === null ? arn : `arn:${session[1]}:iam::${session[2]}:role/${session[3]}`;
}

async function attempt(check: string, run: (check: string) => Promise<Finding>): Promise<Finding> {
  try {
    return await run(check);
  } catch (error) {
    return failedWith(check, error, READ_ADVICE);
  }
}
