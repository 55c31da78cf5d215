/**
 * Reads the authorizer's secret from Secrets Manager through SSM, which offers secrets as parameters.
 * Source: "Referencing AWS Secrets Manager secrets from Parameter Store parameters" in AWS's user guide.
 */
import { GetParameterCommand, type SSMClient } from "@aws-sdk/client-ssm";
import { ConfigError } from "../errors.ts";

/** @param secretName - In Secrets Manager. @throws {ConfigError} The secret is empty. */
export async function readSsmSecret(client: SSMClient, secretName: string): Promise<string> {
  const { Parameter: parameter } = await client.send(
    new GetParameterCommand({ Name: `/aws/reference/secretsmanager/${secretName}`, WithDecryption: true }),
  );
  if (parameter?.Value === undefined || parameter.Value === "") {
    throw new ConfigError("the authorizer's secret is empty", { secretName });
  }
  return parameter.Value;
}
