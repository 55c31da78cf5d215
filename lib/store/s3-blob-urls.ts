/**
 * Presigned addresses of blobs in an S3 bucket. They need no request to S3, and allow GET of the one key.
 * They end earlier if the credentials that signed them do. Those of a Lambda function do not say when they end, nor how old they
 * are: they come with the process, which may live for hours.
 *
 * The SDK's `getSignedUrl` goes through all of a client's middleware for each address, 0.5 ms. Here it does so once, to find out
 * where the bucket is; the other addresses are signed alone, by the SDK's presigner, which keeps the day's key: 0.1 ms.
 * Source: docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html.
 */
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl, S3RequestPresigner } from "@aws-sdk/s3-request-presigner";
import { assertBlobKey, folderPrefix } from "./blob-key.ts";
import { BLOB_URL_LIFETIME_SECONDS, type BlobUrls } from "./blob-urls.ts";

export interface S3BlobUrlsOptions {
  /** Its endpoint has to be the one at which clients reach the store. */
  readonly client: S3Client;
  readonly bucket: string;
  /** As the store's. */
  readonly prefix?: string;
  /** Of the client's endpoint. */
  readonly protocol?: "http" | "https";
  readonly processAgeSeconds?: () => number;
}

/** From the start of the process, of credentials with a session token and no end. AWS's sessions are rarely shorter. */
const UNKNOWN_SESSION_SECONDS = 6 * 60 * 60;

type SignedRequest = Parameters<S3RequestPresigner["presign"]>[0];

/** A key that is written as it is in a URL. */
const PROBE_KEY = "probe";

export class S3BlobUrls implements BlobUrls {
  readonly #options: S3BlobUrlsOptions;
  readonly #presigner: S3RequestPresigner;
  /** Of the bucket. */
  #place: Promise<URL> | undefined;

  constructor(options: S3BlobUrlsOptions) {
    this.#options = options;
    this.#presigner = new S3RequestPresigner(options.client.config);
  }

  protocolOf(): "http" | "https" {
    return this.#options.protocol ?? "https";
  }

  async urlOf(key: string): Promise<string> {
    assertBlobKey(key);
    const place = await this.#findPlace();
    const { protocol, hostname, port } = place;
    const signed = await this.#presigner.presign(
      {
        method: "GET",
        protocol,
        hostname,
        ...(port !== "" && { port: Number(port) }),
        path:
          place.pathname + (folderPrefix(this.#options.prefix ?? "") + key).split("/").map(encode).join("/"),
        headers: {},
        query: { "x-id": "GetObject" },
      } as SignedRequest,
      { expiresIn: BLOB_URL_LIFETIME_SECONDS, signingDate: new Date(this.#nowMs()) },
    );
    const query = Object.entries(signed.query ?? {}).map(
      ([name, value]) => `${encode(name)}=${encode(String(value))}`,
    );
    return `${place.origin}${signed.path}?${query.join("&")}`;
  }

  async lifetimeSeconds(): Promise<number> {
    const { client, processAgeSeconds = () => process.uptime() } = this.#options;
    const { expiration, sessionToken } = await client.config.credentials();
    let leftSeconds = Number.POSITIVE_INFINITY;
    if (expiration !== undefined) leftSeconds = (expiration.getTime() - this.#nowMs()) / 1000;
    else if (sessionToken !== undefined) leftSeconds = UNKNOWN_SESSION_SECONDS - processAgeSeconds();
    return Math.max(0, Math.min(BLOB_URL_LIFETIME_SECONDS, Math.floor(leftSeconds)));
  }

  /** By S3's clock: the SDK learns from answers how far this machine's is off. */
  #nowMs(): number {
    return Date.now() + this.#options.client.config.systemClockOffset;
  }

  /** @returns The bucket's URL, with a slash at its end. */
  #findPlace(): Promise<URL> {
    this.#place ??= this.#askPlace().catch((error: unknown) => {
      this.#place = undefined;
      throw error;
    });
    return this.#place;
  }

  async #askPlace(): Promise<URL> {
    const { client, bucket } = this.#options;
    const command = new GetObjectCommand({ Bucket: bucket, Key: PROBE_KEY });
    const url = new URL(await getSignedUrl(client, command));
    url.pathname = url.pathname.slice(0, -PROBE_KEY.length);
    url.search = "";
    return url;
  }
}

/** As S3 wants it: RFC 3986, which reserves more than `encodeURIComponent` knows. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
