/**
 * A blob store in an S3 bucket, or in what speaks S3 with conditional writes. A version is an ETag, in its quotes.
 * S3's rules: docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { NotFoundError } from "../errors.ts";
import { assertBlobKey, assertBlobPrefix, folderPrefix } from "./blob-key.ts";
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  ReadOptions,
  WriteCondition,
} from "./blob-store.ts";
import { assertRange, outOfRange } from "./byte-range.ts";
import { type MultipartLimits, type MultipartTarget, MultipartUpload } from "./multipart-upload.ts";
import {
  type ListedPrefix,
  listS3Objects,
  removeEarlierS3Versions,
  removeUnfinishedS3Uploads,
} from "./s3-listings.ts";
import {
  blobOf,
  bodyBytes,
  bodyChunks,
  conditionHeaders,
  discardBody,
  etagOf,
  isMissingBlob,
  orConflict,
  rangeHeader,
  required,
  statusOf,
} from "./s3-messages.ts";

/** How often a stream is opened again after a break without a byte in between. */
const MAX_BREAKS_WITHOUT_PROGRESS = 3;

interface KeyRange {
  readonly key: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface S3BlobStoreOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** Put before every key, with a `/` between. */
  readonly prefix?: string;
  readonly multipartLimits?: MultipartLimits;
}

export class S3BlobStore implements BlobStore {
  readonly #client: S3Client;
  readonly #options: S3BlobStoreOptions;
  readonly #keyPrefix: string;

  constructor(options: S3BlobStoreOptions) {
    this.#client = options.client;
    this.#options = options;
    this.#keyPrefix = folderPrefix(options.prefix ?? "");
  }

