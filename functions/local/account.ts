/** The Bitbucket accounts that the environment holds. */
import { type BitbucketAccount, parseAccount } from "../../lib/bitbucket/credential.ts";
import { ConfigError } from "../../lib/errors.ts";

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
  const variable = variableOf(name);
  const account = parseAccount(env[variable]);
  if (account !== undefined) return account;
  throw new ConfigError(`${variable} must hold {"email": "…", "token": "…"} or {"token": "…"} as JSON`);
}

/**
 * What webhooks of the relay are signed with.
 * @throws {ConfigError} There is no variable for it, or it is too short to be a secret.
 */
export function readRelaySecret(
  env: Environment,
  name: string,
): { readonly variable: string; readonly secret: string } {
  const variable = variableOf(`relay/${name}`);
  const secret = env[variable] ?? "";
  if (secret.length >= MIN_SECRET_LENGTH) return { variable, secret };
  throw new ConfigError(`${variable} must hold a secret of ${MIN_SECRET_LENGTH} characters at least`);
}

function variableOf(name: string): string {
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
