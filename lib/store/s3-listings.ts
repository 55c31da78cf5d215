/** Lists what is in an S3 bucket, page by page: objects, and multipart uploads that did not end. */
import {
  type _Object,
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type MultipartUpload,
  NoSuchUpload,
  type S3Client,
} from "@aws-sdk/client-s3";

export interface ListedPrefix {
  readonly bucket: string;
  /** Of the keys in the bucket. */
  readonly prefix: string;
}

export async function* listS3Objects(
  client: S3Client,
  { bucket, prefix }: ListedPrefix,
): AsyncGenerator<_Object, void, undefined> {
  let token: { ContinuationToken?: string | undefined } | undefined = {};
  while (token !== undefined) {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ...token }),
    );
    yield* page.Contents ?? [];
    token = page.IsTruncated ? { ContinuationToken: page.NextContinuationToken } : undefined;
  }
}

/** Delete markers stay: without a version behind them a bucket's lifecycle removes them. */
export async function removeEarlierS3Versions(
  client: S3Client,
  { bucket, prefix }: ListedPrefix,
): Promise<void> {
  let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } | undefined = {};
  while (marker !== undefined) {
    const page: ListObjectVersionsCommandOutput = await client.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...marker }),
    );
    const earlier = (page.Versions ?? []).filter(({ IsLatest }) => IsLatest === false);
    for (let at = 0; at < earlier.length; at += DELETES_AT_ONCE)
      await Promise.all(
        earlier
          .slice(at, at + DELETES_AT_ONCE)
          .map(({ Key, VersionId }) =>
            client.send(new DeleteObjectCommand({ Bucket: bucket, Key, VersionId })),
          ),
      );
    marker = page.IsTruncated
      ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
      : undefined;
  }
}

const DELETES_AT_ONCE = 16;

/** Aborts uploads whose writers have died: what they have stored costs as much as what is visible. @returns How many. */
export async function removeUnfinishedS3Uploads(
  client: S3Client,
  { bucket, prefix }: ListedPrefix,
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
  { bucket, prefix }: ListedPrefix,
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
