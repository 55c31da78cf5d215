/**
 * Names for callers and for their questions that tell nothing of the credential: HMAC-SHA256 under the mirror's own secret.
 * Whoever has the names but not the secret cannot even test a guess.
 */
import { createHmac } from "node:crypto";
import type { ReadQuestion } from "./ports.ts";

/** Of the caller's name in logs: 48 bits tell callers apart, and are of no other use. */
const LOGGED_HEX_DIGITS = 12;

export class CallerKeys {
  readonly #secret: string;

  /** @param secret - At least 32 characters that nobody can guess; one for all processes of a mirror. */
  constructor(secret: string) {
    if (secret.length < 32) throw new RangeError("the authorizer's secret is shorter than 32 characters");
    this.#secret = secret;
  }

  /** 64 hex digits for the credential. */
  callerKey(authorization: string | undefined): string {
    // The marks keep a credential from being chosen so that it gets the key of something else.
    return this.#hmac(authorization === undefined ? "anonymous" : `caller\n${plainSpelling(authorization)}`);
  }

  /** 64 hex digits for the credential, the path and the repository together. */
  questionKey({ authorization, repositoryPath, uuid = "" }: ReadQuestion): string {
    return this.#hmac(`question\n${this.callerKey(authorization)}\n${repositoryPath}\n${uuid}`);
  }

  /** How a caller is called in logs. */
  loggedName(authorization: string | undefined): string {
    return authorization === undefined
      ? "anonymous"
      : this.callerKey(authorization).slice(0, LOGGED_HEX_DIGITS);
  }

  #hmac(text: string): string {
    return createHmac("sha256", this.#secret).update(text).digest("hex");
  }
}

/** One credential has one key, however its scheme and its base64 are written: pauses go by it. */
function plainSpelling(authorization: string): string {
  const [, scheme, value] = /^ *([^ ]+) +(.*?) *$/.exec(authorization) ?? [];
  if (scheme === undefined || value === undefined) return authorization;
  const isBasic = scheme.toLowerCase() === "basic" && /^[A-Za-z0-9+/]+={0,2}$/.test(value);
  const plain = isBasic ? Buffer.from(value, "base64").toString("base64") : value;
  return `${scheme.toLowerCase()} ${plain}`;
}
