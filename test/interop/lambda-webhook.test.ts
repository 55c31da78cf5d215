/** The webhook function as it is deployed: its bundle, behind what stands for API Gateway. */
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV, WEBHOOK_SECRET_NAME } from "../../lib/config.ts";
import { workspaceSecret } from "../../lib/webhook/signature.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { functionEnvironment } from "../support/lambda/deployed-mirror.ts";
import { startLambdaGateway } from "../support/lambda/lambda-gateway.ts";
import { findRuntimeClient } from "../support/lambda/runtime-client.ts";
import { type SecretServer, startSecretServer } from "../support/lambda/secret-server.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { MIRROR_SECRET } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();
const BODY = JSON.stringify({ push: { changes: [] } });

describe.skipIf(runtimeClient === undefined)("the webhook function", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let s3Server: S3Server;
  let secretServer: SecretServer;

  beforeAll(async () => {
    folder = await temporaryFolder();
    s3Server = await startS3Server({ folder: join(folder.path, "s3") });
    secretServer = await startSecretServer({ [`/nearside/${WEBHOOK_SECRET_NAME}`]: MIRROR_SECRET });
    await bundleFunction(FUNCTION_SOURCES.webhook, join(folder.path, "webhook"));
  });

  afterAll(async () => {
    await secretServer.close();
    await s3Server.close();
    await folder.remove();
  });

  test.each([
    { addresses: "127.0.0.0/8,2001:db8::/32", signed: 400, unsigned: 401 },
    { addresses: "203.0.113.0/24", signed: 403, unsigned: 403 },
  ])("set to $addresses, answers this machine $signed, and unsigned $unsigned", async (expected) => {
    const gateway = await startLambdaGateway({
      runtimeClient: runtimeClient ?? "",
      codeFolder: join(folder.path, "webhook"),
      environment: {
        ...functionEnvironment({ s3Server, gitUrl: "https://bitbucket.example" }),
        [ENV.secretPath]: "/nearside/",
        [ENV.webhookAddresses]: expected.addresses,
        AWS_ENDPOINT_URL_SSM: secretServer.endpoint,
      },
    });
    const statusOf = async (signature: string) => {
      const headers = { "x-event-key": "repo:push", "x-hub-signature": signature };
      const response = await fetch(`${gateway.url}/-/webhooks/acme`, { method: "POST", headers, body: BODY });
      await response.text();
      return response.status;
    };
    try {
      const hmac = createHmac("sha256", workspaceSecret(MIRROR_SECRET, "acme")).update(BODY).digest("hex");
      // It is Bitbucket's, but names no repository.
      expect(await statusOf(`sha256=${hmac}`)).toBe(expected.signed);
      expect(await statusOf(`sha256=${"0".repeat(64)}`)).toBe(expected.unsigned);
    } finally {
      await gateway.close();
    }
  });
});
