/** The Bitbucket account that the environment names. */
import type { BitbucketAccount } from "../../lib/bitbucket/credential.ts";
import { ConfigError } from "../../lib/errors.ts";

/** @throws {ConfigError} Half of a credential, or two. */
export function readAccount(env: Readonly<Record<string, string | undefined>>): BitbucketAccount {
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
