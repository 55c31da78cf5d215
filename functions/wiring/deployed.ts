/** What the deployed functions have in common that are not the first to answer a client. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../../lib/aws/aws-requests.ts";
import { parameterAccounts } from "../../lib/bitbucket/parameter-account.ts";
import { pinoLogger } from "../../lib/log-pino.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { loggedConfig } from "./storage.ts";

interface DeployedSettings {
  readonly bucket: string;
  readonly secretPath: string;
  readonly logLevel: Parameters<typeof pinoLogger>[0];
}

export function deployed({ bucket, secretPath, logLevel }: DeployedSettings) {
  const log = pinoLogger(logLevel);
  const store = new S3BlobStore({ client: createS3Client(), bucket });
  const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
  return {
    log,
    store,
    sqs: new SQSClient(),
    readConfig: loggedConfig(store, log),
    readParameter,
    accountOf: parameterAccounts(readParameter, secretPath),
  };
}
