/**
 * What deployed functions read from their environment: settings (lib/settings.ts) and the names of the deployment's resources, both set
 * by infra/. Nothing here reads the process's environment; functions/ passes it in.
 */
import packageJson from "../package.json" with { type: "json" };
import { type AddressRange, parseAddressSetting } from "./address-ranges.ts";
import { ConfigError } from "./errors.ts";
import { parseValue } from "./parse-setting.ts";
import { COMMON_SETTINGS } from "./settings/common-settings.ts";
import { FUNCTION_SETTINGS } from "./settings/function-settings.ts";
import type { Setting, SettingValue } from "./settings/setting.ts";

/** How the project names itself to git clients and servers. */
export const AGENT = `nearside/${packageJson.version}`;

/** SSM parameter below `secretPath`; the mirror creates it. */
export const WEBHOOK_SECRET_NAME = "webhook-secret";

/** Below `secretPath`: the accounts at Bitbucket that `config.json` names. */
export const ACCOUNT_SECRET_FOLDER = "accounts/";

/** Below `secretPath`: the secrets that sign the relay's webhooks. */
export const RELAY_SECRET_FOLDER = "relay/";

/** Source of the mirror's events on EventBridge; rules match on it. */
export const EVENT_SOURCE = "nearside";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What infra/ sets from the deployment's resources, and what each variable holds. */
const RESOURCES = {
  bucket: "the name of the bucket with the repositories",
  authSecret: "the key for the HMACs of credentials",
  syncQueueUrl: "the URL of the queue of sync jobs",
  relayQueueUrl: "the URL of the relay's queue",
  lfsQueueUrl: "the URL of the queue of LFS jobs",
  syncDeadLetterQueueUrl: "the URL of the queue of sync jobs that failed",
  lfsDeadLetterQueueUrl: "the URL of the queue of LFS jobs that failed",
  relayDeadLetterQueueUrl: "the URL of the queue of relayed events that failed",
  administerFunction: "the name of the function that does what administrators ask for on the pages",
  mirrorUrl: "the URL of the mirror for webhooks",
  streamTierUrl: "the stream tier's URL",
  streamTierKeys:
    "the keys of tokens for the stream tier, separated by commas: the first signs, each is accepted",
} as const;

type ResourceName = keyof typeof RESOURCES;

/** Not lib/settings.ts: each function would load all that only a server or infra/ reads. */
const TABLE = { ...COMMON_SETTINGS, ...FUNCTION_SETTINGS };

/** Of the common ones, only the addresses of clients are API Gateway's to check. */
type EnvironmentSetting = Exclude<keyof typeof TABLE, "allowedAddresses">;

/** Settings that deployed functions read. */
export const ENVIRONMENT_SETTINGS = Object.keys(TABLE).filter(
  (name): name is EnvironmentSetting => name !== "allowedAddresses",
);

/** The name of each variable. */
export const ENV = mapped(
  [...(Object.keys(RESOURCES) as ResourceName[]), ...ENVIRONMENT_SETTINGS],
  variableOf,
);

