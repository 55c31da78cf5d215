/**
 * Whole blobs in an S3 bucket by signed requests of its own, without the SDK. Same keys, versions and errors as {@link S3BlobStore},
 * for Lambda functions that read and write documents only.
 */
import { createHash } from "node:crypto";
import { type AwsRequests, domainOf } from "../aws/aws-requests.ts";
import { NotFoundError, VersionConflictError } from "../errors.ts";
import { assertBlobKey, folderPrefix } from "./blob-key.ts";
import type { Blob, BlobVersion, ReadOptions, WholeBlobs, WriteCondition } from "./blob-store.ts";

export interface S3WholeBlobsOptions {
  readonly requests: AwsRequests;
  readonly bucket: string;
  /** As the store's. */
  readonly prefix?: string;
}

export class S3WholeBlobs implements WholeBlobs {
  readonly #requests: AwsRequests;
  readonly #folderUrl: string;

  constructor({ requests, bucket, prefix = "" }: S3WholeBlobsOptions) {
    this.#requests = requests;
    const { endpoints, region } = requests.access;
    const bucketUrl =
      endpoints.s3 === undefined
        ? `https://${bucket}.s3.${region}.${domainOf(region)}`
        : `${endpoints.s3}/${bucket}`;
    this.#folderUrl = `${bucketUrl}/${escapePath(folderPrefix(prefix))}`;
  }

  async read(key: string, { signal }: ReadOptions = {}): Promise<Blob> {
    const response = await this.#send(key, { method: "GET", ...(signal && { signal }) });
    if (response.status !== 200) throw await failureOf(key, response);
    return { bytes: await bytesOf(response), version: versionOf(response) };
  }

  async readIfChanged(
    key: string,
    knownVersion: BlobVersion,
    { signal }: ReadOptions = {},
  ): Promise<Blob | "unchanged"> {
    const headers = { "if-none-match": knownVersion };
    const response = await this.#send(key, { method: "GET", headers, ...(signal && { signal }) });
    if (response.status === 304) return "unchanged";
    if (response.status !== 200) throw await failureOf(key, response);
    return { bytes: await bytesOf(response), version: versionOf(response) };
  }

  async write(key: string, bytes: Uint8Array, { ifVersion }: WriteCondition = {}): Promise<BlobVersion> {
    const response = await this.#send(key, {
      method: "PUT",
      headers: {
        "x-amz-content-sha256": createHash("sha256").update(bytes).digest("hex"),
        ...(ifVersion === "absent" && { "if-none-match": "*" }),
        ...(ifVersion !== undefined && ifVersion !== "absent" && { "if-match": ifVersion }),
      },
      body: Buffer.from(bytes),
    });
    if (response.status === 200) {
      await response.body?.cancel();
      return versionOf(response);
    }
    const failure = await failureOf(key, response);
    const isConflict = response.status === 412 || response.status === 409 || failure instanceof NotFoundError;
    if (ifVersion === undefined || !isConflict) throw failure;
    throw new VersionConflictError("blob has another version", { key, ifVersion, cause: failure });
  }

  async #send(key: string, init: RequestInit): Promise<Response> {
    assertBlobKey(key);
    return this.#requests.send("s3", this.#folderUrl + escapePath(key), init);
  }
}

/** As SigV4 wants it: what RFC 3986 does not name as unreserved is escaped. */
function escapePath(key: string): string {
  const escapeMark = (mark: string) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(key)
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, escapeMark);
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

function versionOf(response: Response): BlobVersion {
  const etag = response.headers.get("etag");
  if (etag === null) throw new Error("the object store answered without ETag");
  return etag;
}

/** Only a missing blob is `NotFoundError`: a missing bucket is 404 as well, and a fault. */
async function failureOf(key: string, response: Response): Promise<Error> {
  const code = /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
  if (code === "NoSuchKey") return new NotFoundError("blob not found", { key });
  return new Error(`the object store answers ${response.status} ${code ?? ""} for ${key}`);
}
