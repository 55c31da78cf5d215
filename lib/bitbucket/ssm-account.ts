/**
 * The mirror's own account at Bitbucket, from an SSM parameter (SecureString) with a JSON text:
 * `{"email": "…", "token": "…"}` for a user's API token, `{"token": "…"}` for an access token.
 */
import { GetParameterCommand, type SSMClient } from "@aws-sdk/client-ssm";
import { z } from "zod";
import { ConfigError } from "../errors.ts";
import type { BitbucketAccount } from "./credential.ts";

const accountSchema = z
  .strictObject({ email: z.string().min(1).optional(), token: z.string().min(1) })
  .transform(
    ({ email, token }): BitbucketAccount =>
      email === undefined ? { kind: "access-token", token } : { kind: "api-token", email, token },
  );

/** @throws {ConfigError} Not such a text. The message does not repeat it. */
export async function readSsmAccount(client: SSMClient, parameterName: string): Promise<BitbucketAccount> {
  const { Parameter: parameter } = await client.send(
    new GetParameterCommand({ Name: parameterName, WithDecryption: true }),
  );
  const result = accountSchema.safeParse(parseJson(parameter?.Value));
  if (result.success) return result.data;
  throw new ConfigError('the credential parameter must hold {"email": "…", "token": "…"} as JSON', {
    parameterName,
  });
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined; // the parser's error would quote the secret
  }
}
