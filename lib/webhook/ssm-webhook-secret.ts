/** The mirror's own secret, of which those of its webhooks are made, in an SSM parameter (SecureString). */
import { randomBytes } from "node:crypto";
import {
  GetParameterCommand,
  ParameterAlreadyExists,
  ParameterNotFound,
  PutParameterCommand,
  type SSMClient,
} from "@aws-sdk/client-ssm";
import { ConfigError } from "../errors.ts";

/** @throws {ConfigError} There is none. */
export async function readWebhookSecret(client: SSMClient, parameterName: string): Promise<string> {
  const secret = await find(client, parameterName);
  if (secret === undefined)
    throw new ConfigError("the webhook secret has not been made yet", { parameterName });
  return secret;
}

/** Makes it the first time. */
export async function ensureWebhookSecret(client: SSMClient, parameterName: string): Promise<string> {
  const found = await find(client, parameterName);
  if (found !== undefined) return found;
  try {
    const Value = randomBytes(32).toString("hex");
    await client.send(new PutParameterCommand({ Name: parameterName, Value, Type: "SecureString" }));
    return Value;
  } catch (error) {
    if (error instanceof ParameterAlreadyExists) return readWebhookSecret(client, parameterName);
    throw error;
  }
}

async function find(client: SSMClient, parameterName: string): Promise<string | undefined> {
  try {
    const input = { Name: parameterName, WithDecryption: true };
    const { Parameter: parameter } = await client.send(new GetParameterCommand(input));
    return parameter?.Value || undefined;
  } catch (error) {
    if (error instanceof ParameterNotFound) return undefined;
    throw error;
  }
}
