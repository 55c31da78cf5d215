/** What S3 servers, and what is mistaken for one, answer when the store cannot be used. */
import { visible } from "./table.ts";

/** The fields of the SDK's exceptions that are used here. */
interface S3Answer {
  readonly name: string;
  readonly message: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> };
}

export const CONDITIONS_ADVICE =
  "Use a store with conditional writes, such as AWS's S3 or Ceph 20: without them, two writers would overwrite each other's work.";

/** @returns `undefined` for any other error, and for those whose own message is clear. */
export function s3Explanation(error: Error): { readonly text: string; readonly advice: string } | undefined {
  const { name, $metadata, $response }: S3Answer = error;
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return undefined;
  const region = $response?.headers?.["x-amz-bucket-region"];
  if (status === 301 || name === "PermanentRedirect" || name === "AuthorizationHeaderMalformed")
    return {
      text:
        region === undefined
          ? "the bucket is in another region"
          : `the bucket is in region ${visible(region)}`,
      advice: `Set AWS_REGION to ${region === undefined ? "its region" : visible(region)}; with --s3-endpoint, name that region's endpoint.`,
    };
  if (status === 501)
    return {
      text: "the S3 server does not implement a part of S3 that the mirror needs",
      advice: CONDITIONS_ADVICE,
    };
  // The SDK's name for what is not S3's XML.
  if (name === "Unknown" || name === "UnknownError")
    return {
      text: `the S3 server answers ${status}, with something that is not S3's`,
      advice:
        "Check --s3-endpoint, and what is in front of it: a proxy, a console or another server may answer there.",
    };
  return undefined;
}
