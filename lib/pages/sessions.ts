/**
 * Sessions of signed-in callers. A session is in its cookie alone: the credential, sealed with AES-256-GCM. Each hour has a key of its own,
 * made from a secret (HKDF, RFC 5869), so that every process opens what another has sealed.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import * as z from "zod/mini";
import { secretKeys } from "../secret-keys.ts";

const SESSION_SECONDS = 3_600;

/** Browsers keep cookies of 4,096 bytes, name and attributes included. */
export const MAX_CREDENTIAL_LENGTH = 2_500;

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Authenticated with each session: another release's form does not open. */
const FORM = Buffer.from("nearside-session-1");

const sessionSchema = z.object({ user: z.string(), token: z.string(), expiresAtMs: z.number() });

export type Session = z.infer<typeof sessionSchema>;

export class Sessions {
  readonly #secrets: readonly [string, ...string[]];
  readonly #now: () => number;

  /** @param text - As `secretKeys` reads it. */
  constructor(text: string, now: () => number = Date.now) {
    this.#secrets = secretKeys(text);
    this.#now = now;
  }

  /** @returns A cookie's value. */
  seal(user: string, token: string): string {
    const session: Session = { user, token, expiresAtMs: this.#now() + SESSION_SECONDS * 1000 };
    const iv = randomBytes(IV_BYTES);
    const key = keyOf(this.#secrets[0], this.#hour());
    const cipher = createCipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES }).setAAD(FORM);
    const sealed = [iv, cipher.update(JSON.stringify(session), "utf8"), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(sealed).toString("base64url");
  }

  /** @returns `undefined` for one that has expired, or was not sealed with one of these secrets. */
  open(cookie: string): Session | undefined {
    const bytes = Buffer.from(cookie, "base64url");
    if (bytes.length <= IV_BYTES + TAG_BYTES) return undefined;
    // It may have been sealed in the hour before, or by a process whose clock is ahead.
    const hours = [this.#hour(), this.#hour() - 1, this.#hour() + 1];
    for (const key of this.#secrets.flatMap((secret) => hours.map((hour) => keyOf(secret, hour)))) {
      const text = opened(bytes, key);
      if (text === undefined) continue;
      const session = sessionSchema.parse(JSON.parse(text));
      return session.expiresAtMs > this.#now() ? session : undefined;
    }
    return undefined;
  }

  #hour(): number {
    return Math.floor(this.#now() / (SESSION_SECONDS * 1000));
  }
}

function keyOf(secret: string, hour: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", `nearside-session ${hour}`, KEY_BYTES));
}

/** @returns `undefined` if another key sealed it, or it was changed. */
function opened(bytes: Buffer, key: Buffer): string | undefined {
  const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(FORM).setAuthTag(bytes.subarray(-TAG_BYTES));
  const start = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8");
  try {
    return start + decipher.final("utf8");
  } catch {
    return undefined; // "unable to authenticate data", the only failure of `final` in this mode
  }
}

/** With TLS the name's prefix makes browsers accept the cookie from this host alone, and over TLS only. */
function cookieName(isSecure: boolean): string {
  return isSecure ? "__Host-nearside" : "nearside";
}

/** @param value - `""` ends the session. */
export function sessionCookie(value: string, isSecure: boolean): string {
  const attributes = `Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
  return `${cookieName(isSecure)}=${value}; Max-Age=${value === "" ? 0 : SESSION_SECONDS}; ${attributes}`;
}

export function readSessionCookie(header: string | undefined, isSecure: boolean): string | undefined {
  const start = `${cookieName(isSecure)}=`;
  const pairs = (header ?? "").split(";").map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(start))?.slice(start.length);
}
