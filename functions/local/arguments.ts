/** The command line of the server, and what it selects. */
import { type Command, InvalidArgumentError } from "commander";
import { type AddressRange, parseAddressSetting } from "../../lib/address-ranges.ts";
import type { BitbucketAccount } from "../../lib/bitbucket/credential.ts";
import { type MirrorConfig, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { ARGUMENT_NAMES, type ArgumentName, SETTINGS } from "../../lib/settings.ts";
import { addSettings, type SettingValues } from "../wiring/setting-options.ts";
import { ENVIRONMENT_CREDENTIAL } from "./secrets.ts";

/** Ranges of addresses; empty for a setting's default, `any` or `none`. */
const ADDRESS_SETTINGS = [
  "allowedAddresses",
  "webhookAddresses",
  "trustedProxies",
  "metricsAddresses",
] as const;

type AddressSetting = (typeof ADDRESS_SETTINGS)[number];

export interface Arguments
  extends SettingValues<Exclude<ArgumentName, AddressSetting>>,
    Readonly<Record<AddressSetting, readonly AddressRange[]>> {
  readonly workspace: readonly string[];
  readonly project: readonly string[];
  readonly repository: readonly string[];
  /** Whether neither the command line nor the file says what is mirrored, from where, or to where. */
  readonly isDefault: boolean;
  /** Serves as a part of a deployment's stream tier, and nothing else. */
  readonly tier?: true;
  readonly json?: true;
  readonly verbose?: true;
}

type ParsedOptions = Omit<Arguments, AddressSetting | "isDefault"> & SettingValues<AddressSetting>;

/** Options that a demo can have as well. */
const OPTIONS_OF_A_DEMO: ReadonlySet<string> = new Set(["host", "port", "json", "verbose"]);

const EXPLANATION = `
Settings come from the command line, else from nearside.config.json, else they have their default.

Without --workspace, --project or --repository the server mirrors what config.json in the store selects (nearside connect, select).
Without any setting, and without .nearside/store/config.json, it runs a demo in .nearside/demo: a small Bitbucket Cloud with a sample
repository on this machine, and its mirror.

The first SIGINT (Ctrl-C) or SIGTERM lets requests finish for 5 s and stops syncs, which continue at the next start. A second one ends the
process at once.

Credentials for private repositories, in the environment:
  BITBUCKET_EMAIL and BITBUCKET_API_TOKEN    a user's API token (scope read:repository:bitbucket)
  BITBUCKET_ACCESS_TOKEN                     an access token of a workspace, project or repository
  NEARSIDE_SECRET_<NAME>                     the account that config.json calls <name>, as JSON
  NEARSIDE_WEBHOOK_SECRET                    the secret that signs Bitbucket's webhooks; by default a new one for each run
  NEARSIDE_SECRET_RELAY_<NAME>               the secret <name>, which signs webhooks of the relay
Public repositories need none. For --store s3://… the AWS SDK finds the AWS credentials.

Clients send the credential that they have for Bitbucket, and the mirror asks Bitbucket whether they may read. Without
--tls-certificate the server speaks plain HTTP: on another address than 127.0.0.1, put a proxy with TLS in front of it.
NEARSIDE_AUTH_SECRET in the environment, 32 characters at least: the key of the HMAC that stored credentials' verdicts are named by.
They are used while Bitbucket is unreachable. By default a folder store keeps a key, and with --store s3://… each run has a new one.

Examples:
  nearside serve
  nearside serve --repository acme/website --repository acme/tools
  nearside serve --workspace acme --store s3://acme-mirror/git
  nearside serve --project acme/CORE --store /srv/mirror --poll-seconds 30

Exit codes: 0 ended by SIGINT or SIGTERM; 1 failed; 2 wrong arguments or settings; 130, 143 ended by a second signal.`;

export function serverOptions(command: Command): Command {
  command
    .option("--workspace <name>", "mirror all repositories of a workspace (repeatable)", collect, [])
    .option("--project <workspace/KEY>", "mirror the repositories of a project (repeatable)", collectPair, [])
    .option("--repository <workspace/slug>", "mirror one repository (repeatable)", collectPair, []);
  return addSettings(command, ARGUMENT_NAMES)
    .option("--json", "print one JSON object with the URLs when every repository has been tried once")
    .option(
      "--tier",
      "serve large repositories for a deployment on AWS that redirects to this server (docs/large-repositories.md)",
    )
    .option("--verbose", "log every sync and every failed request to standard error")
    .addHelpText("after", EXPLANATION);
}

/** What a command with {@link serverOptions} was given. To be called in its action, when the settings file has been read. */
export function serverArguments(command: Command): Arguments {
  const options = command.opts<ParsedOptions>();
  const isGiven = (key: string) => ["cli", "config"].includes(command.getOptionValueSource(key) ?? "");
  const given = command.options.map((option) => option.attributeName()).filter(isGiven);
  const ranges = ADDRESS_SETTINGS.map((name) => [
    name,
    parseAddressSetting(options[name], SETTINGS[name].default),
  ]);
  const addresses = Object.fromEntries(ranges) as Pick<Arguments, AddressSetting>;
  return { ...options, ...addresses, isDefault: given.every((key) => OPTIONS_OF_A_DEMO.has(key)) };
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

function collectPair(value: string, before: readonly string[]): string[] {
  if (!/^[^/\s]+\/[^/\s]+$/.test(value))
    throw new InvalidArgumentError("Expected two names with a slash between them.");
  return [...before, value];
}

/**
 * What it selects, as a configuration: the server stores it, see `storeOptionSelection`.
 * @returns `undefined` if it names nothing.
 * @throws {ConfigError} A name that Bitbucket cannot have.
 */
export function argumentConfig(
  options: Pick<Arguments, "workspace" | "project" | "repository" | "publicRepositories">,
  account: BitbucketAccount,
): MirrorConfig | undefined {
  const { workspace, project, repository, publicRepositories } = options;
  const owners = new Map<string, { all: boolean; projects: string[]; include: string[] }>();
  const ownerOf = (name: string) => {
    const key = name.toLowerCase();
    const owner = owners.get(key) ?? { all: false, projects: [], include: [] };
    owners.set(key, owner);
    return owner;
  };
  for (const name of workspace) ownerOf(name).all = true;
  for (const [owner = "", key = ""] of project.map((name) => name.split("/")))
    ownerOf(owner).projects.push(key);
  for (const [owner = "", slug = ""] of repository.map((name) => name.split("/")))
    ownerOf(owner).include.push(slug);
  if (owners.size === 0) return undefined;
  return mirrorConfigOf(
    [...owners].map(([name, { all, projects, include }]) => ({
      workspace: name,
      projects: all ? "all" : projects,
      include,
      publicRepositories: publicRepositories === "mirror",
      ...(account.kind !== "none" && { credential: ENVIRONMENT_CREDENTIAL }),
    })),
  );
}
