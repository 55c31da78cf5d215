import { createHmac } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV, WEBHOOK_SECRET_NAME } from "../../lib/config.ts";
import { parseRelayMessage } from "../../lib/relay/relay-message.ts";
import { workspaceSecret } from "../../lib/webhook/signature.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { functionEnvironment, startDeployedMirror } from "../support/lambda/deployed-mirror.ts";
import { type LambdaGateway, startLambdaGateway } from "../support/lambda/lambda-gateway.ts";
import { type LambdaInvoker, startLambdaInvoker } from "../support/lambda/lambda-invoker.ts";
import { findRuntimeClient } from "../support/lambda/runtime-client.ts";
import { type SecretServer, startSecretServer } from "../support/lambda/secret-server.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { ACCOUNT_TOKEN, MIRROR_SECRET, searchedTexts } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();

/** As long as a test may take: who waits for what does not come makes it fail. */
const WAIT_SECONDS = 240;

describe.skipIf(runtimeClient === undefined)("the sync and git-http functions together", () => {
  let folder: TemporaryFolder;
  let primary: string;
  let bitbucket: FakeBitbucket;
  let s3Server: S3Server;
  let secretServer: SecretServer;
  let sqs: SqsServer;
  let relayQueueUrl: string;
  let lfsQueueUrl: string;
  let sync: LambdaInvoker;
  let gateway: LambdaGateway;
  let webhook: LambdaGateway;
  let syncQueueUrl: string;

  beforeAll(async () => {
    folder = await temporaryFolder();
    primary = join(folder.path, "primary", "acme", "sample.git");
    await mkdir(join(folder.path, "primary", "acme"), { recursive: true });
    await makeSampleRepository(primary);
    bitbucket = await startFakeBitbucket({
      repositoriesFolder: join(folder.path, "primary"),
      accounts: {
        callers: [{ name: "bot", token: ACCOUNT_TOKEN, rights: { acme: "read" } }],
        repositories: { "acme/sample": { public: true } },
      },
    });
    s3Server = await startS3Server({ folder: join(folder.path, "s3") });
    secretServer = await startSecretServer({
      "/nearside/accounts/bot": JSON.stringify({ email: "bot@example.com", token: ACCOUNT_TOKEN }),
      [`/nearside/${WEBHOOK_SECRET_NAME}`]: MIRROR_SECRET,
    });
    sqs = await startSqsServer();
    const queue = async () => {
      const { queueUrl } = await sqs.createQueues({ maxReceiveCount: 5 });
      return `${sqs.endpoint}${new URL(queueUrl).pathname}`;
    };
    [syncQueueUrl, relayQueueUrl, lfsQueueUrl] = await Promise.all([queue(), queue(), queue()]);
    const environment = {
      ...functionEnvironment({ s3Server, gitUrl: bitbucket.gitUrl }),
      [ENV.apiUrl]: bitbucket.apiUrl,
      [ENV.secretPath]: "/nearside/",
      [ENV.syncQueueUrl]: syncQueueUrl,
      [ENV.relayQueueUrl]: relayQueueUrl,
      [ENV.lfsQueueUrl]: lfsQueueUrl,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
      AWS_ENDPOINT_URL_SSM: secretServer.endpoint,
    };
    const bundled = async (name: "sync" | "webhook") => {
      const codeFolder = join(folder.path, name);
      await bundleFunction(FUNCTION_SOURCES[name], codeFolder);
      return { runtimeClient: runtimeClient ?? "", codeFolder, environment };
    };
    sync = await startLambdaInvoker(await bundled("sync"));
    webhook = await startLambdaGateway(await bundled("webhook"));
    gateway = await startDeployedMirror({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      s3Server,
      gitUrl: bitbucket.gitUrl,
      environment: {
        [ENV.syncQueueUrl]: syncQueueUrl,
        [ENV.waitSeconds]: String(WAIT_SECONDS),
        AWS_ENDPOINT_URL_SQS: sqs.endpoint,
      },
    });
  });

  afterAll(async () => {
    await Promise.all([sync.close(), gateway.close(), webhook.close()]);
    await Promise.all([bitbucket.close(), s3Server.close(), secretServer.close(), sqs.close()]);
    await folder.remove();
  });

  function jobFor(uuid: string): unknown {
    const queuedAt = new Date().toISOString();
    return { kind: "repository", workspace: "acme", uuid, reason: "asked", queuedAt };
  }

  function message(job: unknown): unknown {
    const body = JSON.stringify(job);
    const attributes = { ApproximateReceiveCount: "1", MessageGroupId: "sample" };
    return { Records: [{ messageId: "m1", receiptHandle: "r1", body, attributes, eventSource: "aws:sqs" }] };
  }

  /** What waits for the relay. */
  async function relayed(): Promise<unknown[]> {
    const messages = (await sqs.takeAll(relayQueueUrl)).map(({ body }) => parseRelayMessage(body));
    for (const { receiver } of messages) expect(receiver).toEqual({ kind: "event-bus" });
    return messages.map(({ event }) => event);
  }

  /** What waits for the sync function. */
  async function queued(): Promise<string[]> {
    return (await sqs.takeAll(syncQueueUrl)).map(({ body }) => body);
  }

  /** As Bitbucket does. */
  async function deliverPush(uuid: string): Promise<void> {
    const repository = { uuid: `{${uuid}}`, full_name: "acme/sample", is_private: false };
    // No two pushes have the same body.
    const body = JSON.stringify({ repository, push: { changes: [] }, sentAt: performance.now() });
    const hmac = createHmac("sha256", workspaceSecret(MIRROR_SECRET, "acme")).update(body).digest("hex");
    const headers = { "x-event-key": "repo:push", "x-hub-signature": `sha256=${hmac}` };
    const response = await fetch(`${webhook.url}/-/webhooks/acme`, { method: "POST", headers, body });
    expect(await response.text(), webhook.log()).toMatch(/^queued/);
  }

  async function refsOf(repository: string): Promise<string> {
    return git(["show-ref", "--head", "--dereference"], { cwd: repository });
  }

  test("a job brings a repository in, the next one what is new", async () => {
    const uuid = stableUuid("repository", "acme/sample");
    expect(await sync.invoke(message(jobFor(uuid))), sync.log()).toEqual({ batchItemFailures: [] });
    const clone = join(folder.path, "clone.git");
    await git(["clone", "--quiet", "--mirror", `${gateway.url}/acme/sample.git`, clone]);
    expect(await refsOf(clone)).toBe(await refsOf(primary));
    expect(sync.log()).toContain('"event":"answers:prepared"');

    const tree = await git(["rev-parse", "main^{tree}"], { cwd: primary });
    const commit = await git(["commit-tree", tree, "-p", "main", "-m", "later"], { cwd: primary });
    await git(["update-ref", "refs/heads/main", commit], { cwd: primary });
    await git(["update-ref", "-d", "refs/heads/develop"], { cwd: primary });
    expect(await sync.invoke(message(jobFor(uuid))), sync.log()).toEqual({ batchItemFailures: [] });
    await git(["fetch", "--quiet", "--prune"], { cwd: clone });
    expect(await refsOf(clone)).toBe(await refsOf(primary));
    await git(["fsck", "--full", "--strict"], { cwd: clone });
    expect(await relayed()).toMatchObject([
      { syncType: "SNAPSHOT", generation: 1, slug: "sample", refLimitExceeded: false },
      {
        syncType: "INCREMENTAL",
        generation: 2,
        changes: [{ name: "refs/heads/develop" }, { name: "refs/heads/main", newId: commit }],
      },
    ]);
  });

  test("a listing of refs after the webhook of a push waits for its sync, and requests none", async () => {
    const uuid = stableUuid("repository", "acme/sample");
    const listed = () => git(["ls-remote", `${gateway.url}/acme/sample.git`, "refs/heads/main"]);
    const before = await git(["rev-parse", "main"], { cwd: primary });
    const commit = await git(["commit-tree", `${before}^{tree}`, "-p", before, "-m", "pushed"], {
      cwd: primary,
    });
    await git(["update-ref", "refs/heads/main", commit], { cwd: primary });
    // Without an event.
    expect(await listed()).toContain(before);
    await deliverPush(uuid);
    const [body = "", ...more] = await queued();
    expect(more).toEqual([]);
    let isListed = false;
    const waiting = Promise.all([listed(), listed()]).finally(() => {
      isListed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(isListed).toBe(false);
    expect(await sync.invoke(message(JSON.parse(body))), sync.log()).toEqual({ batchItemFailures: [] });
    for (const text of await waiting) expect(text).toContain(commit);
    expect(await queued()).toEqual([]);
    // One that brings nothing is over as well when its sync has listed the refs.
    await deliverPush(uuid);
    const [again = ""] = await queued();
    expect(await sync.invoke(message(JSON.parse(again))), sync.log()).toEqual({ batchItemFailures: [] });
    expect(await listed()).toContain(commit);
  });

  test("a job that fails returns to the queue, and the log says why", async () => {
    const failed = { batchItemFailures: [{ itemIdentifier: "m1" }] };
    bitbucket.controls.misbehave({ down: true });
    expect(await sync.invoke(message(jobFor(stableUuid("repository", "acme/other"))))).toEqual(failed);
    bitbucket.controls.behave();
    expect(await sync.invoke(message("not a job"))).toEqual(failed);
    expect(sync.log()).toContain('"event":"queue:job-failed"');
    for (const text of searchedTexts()) expect(sync.log()).not.toContain(text);
  });
});
