/**
 * The mirror's own credential for Bitbucket, from an SSM parameter (SecureString) with a JSON text:
 * `{"username": "…", "token": "…"}`, or `{"token": "…"}` for an access token.
 */
import { GetParameterCommand, type SSMClient } from "@aws-sdk/client-ssm";
import { z } from "zod";
import { ConfigError } from "../errors.ts";
import type { BitbucketCredential } from "./credential.ts";

const credentialSchema = z
  .strictObject({ username: z.string().min(1).optional(), token: z.string().min(1) })
  .transform(
    ({ username, token }): BitbucketCredential =>
      username === undefined ? { kind: "bearer", token } : { kind: "basic", username, token },
  );

/** @throws {ConfigError} No such parameter, or not such a text. The message does not repeat it. */
export async function readSsmCredential(
  client: SSMClient,
  parameterName: string,
): Promise<BitbucketCredential> {
  const { Parameter: parameter } = await client.send(
    new GetParameterCommand({ Name: parameterName, WithDecryption: true }),
  );
  const result = credentialSchema.safeParse(parseJson(parameter?.Value));
  if (result.success) return result.data;
  throw new ConfigError('the credential parameter must hold {"username": "…", "token": "…"} as JSON', {
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
