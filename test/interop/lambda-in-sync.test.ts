/** The webhook and reconcile functions as they are deployed, under AWS's runtime client: from Bitbucket to messages in SQS. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV } from "../../lib/config.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { parseSyncJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { functionEnvironment } from "../support/lambda/deployed-mirror.ts";
import { type LambdaGateway, startLambdaGateway } from "../support/lambda/lambda-gateway.ts";
import { type LambdaInvoker, startLambdaInvoker } from "../support/lambda/lambda-invoker.ts";
import { findRuntimeClient } from "../support/lambda/runtime-client.ts";
import { type SecretServer, startSecretServer } from "../support/lambda/secret-server.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

const runtimeClient = findRuntimeClient();

/** What EventBridge's schedule sends. */
const SCHEDULED = {
  version: "0",
  id: "00000000-0000-0000-0000-000000000000",
  "detail-type": "Scheduled Event",
  source: "aws.events",
  account: "000000000000",
  time: "2026-01-02T03:05:00Z",
  region: "us-east-1",
  resources: ["arn:aws:events:us-east-1:000000000000:rule/reconcile"],
  detail: {},
};

describe.skipIf(runtimeClient === undefined).sequential("the webhook and reconcile functions", () => {
  const uuid = stableUuid("repository", "acme/sample");
  let primary: Primary;
  let s3Server: S3Server;
  let secrets: SecretServer;
  let sqs: SqsServer;
  let queueUrl: string;
  let gateway: LambdaGateway;
  let reconcile: LambdaInvoker;

  beforeAll(async () => {
    primary = await startPrimary();
    [s3Server, secrets, sqs] = await Promise.all([
      startS3Server({ folder: join(primary.folder, "s3") }),
      startSecretServer({
        "/nearside/accounts/bot": '{"email":"developer@example.com","token":"developer"}',
      }),
      startSqsServer(),
    ]);
    const { queueUrl: awsUrl } = await sqs.createQueues({ maxReceiveCount: 5 });
    queueUrl = `${sqs.endpoint}${new URL(awsUrl).pathname}`;
    const store = new S3BlobStore({ client: createS3Client(s3Server), bucket: s3Server.bucketName });
    const acme = { workspace: "acme", projects: "all", credential: "bot" } as const;
    await changeMirrorConfig(store, () => mirrorConfigOf([acme]));
    const environment = {
      ...functionEnvironment({ s3Server, gitUrl: primary.fake.gitUrl }),
      [ENV.apiUrl]: primary.fake.apiUrl,
      [ENV.secretPath]: "/nearside/",
      [ENV.syncQueueUrl]: queueUrl,
      AWS_ENDPOINT_URL_SSM: secrets.endpoint,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
    };
    const bundled = async (name: "webhook" | "reconcile", more: Record<string, string> = {}) => {
      const codeFolder = join(primary.folder, name);
      await bundleFunction(FUNCTION_SOURCES[name], codeFolder);
      return { runtimeClient: runtimeClient ?? "", codeFolder, environment: { ...environment, ...more } };
    };
    gateway = await startLambdaGateway(await bundled("webhook"));
    const identity = { [ENV.mirrorUrl]: `${gateway.url}/`, [ENV.mirrorName]: "Nearside" };
    reconcile = await startLambdaInvoker(await bundled("reconcile", identity));
  });

  afterAll(async () => {
    await Promise.all([gateway.close(), reconcile.close()]);
    await Promise.all([s3Server.close(), secrets.close(), sqs.close()]);
    await primary.close();
  });

  /** What waits in the queue, taken out of it. */
  async function jobs(): Promise<SyncJob[]> {
    const taken = await sqs.takeAll(queueUrl);
    for (const { groupId } of taken) expect(groupId).toBe(uuid);
    return taken.map(({ body }) => parseSyncJob(body));
  }

  function pushed(): Promise<void> {
    return primary.fake.lifecycle.pushed({ workspace: "acme", slug: "sample" });
  }

  test("the schedule finds the repositories, makes the secret, and puts up the webhook", async () => {
    const report = await reconcile.invoke(SCHEDULED);
    expect(report, reconcile.log()).toEqual([{ workspace: "acme", jobCount: 1 }]);
    expect(await jobs()).toMatchObject([
      { kind: "repository", uuid, reason: "new", facts: { slug: "sample" }, factsFrom: "rest" },
    ]);
    const secret = secrets.parameters.get("/nearside/webhook-secret") ?? "";
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(reconcile.log()).not.toContain(secret);
    const authorization = `Basic ${btoa("developer@example.com:developer")}`;
    const hooks = await fetch(`${primary.fake.apiUrl}/workspaces/acme/hooks`, { headers: { authorization } });
    expect(await hooks.json()).toMatchObject({
      values: [{ url: `${gateway.url}/-/webhooks/acme`, active: true, secret_set: true }],
    });
    // The next one has nothing to do.
    expect(await reconcile.invoke(SCHEDULED)).toEqual([{ workspace: "acme", jobCount: 0 }]);
    expect(await jobs()).toEqual([]);
  });

  test("a signed push event is one message", async () => {
    await primary.commit("main", "pushed.txt", "pushed\n");
    await pushed();
    await primary.fake.controls.settled();
    expect(primary.fake.controls.deliveries, gateway.log()).toMatchObject([
      { eventKey: "repo:push", status: 202 },
    ]);
    expect(await jobs()).toMatchObject([
      { kind: "repository", uuid, reason: "push", facts: { slug: "sample" }, factsFrom: "event" },
    ]);
  });

  test("what is not signed so, or changed on its way, is refused, and makes no message", async () => {
    const url = `${gateway.url}/-/webhooks/acme`;
    const headers = { "content-type": "application/json", "x-event-key": "repo:push" };
    const signature = `sha256=${"0".repeat(64)}`;
    for (const more of [{}, { "x-hub-signature": signature }]) {
      const response = await fetch(url, { method: "POST", headers: { ...headers, ...more }, body: "{}" });
      expect(response.status).toBe(401);
    }
    expect((await fetch(url)).status).toBe(405);
    expect(gateway.log()).toContain("webhook:bad-signature");
    expect(await jobs()).toEqual([]);
  });

  test("one by hand finds the push of a lost webhook", async () => {
    primary.fake.controls.misbehave({ dropWebhooks: true });
    await primary.commit("main", "lost.txt", "lost\n");
    await pushed();
    expect(await reconcile.invoke({ mode: "full" })).toEqual([{ workspace: "acme", jobCount: 1 }]);
    expect(await jobs()).toMatchObject([{ uuid, reason: "changed" }]);
  });
});
