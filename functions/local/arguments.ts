/** The command line of the server. */
import { Command, InvalidArgumentError } from "commander";
import { type AddressRange, parseAddressSetting } from "../../lib/address-ranges.ts";
import {
  ARGUMENT_NAMES,
  type ArgumentName,
  addSettings,
  type SettingValues,
} from "../wiring/setting-options.ts";

type AddressSetting = "allowedAddresses" | "webhookAddresses";

export interface Arguments extends SettingValues<Exclude<ArgumentName, AddressSetting>> {
  readonly workspace: readonly string[];
  readonly project: readonly string[];
  readonly repository: readonly string[];
  /** Empty: every address is served. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Empty: webhooks are accepted from everywhere. */
  readonly webhookAddresses: readonly AddressRange[];
  readonly json?: true;
  readonly verbose?: true;
}

const EXPLANATION = `
Settings come from the command line, else from nearside.config.json, else they have their default.

Without --workspace, --project or --repository the server mirrors what config.json in the store selects. If there is none, it runs
a demo: a small Bitbucket Cloud with a sample repository is started on this machine, and mirrored.

Credentials for private repositories, in the environment:
  BITBUCKET_EMAIL and BITBUCKET_API_TOKEN    a user's API token (scope read:repository:bitbucket)
  BITBUCKET_ACCESS_TOKEN                     an access token of a workspace, project or repository
  NEARSIDE_SECRET_<NAME>                     the account that config.json calls <name>, as JSON
  NEARSIDE_WEBHOOK_SECRET                    the secret that signs Bitbucket's webhooks; by default a new one for each run
  NEARSIDE_SECRET_RELAY_<NAME>               the secret <name>, which signs webhooks of the relay
Public repositories need none. For --store s3://… the AWS SDK finds the AWS credentials.

Clients send the credential that they have for Bitbucket, and the mirror asks Bitbucket whether they may read. The server speaks
plain HTTP: on another address than 127.0.0.1, put a proxy with TLS in front of it.
NEARSIDE_AUTH_SECRET in the environment, 32 characters at least: the key of the HMAC that stored credentials' verdicts are named by.
They are used while Bitbucket is unreachable. By default a folder store keeps a key, and with --store s3://… each run has a new one.

Examples:
  npm start
  npm start -- --repository acme/website --repository acme/tools
  npm start -- --workspace acme --store s3://acme-mirror/git
  npm start -- --project acme/CORE --store /srv/mirror --poll-seconds 30

Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 failed; 2 wrong arguments or settings.`;

/** @throws {ConfigError} `nearside.config.json` is not valid. */
export function parseArguments(argv: readonly string[]): Arguments {
  const command = new Command("nearside")
    .description("Mirrors repositories of Bitbucket Cloud and serves them to git.")
    .option("--workspace <name>", "mirror all repositories of a workspace (repeatable)", collect, [])
    .option("--project <workspace/KEY>", "mirror the repositories of a project (repeatable)", collectPair, [])
    .option("--repository <workspace/slug>", "mirror one repository (repeatable)", collectPair, []);
  addSettings(command, ARGUMENT_NAMES)
    .option("--json", "print one JSON object with the URLs when every repository has been tried once")
    .option("--verbose", "log every sync and every failed request to standard error")
    .addHelpText("after", EXPLANATION)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    // Settings of the file are applied before an action.
    .action(() => undefined);
  const { allowedAddresses, webhookAddresses, ...options } = command
    .parse(argv, { from: "user" })
    .opts<Omit<Arguments, AddressSetting> & SettingValues<AddressSetting>>();
  return {
    ...options,
    allowedAddresses: parseAddressSetting(allowedAddresses),
    webhookAddresses: parseAddressSetting(webhookAddresses),
  };
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function collectPair(value: string, before: readonly string[]): string[] {
  if (!/^[^/\s]+\/[^/\s]+$/.test(value))
    throw new InvalidArgumentError("Expected two names with a slash between them.");
  return [...before, value];
}
