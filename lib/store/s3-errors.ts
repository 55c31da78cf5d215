/** What S3's failures mean to the callers of a blob store. */
import { S3ServiceException } from "@aws-sdk/client-s3";
import { VersionConflictError } from "../errors.ts";
import type { WriteCondition } from "./blob-store.ts";

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
