/** The mirror's own secret, of which those of its webhooks are made, in an SSM parameter (SecureString). */
import { randomBytes } from "node:crypto";
import type { ReadParameter } from "../aws/aws-requests.ts";
import { ConfigError } from "../errors.ts";

/** @throws {ConfigError} There is none. */
export async function readWebhookSecret(
  readParameter: ReadParameter,
  parameterName: string,
): Promise<string> {
  const secret = await readParameter(parameterName);
  if (secret === undefined)
    throw new ConfigError("the webhook secret has not been made yet", { parameterName });
  return secret;
}

/**
 * Makes it the first time.
 * @param createParameter - Returns false if there is one already.
 */
export async function ensureWebhookSecret(
  readParameter: ReadParameter,
  createParameter: (name: string, value: string) => Promise<boolean>,
  parameterName: string,
): Promise<string> {
  const found = await readParameter(parameterName);
  if (found !== undefined) return found;
  const secret = randomBytes(32).toString("hex");
  const isCreated = await createParameter(parameterName, secret);
  return isCreated ? secret : readWebhookSecret(readParameter, parameterName);
}
