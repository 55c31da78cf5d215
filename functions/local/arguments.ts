/** The command line of the local mirror. */
import { isIP } from "node:net";
import { Command, InvalidArgumentError, Option } from "commander";
import { type AddressRange, parseAddressRanges } from "../../lib/address-ranges.ts";
import { ACCESS_SETTINGS, type NumberSetting } from "../../lib/config.ts";

export interface Arguments {
  readonly workspace: readonly string[];
  readonly project: readonly string[];
  readonly repository: readonly string[];
  readonly store: string;
  readonly s3Endpoint?: string;
  readonly apiUrl: string;
  readonly gitUrl: string;
  readonly host: string;
  readonly port: number;
  readonly pollSeconds: number;
  readonly anonymous: "allow" | "deny";
  readonly anonymousPerMinute: number;
  readonly anonymousTotalPerMinute: number;
  readonly wrongCredentialsPerMinute: number;
  readonly staleMinutes: number;
  readonly waitSeconds: number;
  readonly push: "redirect" | "refuse";
  readonly redirectUnmirrored: "all" | "public" | "off";
  readonly publicRepositories: "mirror" | "skip";
  /** None: every address is served. */
  readonly allowAddress: readonly AddressRange[];
  readonly webhookUrl?: string;
  /** None: webhooks are taken from everywhere. */
  readonly webhookAddress: readonly AddressRange[];
  readonly json?: true;
  readonly verbose?: true;
}

const EXPLANATION = `
Without --workspace, --project or --repository it mirrors what config.json in the store says. If there is none it shows
itself: a small Bitbucket Cloud with a sample repository is started on this machine, and mirrored.

Credentials for private repositories, in the environment:
  BITBUCKET_EMAIL and BITBUCKET_API_TOKEN    a user's API token (scope read:repository:bitbucket)
  BITBUCKET_ACCESS_TOKEN                     an access token of a workspace, project or repository
  NEARSIDE_SECRET_<NAME>                     the account that config.json calls <name>, as JSON
  NEARSIDE_WEBHOOK_SECRET                    what webhooks are signed with; made up for each run unless given
  NEARSIDE_SECRET_RELAY_<NAME>               what a webhook of the relay is signed with whose secret is called <name>
Public repositories need none. For --store s3://… AWS credentials come from where the AWS SDK finds them.

Callers show the credential that they have for Bitbucket, and the mirror asks Bitbucket whether they may read. It speaks
plain HTTP: on another address than 127.0.0.1, put a proxy with TLS in front of it.
NEARSIDE_AUTH_SECRET in the environment, 32 characters at least: under which callers are remembered, as an HMAC, for the time
when Bitbucket is away. Without it a folder store keeps one, and for --store s3://… it lasts until the end of the run.

Examples:
  npm start
  npm start -- --repository acme/website --repository acme/tools
  npm start -- --workspace acme --store s3://acme-mirror/git
  npm start -- --project acme/CORE --store /srv/mirror --poll-seconds 30

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 failed; 2 wrong arguments or settings.`;

