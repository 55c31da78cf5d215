/**
 * A small S3 server for tests: path-style, on 127.0.0.1, objects on disk, signatures and conditions as strict as S3's.
 * test/contract/ holds it to the same checks as a real one.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { listObjects } from "./list-operation.ts";
import { MultipartOperations } from "./multipart-operations.ts";
import { Bucket } from "./object-folder.ts";
import { deleteObject, getObject, putObject } from "./object-operations.ts";
import type { S3Call } from "./s3-call.ts";
import { notImplemented, S3Error } from "./s3-error.ts";
import { checkSignature, type S3Credentials } from "./signature.ts";
import { formatXml } from "./xml.ts";

export interface S3ServerOptions {
  /** Made if missing. A server started on it again has the same objects. */
  readonly folder: string;
  /** 0, the default, picks one. */
  readonly port?: number;
  readonly region?: string;
  readonly credentials?: S3Credentials;
  /** Made at the start. */
  readonly bucketName?: string;
  /**
   * Sees each request first, to misbehave. @returns True if it has dealt with the request: answered it, cut it or left it hanging.
   */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly bucketName: string;
  readonly credentials: S3Credentials;
  /** Multipart uploads neither completed nor aborted. */
  openUploadCount(): number;
  close(): Promise<void>;
}

interface Service {
  readonly folder: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  readonly buckets: Map<string, Bucket>;
  readonly multipart: MultipartOperations;
}

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const { folder, port = 0, region = "us-east-1", bucketName = "nearside", intercept } = options;
  const credentials = options.credentials ?? {
    accessKeyId: "NEARSIDETEST",
    secretAccessKey: "nearside-test-secret",
  };
  const service: Service = {
    folder,
    region,
    credentials,
    buckets: new Map(),
    multipart: new MultipartOperations(),
  };
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) openBucket(service, name);
  openBucket(service, bucketName);
  const server = createServer((request, response) => {
    if (intercept?.(request, response) !== true) void answer(service, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    region,
    bucketName,
    credentials,
    openUploadCount: () => service.multipart.openUploadCount,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function openBucket({ folder, buckets }: Service, name: string): void {
  if (!buckets.has(name)) buckets.set(name, new Bucket(join(folder, name)));
}

/** Never rejects. */
async function answer(service: Service, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await route(service, request, response);
  } catch (error) {
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const refusal = error instanceof S3Error ? error : new S3Error(500, "InternalError", String(error));
    const document = formatXml("Error", {
      Code: refusal.code,
      Message: refusal.message,
      RequestId: randomUUID(),
    });
    response.writeHead(refusal.status, { "content-type": "application/xml" });
    response.end(request.method === "HEAD" ? undefined : document);
  }
}

async function route(service: Service, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = "", ...queryParts] = (request.url ?? "").split("?");
  const query = new URLSearchParams(queryParts.join("?"));
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = [value].flat().join(", ");
  const method = request.method ?? "";
  const payload = await checkSignature({ method, path, query, headers }, { ...service, nowMs: Date.now() });
  const [bucketName = "", ...keySegments] = path.slice(1).split("/").map(decodeURIComponent);
  const key = keySegments.join("/");
  if (bucketName === "") return listBuckets(service, response);
  if (key === "" && method === "PUT") return createBucket(service, bucketName, response);
  const bucket = service.buckets.get(bucketName);
  if (bucket === undefined) throw new S3Error(404, "NoSuchBucket");
  const call: S3Call = { request, response, headers, query, bucketName, bucket, key, payload };
  return key === "" ? runOnBucket(call, service) : runOnObject(call, service);
}

function runOnBucket(call: S3Call, { region, multipart }: Service): void {
  const { request, response, query } = call;
  if (request.method === "HEAD") {
    response.writeHead(200, { "x-amz-bucket-region": region }).end();
  } else if (request.method === "GET" && query.has("location")) {
    response.writeHead(200, { "content-type": "application/xml" }).end(formatXml("LocationConstraint", {}));
  } else if (request.method === "GET" && query.has("versions")) {
    // It keeps none.
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(formatXml("ListVersionsResult", { Name: call.bucketName, IsTruncated: false }));
  } else if (request.method === "GET" && query.has("uploads")) {
    multipart.list(call);
  } else if (request.method === "GET") {
    listObjects(call);
  } else {
    throw notImplemented(`${request.method} of a bucket`);
  }
}

async function runOnObject(call: S3Call, { multipart }: Service): Promise<void> {
  const { request, query } = call;
  const isPart = query.has("uploadId");
  switch (`${request.method}${isPart ? " part" : ""}`) {
    case "PUT":
      return putObject(call);
    case "GET":
    case "HEAD":
      return getObject(call);
    case "DELETE":
      return deleteObject(call);
    case "POST":
      if (!query.has("uploads")) throw notImplemented("POST of an object");
      return multipart.create(call);
    case "PUT part":
      return multipart.uploadPart(call);
    case "POST part":
      return multipart.complete(call);
    case "DELETE part":
      return multipart.abort(call);
    default:
      throw new S3Error(405, "MethodNotAllowed");
  }
}

function listBuckets({ buckets }: Service, response: ServerResponse): void {
  const Bucket = [...buckets.keys()]
    .sort()
    .map((Name) => ({ Name, CreationDate: new Date(0).toISOString() }));
  response.writeHead(200, { "content-type": "application/xml" });
  response.end(formatXml("ListAllMyBucketsResult", { Buckets: { Bucket } }));
}

function createBucket(service: Service, name: string, response: ServerResponse): void {
  if (!BUCKET_NAME.test(name)) throw new S3Error(400, "InvalidBucketName");
  if (service.buckets.has(name)) throw new S3Error(409, "BucketAlreadyOwnedByYou");
  openBucket(service, name);
  response.writeHead(200, { location: `/${name}` }).end();
}
