/**
 * The settings of the deployed functions as typed values, out of the environment variables that infra/ sets. Nothing here
 * reads the process's environment; functions/ hands it in.
 */
import packageJson from "../package.json" with { type: "json" };
import { type AddressRange, parseAddressSetting } from "./address-ranges.ts";
import { ConfigError } from "./errors.ts";
import { ENV } from "./setting-names.ts";

/** How the project names itself to git clients and servers. */
export const AGENT = `nearside/${packageJson.version}`;

const DEFAULT_GIT_URL = "https://bitbucket.org";
/** Below the path of secrets; made by the mirror itself. */
export const WEBHOOK_SECRET_NAME = "webhook-secret";

/** Below the same path, what webhooks of the relay are signed with. */
export const RELAY_SECRET_FOLDER = "relay/";

/** Of the mirror's events on EventBridge: what rules match on. */
export const EVENT_SOURCE = "nearside";

const RELAY_QUEUE_MEANING = "the address of the relay's queue";
const QUEUE_MEANING = "the address of the queue of sync jobs";
const BUCKET_MEANING = "the name of the bucket with the repositories";

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What is set about access, wherever it is set: deployed, or on the command line of the local server. */
export const ACCESS_SETTINGS = {
  /** Whether callers without a credential get what everyone may read at the primary. */
  anonymous: { choices: ["allow", "deny"], fallback: "allow" },
  /** Requests without a credential from one address. 300 is about a clone or two each second. 0: no limit. */
  anonymousPerMinute: { max: 1_000_000, fallback: 300 },
  /** The same from all addresses together, as there may be many. */
  anonymousTotalPerMinute: { max: 1_000_000, fallback: 6_000 },
  /** Different credentials that the primary does not take, from one address, before no other new one is tried. 0: no limit. */
  wrongCredentialsPerMinute: { max: 1_000_000, fallback: 20 },
  /** How long the last yes counts while the primary is away. A day at the most: rights are taken away meanwhile. */
  staleMinutes: { max: 1440, fallback: 15 },
  /** How long a request waits for a sync of what is not here yet. API Gateway cuts what is silent for 5 min. 0: not at all. */
  waitSeconds: { max: 240, fallback: 20 },
  push: { choices: ["redirect", "refuse"], fallback: "redirect" },
  /** Which repositories callers without a credential are sent on to the primary for, while they are not mirrored yet. */
  redirectUnmirrored: { choices: ["all", "public", "off"], fallback: "all" },
  /** Whether what everyone may read at the primary is mirrored; deployed, config.json says it for each workspace. */
  publicRepositories: { choices: ["mirror", "skip"], fallback: "mirror" },
} as const;

/** Those of them that are whole numbers, from 0. */
export const NUMBER_SETTINGS = [
  "anonymousPerMinute",
  "anonymousTotalPerMinute",
  "wrongCredentialsPerMinute",
  "staleMinutes",
  "waitSeconds",
] as const;

export type NumberSetting = (typeof NUMBER_SETTINGS)[number];

export interface AuthorizerConfig {
  readonly bucket: string;
  /** Without a slash at its end. */
  readonly gitUrl: string;
  readonly authSecretName: string;
  readonly allowsAnonymous: boolean;
  readonly anonymousPerMinute: number;
  readonly anonymousTotalPerMinute: number;
  readonly wrongCredentialsPerMinute: number;
  readonly staleMinutes: number;
  readonly redirectUnmirrored: "all" | "public" | "off";
  readonly logLevel: LogLevel;
}

export interface GitHttpConfig {
  readonly bucket: string;
  /** Where pushes go, without a slash at its end. */
  readonly gitUrl: string;
  readonly push: "redirect" | "refuse";
  readonly syncQueueUrl: string;
  readonly waitSeconds: number;
  readonly logLevel: LogLevel;
}

interface QueueConfig {
  readonly bucket: string;
  readonly syncQueueUrl: string;
  /** With a slash at both ends. */
  readonly secretPath: string;
  readonly logLevel: LogLevel;
}

export interface WebhookConfig extends QueueConfig {
  /** None: from anywhere. */
  readonly addresses: readonly AddressRange[];
}

interface PrimaryConfig extends QueueConfig {
  /** Without a slash at their ends. */
  readonly gitUrl: string;
  readonly apiUrl: string;
}

export interface SyncConfig extends PrimaryConfig {
  readonly relayQueueUrl: string;
}

interface MirrorIdentityConfig {
  /** Without a slash at its end. */
  readonly mirrorUrl: string;
  readonly mirrorName: string;
}

export interface ReconcileConfig extends PrimaryConfig, MirrorIdentityConfig {}

