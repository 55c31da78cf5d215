/** Makes the S3 client that S3BlobStore wants. */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";

/** A connection that is not there by now will not come: another try is better. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Without a byte for so long a connection is given up. A stream whose reader slept longer is opened again by the store. */
const SOCKET_TIMEOUT_MS = 60_000;

/** The SDK keeps 50 connections by default, and a stream holds one for as long as its reader is slow. */
const MAX_CONNECTIONS = 200;

export interface S3ClientOptions {
  /** The SDK finds out when absent; `us-east-1` when there is an endpoint. */
  readonly region?: string;
  /** Of a store other than AWS's: then the bucket goes in the path. */
  readonly endpoint?: string;
  /** The SDK finds them when absent. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Called for each request, repeated ones too; S3 bills lists as writes, and deletes not at all. */
  readonly onRequest?: (kind: "read" | "write") => void;
}

export function createS3Client(options: S3ClientOptions = {}): S3Client {
  const { region, endpoint, credentials, onRequest } = options;
  const config: S3ClientConfig = {
    // Requests are signed with their body's SHA-256, so a further checksum adds work, and stores that don't know it.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      httpAgent: { maxSockets: MAX_CONNECTIONS, keepAlive: true },
      httpsAgent: { maxSockets: MAX_CONNECTIONS, keepAlive: true },
    },
  };
  if (endpoint !== undefined) Object.assign(config, { endpoint, forcePathStyle: true, region: "us-east-1" });
  if (region !== undefined) config.region = region;
  if (credentials !== undefined) config.credentials = credentials;
  const client = new S3Client(config);
  if (onRequest !== undefined) countRequests(client, onRequest);
  return client;
}

/** Behind the SDK's retries. */
function countRequests(client: S3Client, onRequest: (kind: "read" | "write") => void): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { method, query } = args.request as { method: string; query?: Record<string, unknown> };
      const isRead = (method === "GET" || method === "HEAD") && query?.["list-type"] === undefined;
      if (method !== "DELETE") onRequest(isRead ? "read" : "write");
      return next(args);
    },
    { step: "finalizeRequest", priority: "low", name: "countRequests" },
  );
}