export function parseArguments(argv: readonly string[]): Arguments {
  const command = new Command("nearside")
    .description("Mirrors repositories of Bitbucket Cloud and serves them to git.")
    .option("--workspace <name>", "mirror all repositories of a workspace (repeatable)", collect, [])
    .option("--project <workspace/KEY>", "mirror the repositories of a project (repeatable)", collectPair, [])
    .option("--repository <workspace/slug>", "mirror one repository (repeatable)", collectPair, [])
    .option("--store <folder or s3://bucket/prefix>", "where the mirror lies", ".nearside/store")
    .option("--s3-endpoint <url>", "of an S3 server other than AWS's")
    .option("--api-url <url>", "the primary's REST API", parseAddress, "https://api.bitbucket.org/2.0")
    .option("--git-url <url>", "the primary's git server", parseAddress, "https://bitbucket.org")
    .option("--host <address>", "where to listen: an IP address", parseHost, "127.0.0.1")
    .option("--port <number>", "where to listen; 0 picks a free port", parsePort, 7880)
    .addOption(
      new Option("--poll-seconds <number>", "how often to ask the primary for news")
        .argParser(parseSeconds)
        .default(60),
    )
    .addOption(
      chosen("--anonymous", "what everyone may read at Bitbucket, without a credential", "anonymous"),
    )
    .addOption(numbered("anonymousPerMinute", "requests without a credential from one address; 0: no limit"))
    .addOption(numbered("anonymousTotalPerMinute", "the same from all addresses together"))
    .addOption(
      numbered(
        "wrongCredentialsPerMinute",
        "different credentials that Bitbucket does not take, from one address; 0: no limit",
      ),
    )
    .addOption(
      numbered("staleMinutes", "how long Bitbucket's last yes counts while it is away; 0: not at all"),
    )
    .addOption(
      numbered("waitSeconds", "how long a request waits for a sync of what is not here yet; 0: not at all"),
    )
    .addOption(chosen("--push", "send pushes on to Bitbucket, or say how to push there", "push"))
    .addOption(
      chosen(
        "--redirect-unmirrored",
        "for which repositories git is sent on to Bitbucket while they are not mirrored yet",
        "redirectUnmirrored",
      ),
    )
    .addOption(chosen("--public-repositories", "what everyone may read at Bitbucket", "publicRepositories"))
    .option("--allow-address <range>", "serve only these, as 203.0.113.0/24 (repeatable)", collectRange, [])
    .option(
      "--webhook-url <url>",
      "where Bitbucket reaches this mirror: puts up webhooks there",
      parseAddress,
    )
    .option(
      "--webhook-address <range>",
      "take webhooks from these only, as 203.0.113.0/24 (repeatable)",
      collectRange,
      [],
    )
    .option("--json", "print one JSON object with the URLs when every repository has been tried once")
    .option("--verbose", "log every sync and every request that fails to standard error")
    .addHelpText("after", EXPLANATION)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  return command.parse(argv, { from: "user" }).opts<Arguments>();
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function collectPair(value: string, before: readonly string[]): string[] {
  if (!/^[^/\s]+\/[^/\s]+$/.test(value))
    throw new InvalidArgumentError("Expected two names with a slash between them.");
  return [...before, value];
}

function chosen(
  flag: string,
  description: string,
  setting: "anonymous" | "push" | "publicRepositories" | "redirectUnmirrored",
): Option {
  const { choices, fallback } = ACCESS_SETTINGS[setting];
  return new Option(`${flag} <${choices.join("|")}>`, description).choices(choices).default(fallback);
}

/** `--stale-minutes` for `staleMinutes`. */
function numbered(setting: NumberSetting, description: string): Option {
  const { max, fallback } = ACCESS_SETTINGS[setting];
  const parse = (text: string) => {
    if (/^\d{1,9}$/.test(text) && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`Expected a whole number from 0 to ${max}.`);
  };
  const flag = setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return new Option(`--${flag} <number>`, description).argParser(parse).default(fallback);
}

function collectRange(text: string, before: readonly AddressRange[]): AddressRange[] {
  const [range] = parseAddressRanges([text]);
  return range === undefined ? [...before] : [...before, range];
}

function parseHost(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError("Expected an IP address, such as 0.0.0.0 or ::1.");
  return text;
}

/** Paths are put behind it. */
export function parseAddress(text: string): string {
  if (!/^https?:\/\/[^/]/.test(text) || !URL.canParse(text)) {
    throw new InvalidArgumentError("Expected an address that begins with https:// or http://.");
  }
  return text.replace(/\/+$/, "");
}

function parsePort(text: string): number {
  const port = text === "" ? Number.NaN : Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError("A port is a whole number from 0 to 65535.");
  }
  return port;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.1 && seconds <= 86_400))
    throw new InvalidArgumentError("Expected seconds, from 0.1 to 86400.");
  return seconds;
}
