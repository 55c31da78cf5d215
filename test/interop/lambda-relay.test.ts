/** The relay function as it is deployed, under AWS's runtime client. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { queueMessageOf, type RelayEvent, type RelayReceiver } from "../../lib/relay/relay-message.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import type { DeployedFunction } from "../support/aws-front/deployed-function.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../support/fake-bitbucket/webhook-receiver.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

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
  let front: AwsFront;
  let receiver: WebhookReceiver;
  let relay: DeployedFunction;

  beforeAll(async () => {
    folder = await temporaryFolder();
    receiver = await startWebhookReceiver();
    front = await startAwsFront({ runtimeClient: runtimeClient ?? "", folder: folder.path });
    front.secrets.parameters.set("/nearside/relay/ci", "relay-secret-of-tests-5d1c");
    const webhook = { secret: "ci", privateAddresses: true };
    await changeMirrorConfig(front.store, (config) => ({
      ...config,
      relayWebhooks: [
        { ...webhook, id: "here", url: receiver.url },
        { ...webhook, id: "secure-here", url: receiver.url.replace("http:", "https:") },
      ],
    }));
    relay = front.function("relay");
  });

  afterAll(async () => {
    await Promise.all([front.close(), receiver.close()]);
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
    const { eventBus } = front;
    expect(eventBus.events).toMatchObject([{ Source: "nearside", DetailType: "mirror:repo_synchronized" }]);
    expect(JSON.parse(eventBus.events[0]?.Detail ?? "")).toMatchObject({
      mirrorServer: { name: "Nearside", baseUrl: front.url },
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
