/**
 * Keys for callers and their questions that do not reveal the credential: HMAC-SHA256 under the mirror's own secret. Without
 * the secret not even a guess can be tested against them.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { secretKeys } from "../secret-keys.ts";
import type { ReadQuestion } from "./ports.ts";

/** 48 bits distinguish callers in logs, and are of no other use. */
const LOGGED_HEX_DIGITS = 12;

const RECENT_MS = 1_000;
const MAX_RECENT = 256;

export class CallerKeys {
  /** Under secrets that are being replaced: what is stored under them counts on. */
  readonly former: readonly CallerKeys[];
  readonly #secret: KeyObject;
  /** Each request asks several times. */
  readonly #recent = new Map<string, string>();

  /** @param text - As `secretKeys` reads it; at least 32 random characters; the same in all processes of a mirror. */
  constructor(text: string) {
    const [secret, ...former] = secretKeys(text);
    if (secret.length < 32) throw new RangeError("the authorizer's secret is shorter than 32 characters");
    this.#secret = createSecretKey(secret, "utf8");
    this.former = former.map((one) => new CallerKeys(one));
  }

  /** 64 hex digits for the credential. */
  callerKey(authorization: string | undefined): string {
    // The prefixes prevent a credential that is crafted to get the key of something else.
    if (authorization === undefined) return this.#hmac("anonymous");
    const recent = this.#recent.get(authorization);
    if (recent !== undefined) return recent;
    const key = this.#hmac(`caller\n${plainSpelling(authorization)}`);
    // No credential is remembered for longer than its requests take.
    if (this.#recent.size === 0) setTimeout(() => this.#recent.clear(), RECENT_MS).unref();
    if (this.#recent.size < MAX_RECENT) this.#recent.set(authorization, key);
    return key;
  }

  /** 64 hex digits for the credential and the address together. */
  placeKey(authorization: string | undefined, address: string): string {
    return this.#hmac(`place\n${this.callerKey(authorization)}\n${address}`);
  }

  /** 64 hex digits for the credential, the path and the repository together. */
  questionKey({ authorization, repositoryPath, uuid = "" }: ReadQuestion): string {
    return this.#hmac(`question\n${this.callerKey(authorization)}\n${repositoryPath}\n${uuid}`);
  }

  /** 64 hex digits for the judgement about an outage. */
  outageKey(): string {
    return this.#hmac("outage");
  }

  /** The caller's name in logs. */
  loggedName(authorization: string | undefined): string {
    return authorization === undefined
      ? "anonymous"
      : this.callerKey(authorization).slice(0, LOGGED_HEX_DIGITS);
  }

  #hmac(text: string): string {
    return createHmac("sha256", this.#secret).update(text).digest("hex");
  }
}

/**
 * One credential has one key, however its scheme and its base64 are written: rate limits go by it. Servers differ in what they
 * skip in base64; only those who know a credential can write it in another way.
 */
function plainSpelling(authorization: string): string {
  const [, scheme, value] = /^ *([^ ]+) +(.*?) *$/.exec(authorization) ?? [];
  if (scheme === undefined || value === undefined) return authorization;
  const plain = scheme.toLowerCase() === "basic" ? Buffer.from(value, "base64").toString("base64") : value;
  return `${scheme.toLowerCase()} ${plain}`;
}

/** @returns The name in a Basic credential; of any other, all of it. */
export function accountOf(authorization: string): string {
  return credentialText(authorization).split(":", 1)[0] ?? "";
}

/** @returns Name and secret of a Basic credential, with a colon between; of any other, all of it. */
export function credentialText(authorization: string): string {
  const plain = plainSpelling(authorization);
  if (!plain.startsWith("basic ")) return plain;
  return Buffer.from(plain.slice("basic ".length), "base64").toString("latin1");
}
