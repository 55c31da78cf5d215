/** The mirror's accounts at Bitbucket, from SSM parameters (SecureString); their text is what `parseAccount` reads. */
import type { ReadParameter } from "../aws/aws-requests.ts";
import { ACCOUNT_SECRET_FOLDER } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { type BitbucketAccount, parseAccount } from "./credential.ts";

/**
 * @param secretPath - Of all the mirror's parameters, with slashes at both ends.
 * @returns Finds the account of a workspace, which has none without a credential. Throws a ConfigError if there is no such parameter,
 * or not such a text; the message does not repeat it.
 */
export function parameterAccounts(
  readParameter: ReadParameter,
  secretPath: string,
): (workspace: { readonly credential?: string | undefined }) => Promise<BitbucketAccount> {
  return async ({ credential }) => {
    if (credential === undefined) return { kind: "none" };
    const parameterName = `${secretPath}${ACCOUNT_SECRET_FOLDER}${credential}`;
    const text = await readParameter(parameterName);
    if (text === undefined)
      throw new ConfigError(
        `there is no SSM parameter ${parameterName} with an account: store it with aws ssm put-parameter`,
        { parameterName },
      );
    const account = parseAccount(text);
    if (account !== undefined) return account;
    throw new ConfigError(
      `the SSM parameter ${parameterName} must hold {"email": "…", "token": "…"} or {"token": "…"}, or a list of two of these, as JSON`,
      {
        parameterName,
      },
    );
  };
}