/** @returns `NEARSIDE_GIT_URL` for `gitUrl`. */
function variableOf(name: ResourceName | EnvironmentSetting): string {
  return `NEARSIDE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** @throws {ConfigError} Names every variable that is missing or wrong; so do all readers below. */
export function readAuthorizerConfig(env: Environment) {
  return read(env, ["bucket", "authSecret"], ["gitUrl", "secretPath", ...ACCESS_SETTINGS, ...LOG_SETTINGS]);
}

/** `administerFunction`: `undefined` where there are no pages for administrators. */
export function readPagesConfig(env: Environment) {
  const own = ["gitUrl", "apiUrl", "secretPath", "administration"] as const;
  const config = read(
    env,
    ["bucket", "authSecret", "syncQueueUrl", "lfsQueueUrl"],
    [...own, ...ACCESS_SETTINGS, ...LOG_SETTINGS],
  );
  return { ...config, administerFunction: env[ENV.administerFunction] || undefined };
}

export function readGitHttpConfig(env: Environment) {
  return read(
    env,
    ["bucket", "syncQueueUrl", "lfsQueueUrl"],
    ["gitUrl", "push", "lfs", "redirectUnmirrored", "waitSeconds", ...LOG_SETTINGS],
  );
}

/** @returns `undefined` where there is no stream tier. */
export function readStreamTierConfig(env: Environment) {
  if (!env[ENV.streamTierUrl]) return undefined;
  const config = read(
    env,
    ["streamTierUrl", "streamTierKeys"],
    ["streamTierThresholdMib", "streamTierTokens"],
  );
  return {
    url: config.streamTierUrl,
    keys: config.streamTierKeys,
    bindsNetwork: config.streamTierTokens === "one-network",
    thresholdBytes: config.streamTierThresholdMib * 1024 * 1024,
  };
}

/** @returns `undefined` for a server of the stream tier that no deployment started. */
export function readTierLogConfig(env: Environment) {
  return env[ENV.stackPrefix] ? read(env, [], LOG_SETTINGS) : undefined;
}

export function readStatusConfig(env: Environment) {
  const settings = ["gitUrl", "redirectUnmirrored", "waitSeconds", ...LOG_SETTINGS] as const;
  return read(env, ["bucket", "syncQueueUrl"], settings);
}

/** `addresses`: empty if webhooks are accepted from everywhere. */
export function readWebhookConfig(env: Environment): Values<
  "bucket" | "syncQueueUrl",
  "secretPath" | LogSetting
> & {
  readonly addresses: readonly AddressRange[];
} {
  const problems: string[] = [];
  const addresses = attempt(problems, ENV.webhookAddresses, () =>
    parseAddressSetting(env[ENV.webhookAddresses] || COMMON_SETTINGS.webhookAddresses.default),
  );
  const config = read(env, ["bucket", "syncQueueUrl"], ["secretPath", ...LOG_SETTINGS], problems);
  return { ...config, addresses: addresses ?? [] };
}

export function readSyncConfig(env: Environment) {
  return read(env, ["bucket", "syncQueueUrl", "relayQueueUrl", "lfsQueueUrl"], PRIMARY_SETTINGS);
}

export function readLfsConfig(env: Environment) {
  const settings = [...PRIMARY_SETTINGS, "lfs", "lfsMaxFileMib", "lfsRepositories"] as const;
  return read(env, ["bucket", "lfsQueueUrl"], settings);
}

export function readReconcileConfig(env: Environment) {
  return read(env, ["bucket", "syncQueueUrl", "mirrorUrl"], PRIMARY_SETTINGS);
}

export function readAdministerConfig(env: Environment) {
  const queues = ["syncQueueUrl", "lfsQueueUrl", "relayQueueUrl"] as const;
  const deadLetters = ["syncDeadLetterQueueUrl", "lfsDeadLetterQueueUrl", "relayDeadLetterQueueUrl"] as const;
  return read(env, ["bucket", ...queues, ...deadLetters], PRIMARY_SETTINGS);
}

export function readRelayConfig(env: Environment) {
  const resources = ["bucket", "relayQueueUrl", "mirrorUrl"] as const;
  return read(env, resources, ["secretPath", "gitUrl", ...LOG_SETTINGS]);
}

const ACCESS_SETTINGS = [
  "anonymous",
  "anonymousPerMinute",
  "anonymousTotalPerMinute",
  "wrongCredentialsPerMinute",
  "staleMinutes",
] as const;

/** What functions/wiring/function-log.ts needs. */
const LOG_SETTINGS = ["logLevel", "stackPrefix", "metrics"] as const;
type LogSetting = (typeof LOG_SETTINGS)[number];

const PRIMARY_SETTINGS = ["secretPath", "gitUrl", "apiUrl", ...LOG_SETTINGS] as const;

type Values<Resource extends ResourceName, Name extends EnvironmentSetting> = {
  readonly [R in Resource]: string;
} & { readonly [N in Name]: SettingValue<(typeof TABLE)[N]> };

/** An empty variable counts as absent: the Lambda console makes no difference between them. */
function read<Resource extends ResourceName, Name extends EnvironmentSetting>(
  env: Environment,
  resources: readonly Resource[],
  settings: readonly Name[],
  problems: string[] = [],
): Values<Resource, Name> {
  const textOf = (name: ResourceName | EnvironmentSetting, unset: unknown, meaning: string) => {
    const text = env[ENV[name]] || unset;
    if (text === undefined) throw new ConfigError(`is not set: ${meaning}`);
    return String(text);
  };
  const resourceValues = mapped(resources, (name) =>
    attempt(problems, ENV[name], () => {
      const text = textOf(name, undefined, RESOURCES[name]);
      return name === "mirrorUrl" || name === "streamTierUrl"
        ? parseValue({ type: "url", description: RESOURCES[name] }, text)
        : text;
    }),
  );
  const settingValues = mapped(settings, (name) =>
    attempt(problems, ENV[name], () => {
      const setting: Setting = TABLE[name];
      return parseValue(setting, textOf(name, setting.default, setting.description));
    }),
  );
  // One failed start reports all problems.
  if (problems.length > 0) throw new ConfigError(`environment: ${problems.join("; ")}`);
  return { ...resourceValues, ...settingValues } as Values<Resource, Name>;
}

function attempt<T>(problems: string[], variable: string, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(`${variable} ${error.message}`);
    return undefined;
  }
}

function mapped<Name extends string, Value>(
  names: readonly Name[],
  toValue: (name: Name) => Value,
): Readonly<Record<Name, Value>> {
  return Object.fromEntries(names.map((name) => [name, toValue(name)])) as Record<Name, Value>;
}
