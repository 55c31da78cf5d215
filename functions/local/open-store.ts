/** Opens the store that `--store` names. */
import { join } from "node:path";
import { ConfigError } from "../../lib/errors.ts";
import { RESERVED_SEGMENT } from "../../lib/store/blob-key.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";

/**
 * @param location - A folder, or `s3://bucket/prefix`.
 * @throws {ConfigError} Not such a location.
 */
export function openStore(location: string, s3Endpoint: string | undefined): BlobStore {
  if (!location.startsWith("s3://")) {
    if (s3Endpoint !== undefined) throw new ConfigError("--s3-endpoint goes with --store s3://bucket/prefix");
    return new FsBlobStore(location);
  }
  // Not read as a URL: that would encode what stands in the key as it is.
  const [bucket = "", ...folders] = location.slice("s3://".length).split("/");
  if (bucket === "") throw new ConfigError("--store s3://bucket/prefix names no bucket");
  const prefix = folders.join("/").replace(/^\/+|\/+$/g, "");
  const client = createS3Client(s3Endpoint === undefined ? {} : { endpoint: s3Endpoint });
  return new S3BlobStore({ client, bucket, ...(prefix === "" ? {} : { prefix: `${prefix}/` }) });
}

/** @returns A folder beside what the store keeps, as the system's may lie in memory; `undefined` where that is no disk. */
export function temporaryFolderIn(location: string): string | undefined {
  return location.startsWith("s3://") ? undefined : join(location, RESERVED_SEGMENT, "incoming");
}
