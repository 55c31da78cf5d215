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
/** Bitbucket sends again what got a 5xx. */
const FAILURE_AGE_MS = 2_000;

/**
 * Reads the secret again when it is old, and sooner when it did not fit a signature: once for all who ask meanwhile, and not for a while
 * after a failure. See `ReceiveWebhookOptions`.
 */
export function rereadSecret(
  read: () => Promise<string>,
  now: () => number = Date.now,
): (isRefused: boolean) => Promise<string> {
  let last: { readonly text: string; readonly readAtMs: number } | undefined;
  let failed: { readonly error: unknown; readonly atMs: number } | undefined;
  let reading: Promise<string> | undefined;
  const readAgain = async (): Promise<string> => {
    const readAtMs = now();
    try {
      last = { text: await read(), readAtMs };
      return last.text;
    } catch (error) {
      failed = { error, atMs: now() };
      throw error;
    } finally {
      reading = undefined;
    }
  };
  return async (isRefused) => {
    const maxAgeMs = isRefused ? REFUSED_SECRET_AGE_MS : SECRET_AGE_MS;
    if (last !== undefined && now() - last.readAtMs <= maxAgeMs) return last.text;
    if (failed !== undefined && now() - failed.atMs <= FAILURE_AGE_MS) throw failed.error;
    reading ??= readAgain();
    return reading;
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
