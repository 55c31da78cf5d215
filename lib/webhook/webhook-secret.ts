/** The mirror's own secret, of which those of its webhooks are made, in an SSM parameter (SecureString). */
import { randomBytes } from "node:crypto";
import type { ReadParameter } from "../aws/aws-requests.ts";
import { ConfigError } from "../errors.ts";
import { secretKeys } from "../secret-keys.ts";

/** @throws {ConfigError} There is none, or several, one of which is too short. */
export async function readWebhookSecret(
  readParameter: ReadParameter,
  parameterName: string,
): Promise<string> {
  const secret = await readParameter(parameterName);
  if (secret === undefined)
    throw new ConfigError("the webhook secret has not been made yet", { parameterName });
  secretKeys(secret, parameterName);
  return secret;
}

const SECRET_AGE_MS = 5 * 60_000;
/** After a signature that does not fit: anyone may send one, and SSM answers some 40 requests a second of an account. */
const REFUSED_SECRET_AGE_MS = 10_000;

/** Reads the secret again when it is old, and sooner when it did not fit a signature. See `ReceiveWebhookOptions`. */
export function rereadSecret(
  read: () => Promise<string>,
  now: () => number = Date.now,
): (isRefused: boolean) => Promise<string> {
  let last: { readonly text: string; readonly readAtMs: number } | undefined;
  return async (isRefused) => {
    const maxAgeMs = isRefused ? REFUSED_SECRET_AGE_MS : SECRET_AGE_MS;
    if (last === undefined || now() - last.readAtMs > maxAgeMs)
      last = { text: await read(), readAtMs: now() };
    return last.text;
  };
}

/**
 * Makes it the first time.
 * @throws {ConfigError} As `readWebhookSecret`.
 * @param createParameter - Returns false if there is one already.
 */
export async function ensureWebhookSecret(
  readParameter: ReadParameter,
  createParameter: (name: string, value: string) => Promise<boolean>,
  parameterName: string,
): Promise<string> {
  const found = await readParameter(parameterName);
  if (found !== undefined) {
    secretKeys(found, parameterName);
    return found;
  }
  const secret = randomBytes(32).toString("hex");
  const isCreated = await createParameter(parameterName, secret);
  return isCreated ? secret : readWebhookSecret(readParameter, parameterName);
}
