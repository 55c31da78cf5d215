/** One request that has been understood and found to be signed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Bucket } from "./object-folder.ts";

export interface S3Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly bucketName: string;
  readonly bucket: Bucket;
  /** Empty for calls on the bucket. */
  readonly key: string;
  /** What the signature says of the body. */
  readonly payload: string;
}