  async read(key: string, options?: ReadOptions): Promise<Blob> {
    return blobOf(await this.#get(key, {}, options), options);
  }

  async readIfChanged(
    key: string,
    knownVersion: BlobVersion,
    options?: ReadOptions,
  ): Promise<Blob | "unchanged"> {
    try {
      return await blobOf(await this.#get(key, { IfNoneMatch: knownVersion }, options), options);
    } catch (error) {
      if (statusOf(error) === 304) return "unchanged";
      throw error;
    }
  }

  async readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    if (lengthBytes === 0) {
      await this.#assertEmptyRange(key, offsetBytes, options);
      return new Uint8Array();
    }
    return bodyBytes(await this.#getRange({ key, offsetBytes, lengthBytes }, options), options);
  }

  async readUpTo(
    key: string,
    offsetBytes: number,
    maxBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    assertRange(key, offsetBytes, maxBytes);
    if (maxBytes === 0) throw outOfRange(key, offsetBytes, maxBytes);
    const output = await this.#get(key, { Range: rangeHeader(offsetBytes, maxBytes) }, options);
    return bodyBytes(output, options);
  }

  async *readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    if (lengthBytes === 0) return this.#assertEmptyRange(key, offsetBytes, options);
    const range = { key, offsetBytes, lengthBytes };
    yield* this.#streamOf(await this.#getRange(range, options), range, options);
  }

  async *streamWhole(key: string, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    const output = await this.#get(key, {}, options);
    const lengthBytes = required(output.ContentLength, "Content-Length");
    yield* this.#streamOf(output, { key, offsetBytes: 0, lengthBytes }, options);
  }

  /** The body of an answer, opened again where it breaks. */
  async *#streamOf(
    first: GetObjectCommandOutput,
    { key, offsetBytes, lengthBytes }: KeyRange,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array> {
    let output = first;
    const version = etagOf(output);
    let doneBytes = 0;
    let breaks = 0;
    for (;;) {
      try {
        for await (const chunk of bodyChunks(output)) {
          doneBytes += chunk.length;
          breaks = 0;
          yield chunk;
        }
        if (doneBytes === lengthBytes) return;
        throw new Error(`stream of ${key} ended ${lengthBytes - doneBytes} bytes early`);
      } catch (error) {
        options.signal?.throwIfAborted();
        breaks += 1;
        if (breaks > MAX_BREAKS_WITHOUT_PROGRESS) throw error;
      }
      // The same version, or the reader would get a mixture.
      const rest = { key, offsetBytes: offsetBytes + doneBytes, lengthBytes: lengthBytes - doneBytes };
      output = await this.#getRange({ ...rest, version }, options);
    }
  }

  async write(key: string, bytes: Uint8Array, condition: WriteCondition = {}): Promise<BlobVersion> {
    assertBlobKey(key);
    return orConflict(key, condition, async () => {
      const output = await this.#client.send(
        new PutObjectCommand({ ...this.#address(key), ...conditionHeaders(condition), Body: bytes }),
      );
      return etagOf(output);
    });
  }

  async startUpload(key: string, condition: WriteCondition = {}): Promise<BlobUpload> {
    assertBlobKey(key);
    return new MultipartUpload(this.#multipartTarget(key, condition), this.#options.multipartLimits);
  }

  async delete(key: string): Promise<void> {
    assertBlobKey(key);
    await this.#client.send(new DeleteObjectCommand(this.#address(key)));
  }

  async removeEarlierVersions(prefix: string): Promise<void> {
    assertBlobPrefix(prefix);
    await removeEarlierS3Versions(this.#client, this.#listed(prefix));
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    assertBlobPrefix(prefix);
    const objects = listS3Objects(this.#client, this.#listed(prefix));
    for await (const { Key = "", Size: sizeBytes = 0, LastModified } of objects) {
      const key = Key.slice(this.#keyPrefix.length);
      yield { key, sizeBytes, modifiedAtMs: LastModified?.getTime() ?? 0 };
    }
  }

  async removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    assertBlobPrefix(prefix);
    return removeUnfinishedS3Uploads(this.#client, this.#listed(prefix), startedBeforeMs);
  }

  #listed(prefix: string): ListedPrefix {
    return { bucket: this.#options.bucket, prefix: this.#keyPrefix + prefix };
  }

  #multipartTarget(key: string, condition: WriteCondition): MultipartTarget {
    const address = this.#address(key);
    return {
      writeWhole: (bytes) => this.write(key, bytes, condition),
      begin: async () => {
        const { UploadId: uploadId } = await this.#client.send(new CreateMultipartUploadCommand(address));
        return required(uploadId, "UploadId");
      },
      writePart: async (uploadId, partNumber, bytes) => {
        const output = await this.#client.send(
          new UploadPartCommand({ ...address, UploadId: uploadId, PartNumber: partNumber, Body: bytes }),
        );
        return { partNumber, version: etagOf(output) };
      },
      finish: (uploadId, parts) =>
        orConflict(key, condition, async () => {
          const Parts = parts.map(({ partNumber, version }) => ({ PartNumber: partNumber, ETag: version }));
          const output = await this.#client.send(
            new CompleteMultipartUploadCommand({
              ...address,
              ...conditionHeaders(condition),
              UploadId: uploadId,
              MultipartUpload: { Parts },
            }),
          );
          return etagOf(output);
        }),
      discard: async (uploadId) => {
        await this.#client.send(new AbortMultipartUploadCommand({ ...address, UploadId: uploadId }));
      },
    };
  }

  #address(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#keyPrefix + key };
  }

  /** @returns An answer with exactly the bytes asked for: S3 cuts a range at the blob's end. */
  async #getRange(
    { key, offsetBytes, lengthBytes, version }: KeyRange & { readonly version?: BlobVersion },
    options: ReadOptions | undefined,
  ): Promise<GetObjectCommandOutput> {
    assertRange(key, offsetBytes, lengthBytes);
    const input = { Range: rangeHeader(offsetBytes, lengthBytes), ...(version && { IfMatch: version }) };
    const output = await this.#get(key, input, options);
    if (output.ContentLength === lengthBytes) return output;
    discardBody(output);
    throw outOfRange(key, offsetBytes, lengthBytes);
  }

  async #get(
    key: string,
    input: { Range?: string; IfMatch?: string; IfNoneMatch?: string },
    { signal }: ReadOptions = {},
  ): Promise<GetObjectCommandOutput> {
    assertBlobKey(key);
    signal?.throwIfAborted();
    try {
      const command = new GetObjectCommand({ ...this.#address(key), ...input });
      return await this.#client.send(command, signal && { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      if (statusOf(error) === 416)
        throw new RangeError(`${input.Range} is not inside blob ${key}`, { cause: error });
      if (isMissingBlob(error)) throw new NotFoundError("blob not found", { key, cause: error });
      throw error;
    }
  }

  /** S3 can't be asked for no bytes. */
  async #assertEmptyRange(key: string, offsetBytes: number, { signal }: ReadOptions = {}): Promise<void> {
    assertBlobKey(key);
    assertRange(key, offsetBytes, 0);
    signal?.throwIfAborted();
    try {
      const { ContentLength: sizeBytes = 0 } = await this.#client.send(
        new HeadObjectCommand(this.#address(key)),
        signal && { abortSignal: signal },
      );
      if (offsetBytes > sizeBytes) throw outOfRange(key, offsetBytes, 0, sizeBytes);
    } catch (error) {
      signal?.throwIfAborted();
      if (statusOf(error) === 404) throw new NotFoundError("blob not found", { key, cause: error });
      throw error;
    }
  }
}
