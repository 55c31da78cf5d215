/** The relay function as it is deployed, under AWS's runtime client. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV } from "../../lib/config.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { queueMessageOf, type RelayEvent, type RelayReceiver } from "../../lib/relay/relay-message.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../support/fake-bitbucket/webhook-receiver.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { functionEnvironment } from "../support/lambda/deployed-mirror.ts";
import { type EventBusServer, startEventBusServer } from "../support/lambda/event-bus-server.ts";
import { type LambdaInvoker, startLambdaInvoker } from "../support/lambda/lambda-invoker.ts";
import { findRuntimeClient } from "../support/lambda/runtime-client.ts";
import { type SecretServer, startSecretServer } from "../support/lambda/secret-server.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

const runtimeClient = findRuntimeClient();

const EVENT: RelayEvent = {
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
  workspace: "acme",
  slug: "website",
  isPrivate: true,
  generation: 3,
  at: "2026-01-02T03:04:05.678Z",
  syncType: "INCREMENTAL",
  refLimitExceeded: false,
  changes: [{ name: "refs/heads/main", oldId: "1".repeat(40), newId: "2".repeat(40) }],
};

describe.skipIf(runtimeClient === undefined)("the relay function", () => {
  let folder: TemporaryFolder;
  let s3Server: S3Server;
  let secrets: SecretServer;
  let eventBus: EventBusServer;
  let receiver: WebhookReceiver;
  let relay: LambdaInvoker;

  beforeAll(async () => {
    folder = await temporaryFolder();
    s3Server = await startS3Server({ folder: join(folder.path, "s3") });
    receiver = await startWebhookReceiver();
    [secrets, eventBus] = await Promise.all([
      startSecretServer({ "/nearside/relay/ci": "relay-secret-of-tests-5d1c" }),
      startEventBusServer(),
    ]);
    const store = new S3BlobStore({ client: createS3Client(s3Server), bucket: s3Server.bucketName });
    const webhook = { secret: "ci", privateAddresses: true };
    await changeMirrorConfig(store, (config) => ({
      ...config,
      relayWebhooks: [
        { ...webhook, id: "here", url: receiver.url },
        { ...webhook, id: "secure-here", url: receiver.url.replace("http:", "https:") },
      ],
    }));
    const codeFolder = join(folder.path, "relay");
    await bundleFunction(FUNCTION_SOURCES.relay, codeFolder);
    const environment = {
      ...functionEnvironment({ s3Server, gitUrl: "https://bitbucket.org" }),
      [ENV.relayQueueUrl]: "http://127.0.0.1:1/no-queue.fifo",
      [ENV.secretPath]: "/nearside/",
      [ENV.mirrorUrl]: "https://mirror.example/",
      [ENV.mirrorName]: "Nearside",
      AWS_ENDPOINT_URL_SSM: secrets.endpoint,
      AWS_ENDPOINT_URL_EVENTBRIDGE: eventBus.endpoint,
    };
    relay = await startLambdaInvoker({ runtimeClient: runtimeClient ?? "", codeFolder, environment });
  });

  afterAll(async () => {
    await relay.close();
    await Promise.all([s3Server.close(), secrets.close(), eventBus.close(), receiver.close()]);
    await folder.remove();
  });

  function deliver(to: RelayReceiver): Promise<unknown> {
    const { groupId, body } = queueMessageOf(to, EVENT, "ab".repeat(32));
    const attributes = { ApproximateReceiveCount: "1", MessageGroupId: groupId };
    return relay.invoke({ Records: [{ messageId: "m1", receiptHandle: "r1", body, attributes }] });
  }

  const FAILED = { batchItemFailures: [{ itemIdentifier: "m1" }] };

  test("puts what was published on EventBridge, and gives back what that does not take", async () => {
    expect(await deliver({ kind: "event-bus" }), relay.log()).toEqual({ batchItemFailures: [] });
    expect(eventBus.events).toMatchObject([{ Source: "nearside", DetailType: "mirror:repo_synchronized" }]);
    expect(JSON.parse(eventBus.events[0]?.Detail ?? "")).toMatchObject({
      mirrorServer: { name: "Nearside", baseUrl: "https://mirror.example" },
      repository: { fullName: "acme/website" },
      generation: 3,
      changes: [{ refId: "refs/heads/main", toHash: "2".repeat(40) }],
    });
    eventBus.refuses = true;
    expect(await deliver({ kind: "event-bus" })).toEqual(FAILED);
    expect(relay.log()).toContain("EventBridge did not take the event");
  });

  test("sends nothing to its own machine, whatever the configuration says", async () => {
    for (const id of ["here", "secure-here"]) expect(await deliver({ kind: "webhook", id })).toEqual(FAILED);
    expect(receiver.received).toEqual([]);
    expect(relay.log()).toContain("the receiver's address is none of the public Internet");
    expect(relay.log()).not.toContain("relay-secret");
  });

  test("is done with a receiver that was removed", async () => {
    expect(await deliver({ kind: "webhook", id: "gone" })).toEqual({ batchItemFailures: [] });
  });
});
