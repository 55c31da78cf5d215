/**
 * The settings of the deployed functions: the names of their environment variables, which infra/ sets, and readers that
 * make typed values of them. Nothing here reads the process's environment; functions/ hands it in.
 */
import packageJson from "../package.json" with { type: "json" };
import { ConfigError } from "./errors.ts";

/** How the project names itself to git clients and servers. */
export const AGENT = `nearside/${packageJson.version}`;

export const ENV = {
  /** Name of the bucket that holds the mirrored repositories. */
  bucket: "NEARSIDE_BUCKET",
  /** Where the primary serves git and its REST API; set to mirror from a stand-in. */
  gitUrl: "NEARSIDE_GIT_URL",
  apiUrl: "NEARSIDE_API_URL",
  /** Name of the SSM parameter with the primary's credential. Without it: public repositories only. */
  credentialParameter: "NEARSIDE_CREDENTIAL_PARAMETER",
  /** Where sync jobs come from. */
  syncQueueUrl: "NEARSIDE_SYNC_QUEUE_URL",
  logLevel: "NEARSIDE_LOG_LEVEL",
} as const;

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface GitHttpConfig {
  readonly bucket: string;
  readonly logLevel: LogLevel;
}

export interface SyncConfig {
  readonly bucket: string;
  /** Without a slash at their ends. */
  readonly gitUrl: string;
  readonly apiUrl: string;
  readonly credentialParameter: string | undefined;
  readonly syncQueueUrl: string;
  readonly logLevel: LogLevel;
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readGitHttpConfig(env: Environment): GitHttpConfig {
  return read(env, (reader) => ({
    bucket: required(reader, ENV.bucket, "the name of the bucket with the repositories"),
    logLevel: logLevel(reader),
  }));
}

/** @throws {ConfigError} Names every variable that is missing or wrong. */
export function readSyncConfig(env: Environment): SyncConfig {
  return read(env, (reader) => ({
    bucket: required(reader, ENV.bucket, "the name of the bucket with the repositories"),
    syncQueueUrl: required(reader, ENV.syncQueueUrl, "the address of the queue of sync jobs"),
    gitUrl: url(reader, ENV.gitUrl, "https://bitbucket.org"),
    apiUrl: url(reader, ENV.apiUrl, "https://api.bitbucket.org/2.0"),
    credentialParameter: reader.value(ENV.credentialParameter),
    logLevel: logLevel(reader),
  }));
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

function url(reader: Reader, name: string, fallback: string): string {
  const text = reader.value(name) ?? fallback;
  const parsed = URL.parse(text);
  // The text is not repeated: an address may carry a password.
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    reader.problem(name, "must be an http or https address");
  } else if (parsed.username !== "" || parsed.password !== "") {
    reader.problem(name, `must not carry a credential: use ${ENV.credentialParameter}`);
  }
  return text.replace(/\/+$/, "");
}

function logLevel(reader: Reader): LogLevel {
  const text = reader.value(ENV.logLevel) ?? "info";
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) reader.problem(ENV.logLevel, `must be one of ${LOG_LEVELS.join(", ")}`);
  return level ?? "info";
}
