/** The secrets of a mirror in one process: accounts and keys in its environment, and the key that it keeps in its store. */
import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BitbucketAccount, parseAccount } from "../../lib/bitbucket/credential.ts";
import { ConfigError } from "../../lib/errors.ts";
import { secretKeys } from "../../lib/secret-keys.ts";
import { RESERVED_SEGMENT } from "../../lib/store/blob-key.ts";
import { FILE_MODE, makeFolder } from "../../lib/store/folder.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** How a configuration names the account in the `BITBUCKET_` variables. */
export const ENVIRONMENT_CREDENTIAL = "environment";

const MIN_SECRET_LENGTH = 16;

/**
 * @param name - As in the configuration; without one the mirror has no account.
 * @throws {ConfigError} There is no variable for it, or it holds no account.
 */
export function readNamedAccount(env: Environment, name: string | undefined): BitbucketAccount {
  if (name === undefined) return { kind: "none" };
  if (name === ENVIRONMENT_CREDENTIAL) {
    const account = readAccount(env);
    if (account.kind !== "none") return account;
    throw new ConfigError(
      `no account is in the environment: config.json names it "${name}"; set BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN`,
    );
  }
  const variable = secretVariable(name);
  const account = parseAccount(env[variable]);
  if (account !== undefined) return account;
  const fault = env[variable] === undefined ? "is not set in the environment: it" : "in the environment";
  throw new ConfigError(
    `${variable} ${fault} must hold {"email": "…", "token": "…"} or {"token": "…"}, or a list of two of these, as JSON`,
  );
}

/**
 * What webhooks of the relay are signed with.
 * @throws {ConfigError} There is no variable for it, or it is too short to be a secret.
 */
export function readRelaySecret(
  env: Environment,
  name: string,
): { readonly variable: string; readonly secret: string } {
  const variable = secretVariable(`relay/${name}`);
  const secret = env[variable] ?? "";
  if (secret.length >= MIN_SECRET_LENGTH) return { variable, secret };
  throw new ConfigError(`${variable} must hold a secret of ${MIN_SECRET_LENGTH} characters at least`);
}

/**
 * What webhooks are signed with: from the environment; by default one for this run, which repair gives to webhooks of earlier runs.
 * @throws {ConfigError} Several, one of which is too short.
 */
export function readWebhookKey(env: Environment): string {
  const given = env["NEARSIDE_WEBHOOK_SECRET"];
  if (!given) return randomBytes(32).toString("hex");
  secretKeys(given, "NEARSIDE_WEBHOOK_SECRET");
  return given;
}

/** The variable with the secret of this name. */
export function secretVariable(name: string): string {
  return `NEARSIDE_SECRET_${name.replace(/[^A-Za-z0-9]/g, "_").toUpperCase()}`;
}

/** @throws {ConfigError} Half of a credential, or two. */
export function readAccount(env: Environment): BitbucketAccount {
  const email = env["BITBUCKET_EMAIL"] || undefined;
  const apiToken = env["BITBUCKET_API_TOKEN"] || undefined;
  const accessToken = env["BITBUCKET_ACCESS_TOKEN"] || undefined;
  if (accessToken !== undefined) {
    if (apiToken !== undefined)
      throw new ConfigError("set BITBUCKET_API_TOKEN or BITBUCKET_ACCESS_TOKEN, not both");
    return { kind: "access-token", token: accessToken };
  }
  if (apiToken === undefined && email === undefined) return { kind: "none" };
  if (apiToken === undefined || email === undefined) {
    throw new ConfigError("BITBUCKET_EMAIL and BITBUCKET_API_TOKEN belong together: set both");
  }
  return { kind: "api-token", email, token: apiToken };
}

/**
 * The key under which a mirror remembers who was allowed what: from the environment; else for a folder store from a file in it, which is made. Else it lasts for this run only, and a
 * restart forgets who was allowed what.
 * @throws {ConfigError} It is too short to be a secret, or one of several is.
 */
export async function readAuthSecret(env: Environment, location: string): Promise<string> {
  const given = env["NEARSIDE_AUTH_SECRET"] || undefined;
  if (given !== undefined) {
    if (given.length < 32) throw new ConfigError("NEARSIDE_AUTH_SECRET must have 32 characters at least");
    secretKeys(given, "NEARSIDE_AUTH_SECRET");
    return given;
  }
  const made = randomBytes(32).toString("hex");
  if (location.startsWith("s3://")) return made;
  const file = join(location, RESERVED_SEGMENT, "auth-secret");
  const unfinished = `${file}.${process.pid}`;
  await makeFolder(join(location, RESERVED_SEGMENT));
  await writeFile(unfinished, made, { mode: FILE_MODE });
  try {
    // Whole at once, and only if there is none: another mirror may start at the same time.
    await link(unfinished, file);
    return made;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(unfinished);
  }
  const kept = await readFile(file, "utf8");
  if (kept.length < 32) throw new ConfigError(`${file} was cut off: remove it, and start again`);
  return kept;
}
