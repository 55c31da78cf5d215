/**
 * Addresses of this server's own for blobs of a store that cannot hand them out itself: signed, and good for a while.
 * The key to the signatures is this process's, so a restart ends them.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { assertBlobKey } from "../store/blob-key.ts";
import { BLOB_URL_LIFETIME_SECONDS, type BlobUrls } from "../store/blob-urls.ts";

/** No workspace has a name with `~`. */
export const BLOB_PATH_PREFIX = "/~blobs/";

export interface SignedBlob {
  readonly key: string;
  readonly sizeBytes: number;
}

export interface SignedBlobUrlsOptions {
  /** Of this server, without a slash at its end; asked for when it is needed, as a port may be known late. */
  readonly serverUrl: () => string;
  readonly nowMs?: () => number;
}

export class SignedBlobUrls implements BlobUrls {
  readonly #secret = randomBytes(32);
  readonly #serverUrl: () => string;
  readonly #nowMs: () => number;

  constructor({ serverUrl, nowMs = Date.now }: SignedBlobUrlsOptions) {
    this.#serverUrl = serverUrl;
    this.#nowMs = nowMs;
  }

  protocolOf(serverUrl = this.#serverUrl()): "http" | "https" {
    return serverUrl.startsWith("https:") ? "https" : "http";
  }

  async urlOf(key: string, sizeBytes: number, serverUrl = this.#serverUrl()): Promise<string> {
    assertBlobKey(key);
    const expires = String(Math.ceil(this.#nowMs() / 1000) + BLOB_URL_LIFETIME_SECONDS);
    const query = new URLSearchParams({ bytes: String(sizeBytes), expires });
    query.set("signature", this.#sign(key, String(sizeBytes), expires).toString("hex"));
    const path = key.split("/").map(encodeURIComponent).join("/");
    return `${serverUrl}${BLOB_PATH_PREFIX}${path}?${query}`;
  }

  async lifetimeSeconds(): Promise<number> {
    return BLOB_URL_LIFETIME_SECONDS;
  }

  /** @returns `undefined` if the address is not one of `urlOf`'s, or has expired. */
  verify(path: string, query: URLSearchParams): SignedBlob | undefined {
    const key = decodeKey(path);
    const [bytes, expires, signature] = ["bytes", "expires", "signature"].map(
      (name) => query.get(name) ?? "",
    );
    if (key === undefined || bytes === undefined || expires === undefined || signature === undefined)
      return undefined;
    const expected = this.#sign(key, bytes, expires);
    const given = Buffer.from(signature, "hex");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    return Number(expires) * 1000 < this.#nowMs() ? undefined : { key, sizeBytes: Number(bytes) };
  }

  #sign(key: string, bytes: string, expires: string): Buffer {
    return createHmac("sha256", this.#secret)
      .update(JSON.stringify([key, bytes, expires]))
      .digest();
  }
}

function decodeKey(path: string): string | undefined {
  if (!path.startsWith(BLOB_PATH_PREFIX)) return undefined;
  try {
    return decodeURIComponent(path.slice(BLOB_PATH_PREFIX.length));
  } catch {
    return undefined; // URIError: the only one there is
  }
}
