/** Settings of a deployment alone. */
import { FUNCTION_SETTINGS } from "./function-settings.ts";
import type { Setting } from "./setting.ts";

/** Of Secrets Manager: who writes a version may name it (`ClientRequestToken`). */
const SECRET_VERSION = {
  pattern: /^[A-Za-z0-9-]{32,64}$/,
  rule: "must be the id of a secret's version: 32 to 64 letters, digits and hyphens",
} as const;

export const DEPLOYMENT_SETTINGS = {
  stackPrefix: FUNCTION_SETTINGS.stackPrefix,
  secretPath: FUNCTION_SETTINGS.secretPath,
  regions: {
    type: "text",
    pattern: /^[a-z]{2}(-[a-z]+)+-\d(,[a-z]{2}(-[a-z]+)+-\d)*$/,
    rule: "must be AWS regions such as eu-west-1, separated by commas",
    description:
      "regions that get a mirror each, separated by commas, new ones at the end; by default the AWS CLI's",
  },
  existingBucket: {
    type: "text",
    pattern: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    rule: "must be the name of a bucket",
    description:
      "a bucket that an earlier deployment left, used as it is in place of a new one; with one region only",
  },
  permissionsBoundary: {
    type: "text",
    pattern: /^[\w+=,.@/-]{1,128}$/,
    rule: "must be the name of a managed policy",
    description: "the managed policy that bounds every role of the deployment",
  },
  bootstrapQualifier: {
    type: "text",
    pattern: /^[a-z0-9]{1,10}$/,
    rule: "must be at most 10 small letters and digits",
    description: "that of `cdk bootstrap --qualifier`, if it was run with one",
  },
  tags: {
    type: "text",
    pattern: /^[\w .:/+@-]{1,128}=[\w .:/+@-]{0,256}(,[\w .:/+@-]{1,128}=[\w .:/+@-]{0,256})*$/,
    rule: "must be tags such as team=git,stage=production",
    description: "of every resource: `key=value`, separated by commas",
  },
  gitConcurrency: {
    type: "integer",
    min: 0,
    max: 100_000,
    default: 400,
    description:
      "clones and fetches at a time, reserved for the git function; 0: it shares what the account has left",
  },
  authorizerConcurrency: {
    type: "integer",
    min: 0,
    max: 100_000,
    default: 200,
    description: "the same for decisions about access",
  },
  statusConcurrency: {
    type: "integer",
    min: 0,
    max: 100_000,
    default: 100,
    description: "the same for requests of a status, and those that wait for a commit",
  },
  pagesConcurrency: {
    type: "integer",
    min: 0,
    max: 100_000,
    default: 20,
    description: "the same for pages and the JSON API",
  },
  webhookConcurrency: {
    type: "integer",
    min: 0,
    max: 100_000,
    default: 50,
    description: "the same for webhooks",
  },
  reconcileConcurrency: {
    type: "integer",
    min: 0,
    max: 1,
    default: 1,
    description: "the same for the schedule: 1 keeps two rounds from overlapping",
  },
  syncConcurrency: {
    type: "integer",
    min: 2,
    max: 1_000,
    default: 10,
    description: "repositories synchronized at a time; Bitbucket limits the requests of one credential",
  },
  lfsConcurrency: {
    type: "integer",
    min: 2,
    max: 1_000,
    default: 10,
    description: "Git LFS jobs at a time",
  },
  requestsPerSecond: {
    type: "integer",
    min: 1,
    max: 10_000,
    default: 1_000,
    description: "limit of API requests; for a moment twice as many. A clone takes three or four",
  },
  domainName: {
    type: "text",
    pattern: /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/,
    rule: "must be a name such as git.example.com",
    description: "the mirror's own name; it takes `certificateArns`",
  },
  certificateArns: {
    type: "text",
    pattern:
      /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[A-Za-z0-9-]+(,arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[A-Za-z0-9-]+)*$/,
    rule: "must be ARNs of certificates of AWS Certificate Manager, separated by commas",
    description: "certificates for it: one in each region, separated by commas",
  },
  hostedZoneId: {
    type: "text",
    pattern: /^Z[A-Z0-9]{1,31}$/,
    rule: "must be the id of a hosted zone, such as Z0123456789ABC",
    description:
      "the zone at Route 53 that gets `domainName`; with several regions it leads to the nearest one",
  },
  wafRequestsPerFiveMinutes: {
    type: "integer",
    min: 0,
    max: 2_000_000_000,
    default: 0,
    description:
      "requests that AWS WAF passes from one address in five minutes, at least 10; 0: no WAF. It costs some 6 dollars a month",
  },
  ipAddressType: {
    type: "choice",
    choices: ["ipv4", "dualstack"],
    default: "ipv4",
    description: "whether clients reach the API by IPv4 only, or by IPv6 as well",
  },
  egress: {
    type: "choice",
    choices: ["shared", "fixed"],
    default: "shared",
    description:
      "`fixed`: requests to Bitbucket come from one address, by a NAT gateway for some 35 dollars a month and its traffic",
  },
  kmsKeyArn: {
    type: "text",
    pattern:
      /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
    rule: "must be the ARN of a KMS key",
    description:
      "the key for bucket, queues and secret, in place of AWS's own; its policy must let the account's roles use it. For one region",
  },
  authSecretVersion: {
    type: "text",
    ...SECRET_VERSION,
    description:
      "the version of the secret `AuthSecret`; by default that of the first deploy. A deploy reads a changed secret only if this is new",
  },
  apiLogRole: {
    type: "choice",
    choices: ["keep", "create"],
    default: "keep",
    description:
      "`create` makes the role with which API Gateway writes logs in this account and region, and replaces the present one; needed where `aws apigateway get-account` shows no `cloudwatchRoleArn`",
  },
  streamTier: {
    type: "choice",
    choices: ["off", "fargate"],
    default: "off",
    description:
      "`fargate`: containers behind a load balancer serve what exceeds a function's limit. They cost money while they run",
  },
  streamTierUrl: {
    type: "url",
    description:
      "where clients reach the stream tier: https:// and a name that you point at the load balancer",
  },
  streamTierCertificate: {
    type: "text",
    pattern: /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[A-Za-z0-9-]+$/,
    rule: "must be the ARN of a certificate of AWS Certificate Manager",
    description: "the certificate for that name, in the deployment's region",
  },
  streamTierImage: {
    type: "text",
    pattern: /^[a-z0-9][A-Za-z0-9._:@/-]+$/,
    rule: "must be the name of an image, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com/nearside:0.1.0",
    description:
      "the stream tier's image in a registry, for ARM; by default the deploy builds it from the Dockerfile, which takes Docker",
  },
  streamTierKeysVersion: {
    type: "text",
    ...SECRET_VERSION,
    description: "the version of the secret `StreamTierKeys`, as `authSecretVersion`",
  },
  streamTierThresholdMib: FUNCTION_SETTINGS.streamTierThresholdMib,
  streamTierTokens: FUNCTION_SETTINGS.streamTierTokens,
  streamTierTasks: {
    type: "integer",
    min: 1,
    max: 100,
    default: 1,
    description: "how many containers the stream tier has",
  },
  streamTierSchedule: {
    type: "text",
    pattern:
      /^(?:always|[A-Z]{3}(?:-[A-Z]{3})? (?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d [A-Za-z_]+(?:\/[A-Za-z_+-]+)*)$/,
    rule: "must be always, or days, hours and a time zone such as MON-FRI 07:00-19:00 Europe/Berlin",
    default: "always",
    description:
      "when the stream tier runs: `always`, or as `MON-FRI 07:00-19:00 Europe/Berlin`. At other times it is as without it",
  },
  logLevel: FUNCTION_SETTINGS.logLevel,
  alarmEmail: {
    type: "text",
    pattern: /^[^@\s,]+@[^@\s,]+$/,
    rule: "must be an e-mail address",
    description: "who gets e-mail from alarms; SNS asks for a confirmation first",
  },
  alarmTopic: {
    type: "text",
    pattern: /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+$/,
    rule: "must be the ARN of an SNS topic",
    description: "the SNS topic that alarms go to, in place of e-mail",
  },
  metrics: FUNCTION_SETTINGS.metrics,
} as const satisfies Record<string, Setting>;
