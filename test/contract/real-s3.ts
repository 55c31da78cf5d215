/** The S3 server that the environment names, if it names one. */
import type { S3ClientOptions } from "../../lib/store/s3-client.ts";

export interface RealS3 {
  readonly clientOptions: Required<Omit<S3ClientOptions, "onRequest">>;
  readonly bucket: string;
}

/**
 * @returns Undefined when `NEARSIDE_TEST_S3_ENDPOINT` is not set.
 * @throws Only a part of the settings is there: tests must not pass by leaving that server out.
 */
export function realS3(): RealS3 | undefined {
  const { NEARSIDE_TEST_S3_ENDPOINT: endpoint, NEARSIDE_TEST_S3_REGION: region = "us-east-1" } = process.env;
  if (endpoint === undefined) return undefined;
  return {
    clientOptions: {
      endpoint,
      region,
      credentials: {
        accessKeyId: setting("NEARSIDE_TEST_S3_ACCESS_KEY_ID"),
        secretAccessKey: setting("NEARSIDE_TEST_S3_SECRET_ACCESS_KEY"),
      },
    },
    bucket: setting("NEARSIDE_TEST_S3_BUCKET"),
  };
}

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "")
    throw new Error(`${name} must be set with NEARSIDE_TEST_S3_ENDPOINT`);
  return value;
}
