/** Multipart uploads in an S3 bucket whose writers have died: they cost as much as what is visible. */
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  type MultipartUpload,
  NoSuchUpload,
  type S3Client,
} from "@aws-sdk/client-s3";

interface UploadsAddress {
  readonly bucket: string;
  /** Of the keys in the bucket. */
  readonly prefix: string;
}

/** @returns How many were removed. */
export async function removeUnfinishedS3Uploads(
  client: S3Client,
  { bucket, prefix }: UploadsAddress,
  startedBeforeMs: number,
): Promise<number> {
  let count = 0;
  for await (const { Key, UploadId, Initiated: startedAt } of listUploads(client, { bucket, prefix })) {
    if (startedAt === undefined || startedAt.getTime() >= startedBeforeMs) continue;
    try {
      await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
      count += 1;
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof NoSuchUpload)) throw error;
    }
  }
  return count;
}

async function* listUploads(
  client: S3Client,
  { bucket, prefix }: UploadsAddress,
): AsyncGenerator<MultipartUpload, void, undefined> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (marker !== undefined) {
    const page: ListMultipartUploadsCommandOutput = await client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...marker }),
    );
    yield* page.Uploads ?? [];
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      : undefined;
  }
}
