/**
 * Every setting of a server or a deployment, in one table. `nearside.config.json`, the command line of the server, the environment of
 * the deployed functions, the CDK app and the table of docs/configure.md are made from it. What is mirrored is not here: that is
 * `config.json` in the store.
 */

interface SettingBase {
  /** One clause, for `--help` and docs/configure.md. */
  readonly description: string;
  /** The option of the server's command line where it is not made of the name: those that are repeatable are in the singular. */
  readonly flag?: string;
}

export type Setting = SettingBase &
  (
    | { readonly type: "choice"; readonly choices: readonly string[]; readonly default: string }
    | {
        readonly type: "integer" | "number";
        readonly min: number;
        readonly max: number;
        readonly default: number;
      }
    | { readonly type: "text"; readonly pattern?: RegExp; readonly rule?: string; readonly default?: string }
    | { readonly type: "url" | "ip-address"; readonly default?: string }
    /** `any` or `none`, or ranges of IP addresses. */
    | { readonly type: "addresses"; readonly default: "any" | "none" }
  );

/** Of a server and a deployment. */
const COMMON = {
  gitUrl: {
    type: "url",
    default: "https://bitbucket.org",
    description: "the primary's git server",
  },
  apiUrl: {
    type: "url",
    default: "https://api.bitbucket.org/2.0",
    description: "the primary's REST API",
  },
  anonymous: {
    type: "choice",
    choices: ["allow", "deny"],
    default: "allow",
    description: "whether requests without a credential can read what is public at Bitbucket",
  },
  administration: {
    type: "choice",
    choices: ["pages", "no-connect", "off"],
    default: "pages",
    description:
      "`pages`: who administers a workspace at Bitbucket sees metrics, acts on it by the mirror's pages, and connects others (a deployment's page connects none); `no-connect`: without connecting; `off`: only the command line administers",
  },
  anonymousPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 300,
    description: "limit of requests without a credential from one address (IPv6: one /48); 0: no limit",
  },
  anonymousTotalPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 6_000,
    description: "the same limit for all addresses together; 0: no limit",
  },
  wrongCredentialsPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 60,
    description:
      "different credentials from one address (IPv6: one /48) that Bitbucket may reject in a minute before unknown ones wait; 0: no limit",
  },
  staleMinutes: {
    type: "integer",
    min: 0,
    max: 1_440,
    default: 15,
    description: "how long Bitbucket's last yes is used while Bitbucket is unreachable; 0: not at all",
  },
  waitSeconds: {
    type: "integer",
    min: 0,
    // API Gateway closes a stream that is idle for 5 min.
    max: 240,
    default: 20,
    description:
      "how long a request waits for the sync of a commit or ref that is not here yet; 0: not at all",
  },
  push: {
    type: "choice",
    choices: ["relay", "redirect", "refuse"],
    default: "relay",
    description:
      "pass pushes through to Bitbucket with the caller's credential (a deployment redirects them), redirect them, or refuse them with the line that sets git's push address",
  },
  redirectUnmirrored: {
    type: "choice",
    choices: ["public", "off"],
    default: "public",
    description:
      "redirect callers without a credential to Bitbucket for public repositories that are selected and not served: before the first sync, or paused",
  },
  lfs: {
    type: "choice",
    choices: ["tips", "all", "none"],
    default: "tips",
    description:
      "which Git LFS files are copied: `tips`, those of branches and tags, others when a client first asks for them; `all`; `none`",
  },
  lfsMaxFileMib: {
    type: "integer",
    min: 0,
    max: 71_680,
    default: 10_240,
    description: "larger Git LFS files are not copied; clients get them from Bitbucket",
  },
  lfsRepositories: {
    type: "text",
    pattern: /^!?[A-Za-z0-9._*?/-]+(,!?[A-Za-z0-9._*?/-]+)*$/,
    rule: "must be patterns such as acme/*, separated by commas",
    default: "*",
    description:
      "repositories whose Git LFS files are copied: patterns of `workspace/repository` with `*` and `?`, separated by commas; `!` before one excludes",
  },
  allowedAddresses: {
    type: "addresses",
    default: "any",
    description: "serve only clients at these addresses, such as 203.0.113.0/24 or 2001:db8::/32",
    flag: "--allow-address",
  },
  webhookAddresses: {
    type: "addresses",
    default: "any",
    description: "accept webhooks only from these addresses; they must be signed in any case",
    flag: "--webhook-address",
  },
} as const satisfies Record<string, Setting>;