export interface RelayConfig extends MirrorIdentityConfig {
  readonly bucket: string;
  readonly relayQueueUrl: string;
  /** With a slash at both ends. */
  readonly secretPath: string;
  /** Without a slash at its end. */
  readonly gitUrl: string;
  readonly logLevel: LogLevel;
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readAuthorizerConfig(env: Environment): AuthorizerConfig {
  const { anonymous, redirectUnmirrored } = ACCESS_SETTINGS;
  return read(env, (reader) => ({
    bucket: required(reader, ENV.bucket, BUCKET_MEANING),
    gitUrl: url(reader, ENV.gitUrl, DEFAULT_GIT_URL),
    authSecretName: required(reader, ENV.authSecret, "the name of the secret to remember callers under"),
    allowsAnonymous: choice(reader, ENV.anonymous, anonymous) === "allow",
    anonymousPerMinute: number(reader, "anonymousPerMinute"),
    anonymousTotalPerMinute: number(reader, "anonymousTotalPerMinute"),
    wrongCredentialsPerMinute: number(reader, "wrongCredentialsPerMinute"),
    staleMinutes: number(reader, "staleMinutes"),
    redirectUnmirrored: choice(reader, ENV.redirectUnmirrored, redirectUnmirrored),
    logLevel: logLevel(reader),
  }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readGitHttpConfig(env: Environment): GitHttpConfig {
  return read(env, (reader) => ({
    bucket: required(reader, ENV.bucket, BUCKET_MEANING),
    gitUrl: url(reader, ENV.gitUrl, DEFAULT_GIT_URL),
    push: choice(reader, ENV.push, ACCESS_SETTINGS.push),
    syncQueueUrl: required(reader, ENV.syncQueueUrl, QUEUE_MEANING),
    waitSeconds: number(reader, "waitSeconds"),
    logLevel: logLevel(reader),
  }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readWebhookConfig(env: Environment): WebhookConfig {
  return read(env, (reader) => ({
    ...queueConfig(reader),
    addresses: addresses(reader, ENV.webhookAddresses),
  }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readSyncConfig(env: Environment): SyncConfig {
  return read(env, (reader) => ({
    ...primaryConfig(reader),
    relayQueueUrl: required(reader, ENV.relayQueueUrl, RELAY_QUEUE_MEANING),
  }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readReconcileConfig(env: Environment): ReconcileConfig {
  return read(env, (reader) => ({ ...primaryConfig(reader), ...identityConfig(reader) }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readRelayConfig(env: Environment): RelayConfig {
  return read(env, (reader) => ({
    bucket: required(reader, ENV.bucket, BUCKET_MEANING),
    relayQueueUrl: required(reader, ENV.relayQueueUrl, RELAY_QUEUE_MEANING),
    secretPath: secretPath(reader),
    gitUrl: url(reader, ENV.gitUrl, DEFAULT_GIT_URL),
    ...identityConfig(reader),
    logLevel: logLevel(reader),
  }));
}

function identityConfig(reader: Reader): MirrorIdentityConfig {
  return {
    mirrorUrl: url(reader, ENV.mirrorUrl),
    mirrorName: required(reader, ENV.mirrorName, "what the mirror calls itself"),
  };
}

function queueConfig(reader: Reader): QueueConfig {
  return {
    bucket: required(reader, ENV.bucket, BUCKET_MEANING),
    syncQueueUrl: required(reader, ENV.syncQueueUrl, QUEUE_MEANING),
    secretPath: secretPath(reader),
    logLevel: logLevel(reader),
  };
}

function primaryConfig(reader: Reader): PrimaryConfig {
  return {
    ...queueConfig(reader),
    gitUrl: url(reader, ENV.gitUrl, DEFAULT_GIT_URL),
    apiUrl: url(reader, ENV.apiUrl, "https://api.bitbucket.org/2.0"),
  };
}

function secretPath(reader: Reader): string {
  const path = required(reader, ENV.secretPath, "what the names of the parameters with secrets begin with");
  if (path !== "" && !/^\/([A-Za-z0-9._-]+\/)+$/.test(path)) {
    reader.problem(ENV.secretPath, "must begin and end with a slash");
  }
  return path;
}

interface Reader {
  /** `undefined` for a variable that is absent or empty: the Lambda console cannot tell these apart. */
  value(name: string): string | undefined;
  problem(name: string, rule: string): void;
}

/** Collects the problems of all variables, so that one failed start tells them all. */
function read<T>(env: Environment, parse: (reader: Reader) => T): T {
  const problems: string[] = [];
  const config = parse({
    value: (name) => env[name] || undefined,
    problem: (name, rule) => problems.push(`${name} ${rule}`),
  });
  if (problems.length > 0) throw new ConfigError(`environment: ${problems.join("; ")}`);
  return config;
}

function required(reader: Reader, name: string, meaning: string): string {
  const value = reader.value(name);
  if (value === undefined) reader.problem(name, `is not set: ${meaning}`);
  return value ?? "";
}

function url(reader: Reader, name: string, fallback?: string): string {
  const text = reader.value(name) ?? fallback ?? "";
  const parsed = URL.parse(text);
  // The text is not repeated: an address may carry a password.
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    reader.problem(name, "must be an http or https address");
  } else if (parsed.username !== "" || parsed.password !== "") {
    reader.problem(name, "must not carry a credential");
  }
  return text.replace(/\/+$/, "");
}

function addresses(reader: Reader, name: string): readonly AddressRange[] {
  try {
    return parseAddressSetting(reader.value(name) ?? "any");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    reader.problem(name, `holds what is ${error.message}`);
    return [];
  }
}

function choice<Choice extends string>(
  reader: Reader,
  name: string,
  { choices, fallback }: { readonly choices: readonly Choice[]; readonly fallback: Choice },
): Choice {
  const text = reader.value(name) ?? fallback;
  const chosen = choices.find((known) => known === text);
  if (chosen === undefined) reader.problem(name, `must be one of ${choices.join(", ")}`);
  return chosen ?? fallback;
}

function number(reader: Reader, setting: NumberSetting): number {
  const { max, fallback } = ACCESS_SETTINGS[setting];
  const name = ENV[setting];
  const text = reader.value(name) ?? String(fallback);
  const isWhole = /^\d{1,9}$/.test(text) && Number(text) <= max;
  if (!isWhole) reader.problem(name, `must be a whole number from 0 to ${max}`);
  return isWhole ? Number(text) : fallback;
}

function logLevel(reader: Reader): LogLevel {
  const text = reader.value(ENV.logLevel) ?? "info";
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) reader.problem(ENV.logLevel, `must be one of ${LOG_LEVELS.join(", ")}`);
  return level ?? "info";
}
