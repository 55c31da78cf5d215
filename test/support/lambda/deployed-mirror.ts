/**
 * The authorizer and the git function as they are deployed: their bundles, behind what stands for API Gateway. They mirror the
 * workspace `acme`.
 */
import { join } from "node:path";
import { bundleFunction, FUNCTION_SOURCES } from "../../../infra/bundle.ts";
import { ENV } from "../../../lib/config.ts";
import { changeMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../../lib/store/s3-client.ts";
import type { S3Server } from "../s3-server/s3-server.ts";
import { ACCOUNT_TOKEN, MIRROR_SECRET } from "../test-credentials.ts";
import { type LambdaGateway, startLambdaGateway } from "./lambda-gateway.ts";
import { startSecretServer } from "./secret-server.ts";

export interface DeployedMirrorOptions {
  readonly runtimeClient: string;
  /** Where the bundles go. */
  readonly folder: string;
  readonly s3Server: S3Server;
  /** The primary's. */
  readonly gitUrl: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** What is behind the front; the git function by default. */
  readonly served?: "gitHttp" | "status";
}

/** What functions need to reach the test's bucket and primary. */
export function functionEnvironment({
  s3Server,
  gitUrl,
}: Pick<DeployedMirrorOptions, "s3Server" | "gitUrl">): Record<string, string> {
  return {
    [ENV.bucket]: s3Server.bucketName,
    [ENV.gitUrl]: gitUrl,
    [ENV.syncQueueUrl]: "http://127.0.0.1:1/no-queue.fifo",
    [ENV.lfsQueueUrl]: "http://127.0.0.1:1/no-queue.fifo",
    AWS_ENDPOINT_URL_S3: s3Server.endpoint,
    AWS_REGION: s3Server.region,
    AWS_ACCESS_KEY_ID: s3Server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Server.credentials.secretAccessKey,
  };
}

export async function startDeployedMirror(
  options: DeployedMirrorOptions,
): Promise<LambdaGateway & AsyncDisposable> {
  const { runtimeClient, folder, environment: more, served = "gitHttp" } = options;
  const { s3Server } = options;
  const store = new S3BlobStore({ client: createS3Client(s3Server), bucket: s3Server.bucketName });
  const acme = { workspace: "acme", projects: "all", credential: "bot" } as const;
  await changeMirrorConfig(store, () => mirrorConfigOf([acme]));
  const secretServer = await startSecretServer({
    "/nearside/accounts/bot": JSON.stringify({ email: "bot@example.com", token: ACCOUNT_TOKEN }),
  });
  const environment = {
    ...functionEnvironment(options),
    [ENV.authSecret]: MIRROR_SECRET,
    [ENV.secretPath]: "/nearside/",
    AWS_ENDPOINT_URL_SSM: secretServer.endpoint,
    ...more,
  };
  const bundled = async (name: "authorizer" | "gitHttp" | "status") => {
    const codeFolder = join(folder, name);
    await bundleFunction(FUNCTION_SOURCES[name], codeFolder);
    return { runtimeClient, codeFolder, environment };
  };
  const [authorizer, server] = await Promise.all([bundled("authorizer"), bundled(served)]);
  const gateway = await startLambdaGateway({ ...server, authorizer });
  async function close(): Promise<void> {
    await gateway.close();
    await secretServer.close();
  }
  return { ...gateway, close, [Symbol.asyncDispose]: close };
}