const SERVER = {
  metricsAddresses: {
    type: "addresses",
    default: "none",
    description:
      "who may read `/-/metrics`; `127.0.0.1` for the server's own machine, if no proxy runs there",
    flag: "--metrics-address",
  },
  trustedProxies: {
    type: "addresses",
    default: "none",
    description:
      "proxies before the server: in requests from these addresses `X-Forwarded-For`, else `Forwarded`, names the client",
    flag: "--trusted-proxy",
  },
  maxConnections: {
    type: "integer",
    min: 10,
    max: 1_000_000,
    default: 2_000,
    description: "limit of connections; one address that is no trusted proxy can have half of them",
  },
  maxPlans: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 64,
    description: "limit of clones and fetches that are prepared at a time; further ones wait up to 60 s",
  },
  maxPlansOfCaller: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 8,
    description:
      "the same limit for one caller: an account at an address, a token, or an address without credential",
  },
  store: {
    type: "text",
    // Other schemes, and "s3:/bucket", are mistakes rather than names of folders.
    pattern: /^(?:s3:\/\/[^/]+(?:\/.*)?|(?![a-z][a-z0-9+.-]*:\/).+)$/is,
    rule: "must be a folder, or s3://bucket/prefix",
    default: ".nearside/store",
    description: "where the mirror is stored: a folder, or s3://bucket/prefix",
  },
  s3Endpoint: {
    type: "url",
    description: "an S3 server other than AWS's; it must support conditional writes",
  },
  s3PublicEndpoint: {
    type: "url",
    description:
      "where clients reach the S3 server, if at another address than the mirror, for LFS files, packs and bundles",
  },
  host: {
    type: "ip-address",
    default: "127.0.0.1",
    description: "the IP address to listen on",
  },
  port: {
    type: "integer",
    min: 0,
    max: 65_535,
    default: 7_880,
    description: "the port to listen on; 0 picks a free one",
  },
  tlsCertificate: {
    type: "text",
    description:
      "a file with the server's certificate and those between it and the root, in PEM, for HTTPS; read again when it changes",
  },
  tlsKey: {
    type: "text",
    description: "the file with the certificate's private key, in PEM",
  },
  pollSeconds: {
    type: "number",
    min: 0.1,
    max: 86_400,
    default: 60,
    description: "how often to ask Bitbucket for changes",
  },
  webhookUrl: {
    type: "url",
    description:
      "the address of this mirror for Bitbucket, through a proxy with TLS; installs webhooks there",
  },
  publicRepositories: {
    type: "choice",
    choices: ["mirror", "skip"],
    default: "mirror",
    description: "whether to mirror repositories that are public at Bitbucket, of those that options select",
  },
} as const satisfies Record<string, Setting>;

/** Of Secrets Manager: who writes a version may name it (`ClientRequestToken`). */
const SECRET_VERSION = {
  pattern: /^[A-Za-z0-9-]{32,64}$/,
  rule: "must be the id of a secret's version: 32 to 64 letters, digits and hyphens",
} as const;

const DEPLOYMENT = {
  stackPrefix: {
    type: "text",
    pattern: /^[A-Za-z][A-Za-z0-9-]{0,63}$/,
    rule: "must be letters, digits and hyphens, the first one a letter",
    default: "Nearside",
    description:
      "the first part of the stacks' names, and the namespace of the metrics; a second mirror in an account needs another one",
  },
  secretPath: {
    type: "text",
    pattern: /^\/([A-Za-z0-9._-]+\/)+$/,
    rule: "must begin and end with a slash, such as /nearside/",
    description:
      "the first part of the names of the mirror's SSM parameters (SecureString): `accounts/…` for the accounts of `config.json`, `relay/…`, and `webhook-secret`, which the mirror creates. By default `stackPrefix` in small letters between slashes",
  },
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
  streamTierThresholdMib: {
    type: "integer",
    min: 1,
    // What a function can send is 196 MB.
    max: 180,
    default: 100,
    description: "repositories with larger packs are served by the stream tier",
  },
  streamTierTokens: {
    type: "choice",
    choices: ["one-network", "any-network"],
    default: "one-network",
    description:
      "where a token of the stream tier is accepted from: the network (IPv4 /24, IPv6 /64) of the caller's address, or anywhere. `any-network` if clients leave by several networks",
  },
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
  logLevel: {
    type: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    description: "the least severe log lines that the functions write",
  },
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
  metrics: {
    type: "choice",
    choices: ["basic", "all"],
    default: "basic",
    description:
      "metrics in CloudWatch: `basic`, 20; `all`, 5 more, about how packs and LFS files were answered. Beyond ten of an account each costs 0.30 $ a month",
  },
} as const satisfies Record<string, Setting>;

/** As in `nearside.config.json`: settings of both are at its top. */
export const SECTIONS = { common: COMMON, server: SERVER, deployment: DEPLOYMENT };

export const SETTINGS = { ...COMMON, ...SERVER, ...DEPLOYMENT };

export type SettingName = keyof typeof SETTINGS;

/** As text in the environment or on the command line. Addresses are parsed by lib/address-ranges.ts: few functions need them. */
type SettingValue<S extends Setting> = S extends { readonly type: "choice" }
  ? S["choices"][number]
  : S extends { readonly type: "integer" | "number" }
    ? number
    : string;

/** The value that a setting of this name has, if it is set. */
export type ValueOf<Name extends SettingName> = SettingValue<(typeof SETTINGS)[Name]>;

export type LogLevel = ValueOf<"logLevel">;

export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** The table's row without its literal types, so that optional fields can be read. */
export function settingOf(name: SettingName): Setting {
  return SETTINGS[name];
}

export function sectionOf(name: SettingName): keyof typeof SECTIONS {
  if (name in COMMON) return "common";
  return name in SERVER ? "server" : "deployment";
}

/** Settings that the server's command line has. */
export type ArgumentName = keyof typeof COMMON | keyof typeof SERVER;

export const ARGUMENT_NAMES = Object.keys({ ...COMMON, ...SERVER }) as ArgumentName[];

/** @returns `--git-url` for `gitUrl`. */
export function flagOf(name: ArgumentName): string {
  return settingOf(name).flag ?? `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
