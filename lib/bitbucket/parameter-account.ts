/** The mirror's accounts at Bitbucket, from SSM parameters (SecureString); their text is what `parseAccount` reads. */
import type { ReadParameter } from "../aws/aws-requests.ts";
import { ConfigError } from "../errors.ts";
import { type BitbucketAccount, parseAccount } from "./credential.ts";

/**
 * @param name - Of the parameter, below `path`; without one the mirror has no account.
 * @throws {ConfigError} No such parameter, or not such a text. The message does not repeat it.
 */
export async function readAccountParameter(
  readParameter: ReadParameter,
  path: string,
  name: string | undefined,
): Promise<BitbucketAccount> {
  if (name === undefined) return { kind: "none" };
  const parameterName = `${path}${name}`;
  const text = await readParameter(parameterName);
  if (text === undefined)
    throw new ConfigError("there is no such SSM parameter with an account", { parameterName });
  const account = parseAccount(text);
  if (account !== undefined) return account;
  throw new ConfigError('the credential parameter must hold {"email": "…", "token": "…"} as JSON', {
    parameterName,
  });
}
