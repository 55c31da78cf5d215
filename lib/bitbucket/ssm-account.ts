/** The mirror's accounts at Bitbucket, from SSM parameters (SecureString); their text is what `parseAccount` reads. */
import { GetParameterCommand, ParameterNotFound, type SSMClient } from "@aws-sdk/client-ssm";
import { ConfigError } from "../errors.ts";
import { type BitbucketAccount, parseAccount } from "./credential.ts";

/**
 * @param name - Of the parameter, below `path`; without one the mirror has no account.
 * @throws {ConfigError} No such parameter, or not such a text. The message does not repeat it.
 */
export async function readSsmAccount(
  client: SSMClient,
  path: string,
  name: string | undefined,
): Promise<BitbucketAccount> {
  return name === undefined ? { kind: "none" } : readParameter(client, `${path}${name}`);
}

async function readParameter(client: SSMClient, parameterName: string): Promise<BitbucketAccount> {
  let text: string | undefined;
  try {
    const input = { Name: parameterName, WithDecryption: true };
    text = (await client.send(new GetParameterCommand(input))).Parameter?.Value;
  } catch (error) {
    if (!(error instanceof ParameterNotFound)) throw error;
    throw new ConfigError("there is no such SSM parameter with an account", { parameterName, cause: error });
  }
  const account = parseAccount(text);
  if (account !== undefined) return account;
  throw new ConfigError('the credential parameter must hold {"email": "…", "token": "…"} as JSON', {
    parameterName,
  });
}
