/** S3's multipart uploads. They are forgotten when the server ends; their bytes are removed when it starts again. */
import { createHash, randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import type { Segment, StoredObject } from "./object-folder.ts";
import { checkWriteCondition } from "./object-operations.ts";
import { type ReceivedBody, receiveBody } from "./request-body.ts";
import type { S3Call } from "./s3-call.ts";
import { notImplemented, S3Error } from "./s3-error.ts";
import { formatXml, parseCompleteMultipartUpload, type RequestedPart } from "./xml.ts";

interface StoredPart {
  readonly segment: Segment;
  readonly md5: Buffer;
}

interface OpenUpload {
  readonly bucketName: string;
  readonly key: string;
  readonly contentType: string;
  readonly startedAtMs: number;
  readonly parts: Map<number, StoredPart>;
}

const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PART_NUMBER = 10_000;
const MAX_UPLOADS_PER_PAGE = 1000;

export class MultipartOperations {
  readonly #uploads = new Map<string, OpenUpload>();

  /** For tests that look for uploads left open. */
  get openUploadCount(): number {
    return this.#uploads.size;
  }

  create({ response, bucketName, key, headers }: S3Call): void {
    const uploadId = randomUUID();
    const contentType = headers["content-type"] ?? "binary/octet-stream";
    this.#uploads.set(uploadId, { bucketName, key, contentType, startedAtMs: Date.now(), parts: new Map() });
    const content = { Bucket: bucketName, Key: key, UploadId: uploadId };
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(formatXml("InitiateMultipartUploadResult", content));
  }

  /** One page is enough for tests: more is refused, rather than cut. */
  list({ response, bucketName, query }: S3Call): void {
    const prefix = query.get("prefix") ?? "";
    const uploads = [...this.#uploads].filter(
      ([, upload]) => upload.bucketName === bucketName && upload.key.startsWith(prefix),
    );
    if (uploads.length > MAX_UPLOADS_PER_PAGE) throw notImplemented("a second page of uploads");
    const content = {
      Bucket: bucketName,
      Prefix: prefix,
      MaxUploads: MAX_UPLOADS_PER_PAGE,
      IsTruncated: false,
      Upload: uploads.map(([uploadId, { key, startedAtMs }]) => ({
        Key: key,
        UploadId: uploadId,
        Initiated: new Date(startedAtMs).toISOString(),
      })),
    };
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(formatXml("ListMultipartUploadsResult", content));
  }

  async uploadPart(call: S3Call): Promise<void> {
    const { request, response, bucket, query } = call;
    const upload = this.#find(call);
    const partNumber = Number(query.get("partNumber"));
    if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > MAX_PART_NUMBER) {
      throw new S3Error(400, "InvalidArgument", "partNumber must be from 1 to 10000");
    }
    const file = bucket.newDataFile();
    const body: ReceivedBody = await receiveBody(request, call.payload, bucket.dataPath(file));
    const segment = { file, sizeBytes: body.sizeBytes };
    if (this.#uploads.get(query.get("uploadId") ?? "") !== upload) {
      bucket.removeData([segment]);
      throw new S3Error(404, "NoSuchUpload");
    }
    const replaced = upload.parts.get(partNumber);
    if (replaced !== undefined) bucket.removeData([replaced.segment]);
    upload.parts.set(partNumber, { segment, md5: body.md5 });
    response.writeHead(200, { etag: etagOf(body.md5), ...body.checksums, "content-length": 0 }).end();
  }

  async complete(call: S3Call): Promise<void> {
    const { request, response, bucket, bucketName, key, headers, query } = call;
    this.#find(call);
    const documentPath = bucket.dataPath(bucket.newDataFile());
    await receiveBody(request, call.payload, documentPath);
    const requested = parseCompleteMultipartUpload(await readFile(documentPath, "utf8"));
    await rm(documentPath);

    // From here on nothing waits: the condition holds when the object is put.
    const upload = this.#find(call);
    checkWriteCondition(headers, bucket.find(key));
    const parts = pickParts(upload, requested);
    const object = joinParts(key, upload.contentType, parts);
    bucket.put(object);
    this.#uploads.delete(query.get("uploadId") ?? "");
    for (const part of upload.parts.values()) if (!parts.includes(part)) bucket.removeData([part.segment]);
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(
      formatXml("CompleteMultipartUploadResult", { Bucket: bucketName, Key: key, ETag: object.etag }),
    );
  }

  abort(call: S3Call): void {
    const upload = this.#find(call);
    this.#uploads.delete(call.query.get("uploadId") ?? "");
    call.bucket.removeData([...upload.parts.values()].map(({ segment }) => segment));
    call.response.writeHead(204).end();
  }

  #find({ query, bucketName, key }: S3Call): OpenUpload {
    const upload = this.#uploads.get(query.get("uploadId") ?? "");
    if (upload?.bucketName !== bucketName || upload.key !== key) throw new S3Error(404, "NoSuchUpload");
    return upload;
  }
}

function pickParts(upload: OpenUpload, requested: readonly RequestedPart[]): StoredPart[] {
  if (requested.some(({ partNumber }, index) => partNumber <= (requested[index - 1]?.partNumber ?? 0))) {
    throw new S3Error(400, "InvalidPartOrder");
  }
  return requested.map(({ partNumber, etag }, index) => {
    const part = upload.parts.get(partNumber);
    if (part === undefined || etagOf(part.md5) !== `"${etag.replaceAll('"', "")}"`) {
      throw new S3Error(400, "InvalidPart");
    }
    if (index < requested.length - 1 && part.segment.sizeBytes < MIN_PART_BYTES) {
      throw new S3Error(400, "EntityTooSmall");
    }
    return part;
  });
}

function joinParts(key: string, contentType: string, parts: readonly StoredPart[]): StoredObject {
  const segments = parts.map(({ segment }) => segment);
  const hashOfHashes = createHash("md5").update(Buffer.concat(parts.map(({ md5 }) => md5)));
  return {
    key,
    etag: `"${hashOfHashes.digest("hex")}-${parts.length}"`,
    sizeBytes: segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    modifiedAtMs: Date.now(),
    contentType,
    checksums: {},
    segments,
  };
}

function etagOf(md5: Buffer): string {
  return `"${md5.toString("hex")}"`;
}
