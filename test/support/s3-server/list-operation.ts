/** ListObjectsV2. */
import type { S3Call } from "./s3-call.ts";
import { notImplemented, S3Error } from "./s3-error.ts";
import { formatXml, type XmlValue } from "./xml.ts";

const MAX_KEYS_PER_PAGE = 1000;

interface Page {
  readonly contents: XmlValue[];
  readonly folders: string[];
  /** Where the next page goes on, if there is one. */
  readonly lastEntry: string | undefined;
}

export function listObjects(call: S3Call): void {
  const { response, bucketName, query } = call;
  if (query.get("list-type") !== "2") throw notImplemented("the old form of listing");
  const maxKeys = Math.min(Number(query.get("max-keys") ?? MAX_KEYS_PER_PAGE), MAX_KEYS_PER_PAGE);
  if (!Number.isInteger(maxKeys) || maxKeys < 0) throw new S3Error(400, "InvalidArgument", "max-keys");
  const encode = query.get("encoding-type") === "url" ? encodeURIComponent : String;
  const page = readPage(call, maxKeys, encode);
  const result = {
    Name: bucketName,
    Prefix: encode(query.get("prefix") ?? ""),
    KeyCount: page.contents.length + page.folders.length,
    MaxKeys: maxKeys,
    IsTruncated: page.lastEntry !== undefined,
    EncodingType: query.get("encoding-type") ?? undefined,
    NextContinuationToken:
      page.lastEntry === undefined ? undefined : Buffer.from(page.lastEntry).toString("base64url"),
    Contents: page.contents,
    CommonPrefixes: page.folders.map((folder) => ({ Prefix: encode(folder) })),
  };
  response.writeHead(200, { "content-type": "application/xml" });
  response.end(formatXml("ListBucketResult", result));
}

function readPage({ bucket, query }: S3Call, maxKeys: number, encode: (text: string) => string): Page {
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const after = Buffer.from(startOf(query));
  const contents: XmlValue[] = [];
  const folders: string[] = [];
  let lastEntry: string | undefined;
  for (const key of bucket.keys()) {
    if (!key.startsWith(prefix)) continue;
    const folderEnd = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    const entry = folderEnd === -1 ? key : key.slice(0, folderEnd + delimiter.length);
    if (Buffer.compare(Buffer.from(entry), after) <= 0 || entry === folders.at(-1)) continue;
    if (contents.length + folders.length >= maxKeys) {
      return { contents, folders, lastEntry: maxKeys === 0 ? undefined : lastEntry };
    }
    lastEntry = entry;
    const object = bucket.get(key);
    if (folderEnd !== -1) folders.push(entry);
    else
      contents.push({
        Key: encode(key),
        LastModified: new Date(object.modifiedAtMs).toISOString(),
        ETag: object.etag,
        Size: object.sizeBytes,
        StorageClass: "STANDARD",
      });
  }
  return { contents, folders, lastEntry: undefined };
}

function startOf(query: URLSearchParams): string {
  const token = query.get("continuation-token");
  return token === null ? (query.get("start-after") ?? "") : Buffer.from(token, "base64url").toString();
}
