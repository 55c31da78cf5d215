/** Headers and bodies of S3's requests and answers. */
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { S3ServiceException } from "@aws-sdk/client-s3";
import { VersionConflictError } from "../errors.ts";
import type { Blob, BlobVersion, ReadOptions, WriteCondition } from "./blob-store.ts";

export function rangeHeader(offsetBytes: number, lengthBytes: number): string {
  return `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`;
}

export function conditionHeaders({ ifVersion }: WriteCondition): { IfMatch?: string; IfNoneMatch?: string } {
  if (ifVersion === undefined) return {};
  return ifVersion === "absent" ? { IfNoneMatch: "*" } : { IfMatch: ifVersion };
}

export function required<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw new Error(`the object store answered without ${name}`);
  return value;
}

export function etagOf(output: { readonly ETag?: string | undefined }): BlobVersion {
  return required(output.ETag, "ETag");
}

export async function blobOf(output: GetObjectCommandOutput, options?: ReadOptions): Promise<Blob> {
  return { bytes: await bodyBytes(output, options), version: etagOf(output) };
}

export async function bodyBytes(
  output: GetObjectCommandOutput,
  { signal }: ReadOptions = {},
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = (await output.Body?.transformToByteArray()) ?? new Uint8Array();
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
  if (bytes.length !== output.ContentLength) throw new Error("the object store's answer was cut");
  return bytes;
}

/** Ending the iteration destroys the body, and with it the connection if bytes are left on it. */
export async function* bodyChunks({ Body: body }: GetObjectCommandOutput): AsyncGenerator<Uint8Array> {
  if (body === undefined || !(Symbol.asyncIterator in body))
    throw new Error("the object store answered without a body");
  for await (const chunk of body) yield chunk;
}

export function discardBody({ Body: body }: GetObjectCommandOutput): void {
  if (body !== undefined && "destroy" in body) body.destroy();
}

/** 412: the condition did not hold. 409: another write is under way. 404: there is nothing to match. */
export async function orConflict<Result>(
  key: string,
  { ifVersion }: WriteCondition,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    const status = statusOf(error);
    if (ifVersion !== undefined && (status === 412 || status === 409 || isMissingBlob(error))) {
      throw new VersionConflictError("blob has another version", { key, ifVersion, cause: error });
    }
    throw error;
  }
}

export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** Not a missing bucket, nor a missing upload: those are 404 as well, and are faults. */
export function isMissingBlob(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === "NoSuchKey";
}
