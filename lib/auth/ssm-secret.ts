/**
 * The authorizer's secret, from Secrets Manager by way of SSM, which hands out its secrets as parameters.
 * Source: "Referencing AWS Secrets Manager secrets from Parameter Store parameters" in AWS's user guide.
 */
import { GetParameterCommand, type SSMClient } from "@aws-sdk/client-ssm";
import { ConfigError } from "../errors.ts";

/** @param secretName - Of the secret in Secrets Manager. @throws {ConfigError} It has no text. */
export async function readSsmSecret(client: SSMClient, secretName: string): Promise<string> {
  const { Parameter: parameter } = await client.send(
    new GetParameterCommand({ Name: `/aws/reference/secretsmanager/${secretName}`, WithDecryption: true }),
  );
  if (parameter?.Value === undefined || parameter.Value === "") {
    throw new ConfigError("the authorizer's secret is empty", { secretName });
  }
  return parameter.Value;
}
