/**
 * Every setting of a server or a deployment, in one table. `nearside.config.json`, the command line of the server, the environment of
 * the deployed functions, the CDK app and the table of docs/configure.md are made from it. What is mirrored is not here: that is
 * `config.json` in the store.
 */

interface SettingBase {
  /** One clause, for `--help` and docs/configure.md. */
  readonly description: string;
  /** Where it is in `nearside.config.json`: at the top for settings of both, else in a section. */
  readonly section: "common" | "server" | "deployment";
  /** The flag of the server's command line. */
  readonly argument?: string;
  /** The variable by which deployed functions get it. */
  readonly environment?: string;
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
    | {
        readonly type: "text";
        readonly pattern?: RegExp;
        readonly rule?: string;
        readonly default?: string;
      }
    | { readonly type: "url" | "ip-address"; readonly default?: string }
    /** `any` or `none`, or ranges of IP addresses. */
    | { readonly type: "addresses"; readonly default: "any" | "none" }
  );

export const SETTINGS = {
  gitUrl: {
    type: "url",
    default: "https://bitbucket.org",
    description: "the primary's git server",
    section: "common",
    argument: "--git-url",
    environment: "NEARSIDE_GIT_URL",
  },
  apiUrl: {
    type: "url",
    default: "https://api.bitbucket.org/2.0",
    description: "the primary's REST API",
    section: "common",
    argument: "--api-url",
    environment: "NEARSIDE_API_URL",
  },
  anonymous: {
    type: "choice",
    choices: ["allow", "deny"],
    default: "allow",
    description: "whether requests without a credential can read what is public at Bitbucket",
    section: "common",
    argument: "--anonymous",
    environment: "NEARSIDE_ANONYMOUS",
  },
  anonymousPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 300,
    description: "limit of requests without a credential from one address (IPv6: one /48); 0: no limit",
    section: "common",
    argument: "--anonymous-per-minute",
    environment: "NEARSIDE_ANONYMOUS_PER_MINUTE",
  },
  anonymousTotalPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 6_000,
    description: "the same limit for all addresses together; 0: no limit",
    section: "common",
    argument: "--anonymous-total-per-minute",
    environment: "NEARSIDE_ANONYMOUS_TOTAL_PER_MINUTE",
  },
  wrongCredentialsPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 60,
    description:
      "how many different credentials from one address (IPv6: one /48) Bitbucket may reject in a minute before further unknown ones wait; 0: no limit",
    section: "common",
    argument: "--wrong-credentials-per-minute",
    environment: "NEARSIDE_WRONG_CREDENTIALS_PER_MINUTE",
  },
  staleMinutes: {
    type: "integer",
    min: 0,
    max: 1_440,
    default: 15,
    description: "how long Bitbucket's last yes is used while Bitbucket is unreachable; 0: not at all",
    section: "common",
    argument: "--stale-minutes",
    environment: "NEARSIDE_STALE_MINUTES",
  },
  waitSeconds: {
    type: "integer",
    min: 0,
    // API Gateway closes a stream that is idle for 5 min.
    max: 240,
    default: 20,
    description:
      "how long a request waits for the sync of a commit or ref that is not here yet; 0: not at all",
    section: "common",
    argument: "--wait-seconds",
    environment: "NEARSIDE_WAIT_SECONDS",
  },
  push: {
    type: "choice",
    choices: ["relay", "redirect", "refuse"],
    default: "relay",
    description:
      "pass pushes through to Bitbucket with the caller's credential (a deployment, whose requests end at 4.5 MB, redirects them instead), redirect them, or refuse them with the line that sets git's push address",
    section: "common",
    argument: "--push",
    environment: "NEARSIDE_PUSH",
  },
  redirectUnmirrored: {
    type: "choice",
    choices: ["public", "off"],
    default: "public",
    description:
      "redirect callers without a credential to Bitbucket where a public repository is selected and not served: its first sync is not done, or its workspace is paused",
    section: "common",
    argument: "--redirect-unmirrored",
    environment: "NEARSIDE_REDIRECT_UNMIRRORED",
  },
  lfs: {
    type: "choice",
    choices: ["tips", "all", "none"],
    default: "tips",
    description:
      "which Git LFS files are copied from Bitbucket: `tips`, those of branches and tags, others when a client first asks for them; `all`; `none`",
    section: "common",
    argument: "--lfs",
    environment: "NEARSIDE_LFS",
  },
  lfsMaxFileMib: {
    type: "integer",
    min: 0,
    max: 71_680,
    default: 10_240,
    description: "larger Git LFS files are not copied; clients get them from Bitbucket",
    section: "common",
    argument: "--lfs-max-file-mib",
    environment: "NEARSIDE_LFS_MAX_FILE_MIB",
  },
  lfsRepositories: {
    type: "text",
    pattern: /^!?[A-Za-z0-9._*?/-]+(,!?[A-Za-z0-9._*?/-]+)*$/,
    rule: "must be patterns such as acme/*, separated by commas",
    default: "*",
    description:
      "the repositories whose Git LFS files are copied: patterns of `workspace/repository` with `*` and `?`, separated by commas; one that begins with `!` excludes",
    section: "common",
    argument: "--lfs-repositories",
    environment: "NEARSIDE_LFS_REPOSITORIES",
  },
  allowedAddresses: {
    type: "addresses",
    default: "any",
    description: "serve only clients at these addresses, such as 203.0.113.0/24 or 2001:db8::/32",
    section: "common",
    argument: "--allow-address",
  },
  webhookAddresses: {
    type: "addresses",
    default: "any",
    description: "accept webhooks only from these addresses; they must be signed in any case",
    section: "common",
    argument: "--webhook-address",
    environment: "NEARSIDE_WEBHOOK_ADDRESSES",
  },
  trustedProxies: {
    type: "addresses",
    default: "none",
    description:
      "proxies in front of the server: for requests from these addresses, `X-Forwarded-For`, else `Forwarded`, names the client",
    section: "server",
    argument: "--trusted-proxy",
  },
  maxConnections: {
    type: "integer",
    min: 10,
    max: 1_000_000,
    default: 2_000,
    description: "limit of connections; one address that is no trusted proxy can have half of them",
    section: "server",
    argument: "--max-connections",
  },
  maxPlans: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 16,
    description: "limit of clones and fetches that are prepared at a time; further ones wait up to 60 s",
    section: "server",
    argument: "--max-plans",
  },
  maxPlansOfCaller: {
    type: "integer",
    min: 1,
    max: 1_000,
    default: 8,
    description: "the same limit for one caller: a credential, or an address without one",
    section: "server",
    argument: "--max-plans-of-caller",
  },
  store: {
    type: "text",
    // Other schemes, and "s3:/bucket", are mistakes rather than names of folders.
    pattern: /^(?:s3:\/\/[^/]+(?:\/.*)?|(?![a-z][a-z0-9+.-]*:\/).+)$/is,
    rule: "must be a folder, or s3://bucket/prefix",
    default: ".nearside/store",
    description: "where the mirror is stored: a folder, or s3://bucket/prefix",
    section: "server",
    argument: "--store",
  },
  s3Endpoint: {
    type: "url",
    description: "an S3 server other than AWS's; it must support conditional writes",
    section: "server",
    argument: "--s3-endpoint",
  },
  s3PublicEndpoint: {
    type: "url",
    description:
      "where clients reach the S3 server, if at another address than the mirror: links to LFS files, packs and bundles go there",
    section: "server",
    argument: "--s3-public-endpoint",
  },
  host: {
    type: "ip-address",
    default: "127.0.0.1",
    description: "the IP address to listen on",
    section: "server",
    argument: "--host",
  },
  port: {
    type: "integer",
    min: 0,
    max: 65_535,
    default: 7_880,
    description: "the port to listen on; 0 picks a free one",
    section: "server",
    argument: "--port",
  },
  pollSeconds: {
    type: "number",
    min: 0.1,
    max: 86_400,
    default: 60,
    description: "how often to ask Bitbucket for changes",
    section: "server",
    argument: "--poll-seconds",
  },
  webhookUrl: {
    type: "url",
    description:
      "the address of this mirror for Bitbucket, through a proxy with TLS; installs webhooks there",
    section: "server",
    argument: "--webhook-url",
  },
  publicRepositories: {
    type: "choice",
    choices: ["mirror", "skip"],
    default: "mirror",
    description: "whether to mirror repositories that are public at Bitbucket, of those that options select",
    section: "server",
    argument: "--public-repositories",
  },
  stackPrefix: {
    type: "text",
    pattern: /^[A-Za-z][A-Za-z0-9-]{0,63}$/,
    rule: "must be letters, digits and hyphens, the first one a letter",
    default: "Nearside",
    description: "the first part of the stacks' names; a second mirror in an account needs another one",
    section: "deployment",
  },
  secretPath: {
    type: "text",
    pattern: /^\/([A-Za-z0-9._-]+\/)+$/,
    rule: "must begin and end with a slash, such as /nearside/",
    description:
      "the first part of the names of the mirror's SSM parameters (SecureString): `accounts/…` for the accounts that `config.json` names, `relay/…` for the relay, and `webhook-secret`, which the mirror creates. By default `stackPrefix` in small letters between slashes",
    section: "deployment",
    environment: "NEARSIDE_SECRET_PATH",
  },
  apiLogRole: {
    type: "choice",
    choices: ["keep", "create"],
    default: "keep",
    description:
      "API Gateway writes logs with one role for the whole account and region. `create` makes such a role and sets it in place of the present one; needed where `aws apigateway get-account` shows no `cloudwatchRoleArn`",
    section: "deployment",
  },
  logLevel: {
    type: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    description: "the least severe log lines that the functions write",
    section: "deployment",
    environment: "NEARSIDE_LOG_LEVEL",
  },
} as const satisfies Record<string, Setting>;

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
