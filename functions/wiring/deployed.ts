/** What the deployed functions have in common that are not the first to answer a client. */
import { SQSClient } from "@aws-sdk/client-sqs";
import { AwsRequests, lambdaAccess, signedParameters } from "../../lib/aws/aws-requests.ts";
import { parameterAccounts } from "../../lib/bitbucket/parameter-account.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { type FunctionLogSettings, functionLog } from "./function-log.ts";
import { loggedConfig } from "./storage.ts";

interface DeployedSettings extends FunctionLogSettings {
  readonly bucket: string;
  readonly secretPath: string;
}

/** @param copiesConfig - See {@link loggedConfig}. */
export function deployed(
  { bucket, secretPath, ...settings }: DeployedSettings,
  { copiesConfig = false } = {},
) {
  const { log, onStoreRequest } = functionLog(settings);
  const store = new S3BlobStore({ client: createS3Client({ onRequest: onStoreRequest }), bucket });
  const readParameter = signedParameters(new AwsRequests(lambdaAccess(process.env)));
  return {
    log,
    store,
    sqs: new SQSClient(),
    readConfig: loggedConfig(store, log, copiesConfig),
    readParameter,
    accountOf: parameterAccounts(readParameter, secretPath),
  };
}
