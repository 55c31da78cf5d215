/** Options that commands share, and the store and clients that they open with them. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { SSMClient } from "@aws-sdk/client-ssm";
import { type Command, InvalidArgumentError } from "commander";
import { pino } from "pino";
import { ssmParameters } from "../../lib/aws/ssm-parameters.ts";
import type { BitbucketAccount } from "../../lib/bitbucket/credential.ts";
import { parameterAccounts } from "../../lib/bitbucket/parameter-account.ts";
import { type Logger, SILENT_LOGGER } from "../../lib/log.ts";
import { pinoLogger } from "../../lib/log-pino.ts";
import { readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG, type MirrorConfig, type MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import type { ArgumentName } from "../../lib/settings.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { openStore } from "../local/open-store.ts";
import { readNamedAccount } from "../local/secrets.ts";
import { type BitbucketAccess, bitbucketAccess } from "../wiring/bitbucket-access.ts";
import { addSettings, settingParser } from "../wiring/setting-options.ts";

export interface StoreOptions {
  readonly store: string;
  readonly s3Endpoint?: string;
}

export interface PrimaryOptions extends StoreOptions {
  readonly apiUrl: string;
  readonly gitUrl: string;
  readonly secretPath?: string;
  readonly verbose?: true;
}

/** For commands that use the store only. */
export function storeOptions(command: Command): Command {
  return addSettings(command, ["store", "s3Endpoint"]);
}

/** For commands that ask Bitbucket. @param more - Further settings. */
export function primaryOptions(command: Command, more: readonly ArgumentName[] = []): Command {
  return addSettings(command, ["store", "s3Endpoint", "apiUrl", "gitUrl", ...more])
    .option(
      "--secret-path <path>",
      "read accounts from SSM parameters below it, as a deployed mirror does, not from the environment",
      parseSecretPath,
    )
    .option("--verbose", "log to standard error, one JSON object a line");
}

export function storeOf({ store, s3Endpoint }: StoreOptions): BlobStore {
  return openStore(store, s3Endpoint);
}

/** @throws {ConfigError} It cannot be understood. */
export async function configOf(store: BlobStore): Promise<MirrorConfig> {
  return (await readMirrorConfig(store)) ?? EMPTY_CONFIG;
}

export function accountsOf({
  secretPath,
}: PrimaryOptions): (workspace: Pick<MirroredWorkspace, "credential">) => Promise<BitbucketAccount> {
  if (secretPath === undefined) return async ({ credential }) => readNamedAccount(process.env, credential);
  return parameterAccounts(ssmParameters(new SSMClient()), secretPath);
}

export function bitbucketOf(options: PrimaryOptions, signal?: AbortSignal): BitbucketAccess {
  return bitbucketAccess({ ...options, accountOf: accountsOf(options), ...(signal && { signal }) });
}

export function logOf({ verbose }: PrimaryOptions): Logger {
  // The command itself prints errors.
  return verbose ? pinoLogger("debug", pino.destination({ fd: 2, sync: true })) : SILENT_LOGGER;
}

/** At the host of the queue's URL; an AWS host contains the region. */
export function sqsOf(queueUrl: string): SQSClient {
  const { hostname, origin } = new URL(queueUrl);
  const region = /^sqs\.([a-z0-9-]+)\.amazonaws\.com/.exec(hostname)?.[1];
  return region === undefined ? new SQSClient({ endpoint: origin }) : new SQSClient({ region });
}

/** @returns The first of a list, for one request. */
export async function firstOf<Item>(list: AsyncIterable<Item>): Promise<Item | undefined> {
  for await (const item of list) return item;
  return undefined;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The URL of something that is no setting, such as a queue. */
export const parseUrlArgument = settingParser("webhookUrl");

export function parseSecretPath(text: string): string {
  if (/^\/([A-Za-z0-9._-]+\/)*$/.test(text)) return text;
  throw new InvalidArgumentError("Expected slashes at both ends, as /nearside/.");
}

export function parseDays(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= 3653) return Number(text);
  throw new InvalidArgumentError("Expected whole days, from 0 to 3653.");
}
