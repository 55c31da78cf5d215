/** Opens the store that `--store` names. */
import { join } from "node:path";
import { ConfigError } from "../../lib/errors.ts";
import { RESERVED_SEGMENT } from "../../lib/store/blob-key.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { BlobUrls } from "../../lib/store/blob-urls.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { S3BlobUrls, type S3BlobUrlsOptions } from "../../lib/store/s3-blob-urls.ts";
import { createS3Client, type S3ClientOptions } from "../../lib/store/s3-client.ts";

/**
 * @param location - A folder, or `s3://bucket/prefix`.
 * @param onRequest - See `S3ClientOptions`.
 * @throws {ConfigError} Not such a location.
 */
export function openStore(
  location: string,
  s3Endpoint: string | undefined,
  onRequest?: S3ClientOptions["onRequest"],
): BlobStore {
  const s3Location = parseS3Location(location, s3Endpoint, onRequest);
  return s3Location === undefined ? new FsBlobStore(location) : new S3BlobStore(s3Location);
}

export interface StorePlace {
  /** As of `openStore`. */
  readonly store: string;
  readonly s3Endpoint?: string;
  /** At which clients reach the store, where that is not the mirror's own way. */
  readonly s3PublicEndpoint?: string;
}

/** @returns `undefined` where the store cannot hand out addresses itself. @throws {ConfigError} Not such a location. */
export function openBlobUrls({ store, s3Endpoint, s3PublicEndpoint }: StorePlace): BlobUrls | undefined {
  if (!store.startsWith("s3://") && s3PublicEndpoint !== undefined)
    throw new ConfigError("--s3-public-endpoint goes with --store s3://bucket/prefix");
  const s3Location = parseS3Location(store, s3PublicEndpoint ?? s3Endpoint);
  return s3Location && new S3BlobUrls(s3Location);
}

function parseS3Location(
  location: string,
  s3Endpoint: string | undefined,
  onRequest?: S3ClientOptions["onRequest"],
): S3BlobUrlsOptions | undefined {
  if (!location.startsWith("s3://")) {
    if (s3Endpoint !== undefined) throw new ConfigError("--s3-endpoint goes with --store s3://bucket/prefix");
    return undefined;
  }
  // Not read as a URL: that would encode what stands in the key as it is.
  const [bucket = "", ...folders] = location.slice("s3://".length).split("/");
  if (bucket === "") throw new ConfigError("--store s3://bucket/prefix names no bucket");
  const prefix = folders.join("/").replace(/^\/+|\/+$/g, "");
  const client = createS3Client({
    ...(s3Endpoint !== undefined && { endpoint: s3Endpoint }),
    ...(onRequest && { onRequest }),
  });
  const protocol = s3Endpoint?.startsWith("http:") ? "http" : "https";
  return { client, bucket, protocol, ...(prefix === "" ? {} : { prefix: `${prefix}/` }) };
}

/** @returns A folder beside the store's, as the system's may be in memory; `undefined` for a bucket. */
export function temporaryFolderIn(location: string): string | undefined {
  return location.startsWith("s3://") ? undefined : join(location, RESERVED_SEGMENT, "incoming");
}
