/**
 * Presigned addresses of blobs in an S3 bucket. They need no request to S3, and allow GET of the one key.
 * They end earlier if the credentials that signed them do: those of a Lambda function are good for hours.
 * Source: docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html.
 */
import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { assertBlobKey, folderPrefix } from "./blob-key.ts";
import { BLOB_URL_LIFETIME_SECONDS, type BlobUrls } from "./blob-urls.ts";

export interface S3BlobUrlsOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** As the store's. */
  readonly prefix?: string;
  /** Of the client's endpoint. */
  readonly protocol?: "http" | "https";
}

export class S3BlobUrls implements BlobUrls {
  readonly protocol: "http" | "https";
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #keyPrefix: string;

  constructor({ client, bucket, prefix = "", protocol = "https" }: S3BlobUrlsOptions) {
    this.protocol = protocol;
    this.#client = client;
    this.#bucket = bucket;
    this.#keyPrefix = folderPrefix(prefix);
  }

  async urlOf(key: string): Promise<string> {
    assertBlobKey(key);
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: this.#keyPrefix + key });
    return getSignedUrl(this.#client, command, { expiresIn: BLOB_URL_LIFETIME_SECONDS });
  }
}
