/** The Bitbucket accounts that the environment holds. */
import { type BitbucketAccount, parseAccount } from "../../lib/bitbucket/credential.ts";
import { ConfigError } from "../../lib/errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** How a configuration names the account in the `BITBUCKET_` variables. */
export const ENVIRONMENT_CREDENTIAL = "environment";

/**
 * @param name - As in the configuration; without one the mirror has no account.
 * @throws {ConfigError} There is no variable for it, or it holds no account.
 */
export function readNamedAccount(env: Environment, name: string | undefined): BitbucketAccount {
  if (name === undefined) return { kind: "none" };
  if (name === ENVIRONMENT_CREDENTIAL) return readAccount(env);
  const variable = `NEARSIDE_SECRET_${name.replace(/[^A-Za-z0-9]/g, "_").toUpperCase()}`;
  const account = parseAccount(env[variable]);
  if (account !== undefined) return account;
  throw new ConfigError(`${variable} must hold {"email": "…", "token": "…"} or {"token": "…"} as JSON`);
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
