/** The webhook and reconcile functions as they are deployed, under AWS's runtime client: from Bitbucket to messages in SQS. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSyncJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import type { DeployedFunction } from "../support/aws-front/deployed-function.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { type Primary, startPrimary } from "../support/primary.ts";

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
  let front: AwsFront;
  let reconcile: DeployedFunction;

  beforeAll(async () => {
    primary = await startPrimary();
    const { gitUrl, apiUrl } = primary.fake;
    const settings = { gitUrl, apiUrl };
    front = await startAwsFront({ runtimeClient: runtimeClient ?? "", folder: primary.folder, settings });
    front.secrets.parameters.set(
      "/nearside/accounts/bot",
      '{"email":"developer@example.com","token":"developer"}',
    );
    front.secrets.parameters.delete("/nearside/webhook-secret");
    reconcile = front.function("reconcile");
  });

  afterAll(async () => {
    await front.close();
    await primary.close();
  });

  /** What waits in the queue, taken out of it. */
  async function jobs(): Promise<SyncJob[]> {
    const taken = await front.sqs.takeAll(front.queues.url("SyncQueue"));
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
    const secret = front.secrets.parameters.get("/nearside/webhook-secret") ?? "";
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(reconcile.log()).not.toContain(secret);
    const authorization = `Basic ${btoa("developer@example.com:developer")}`;
    const hooks = await fetch(`${primary.fake.apiUrl}/workspaces/acme/hooks`, { headers: { authorization } });
    expect(await hooks.json()).toMatchObject({
      values: [{ url: `${front.url}/-/webhooks/acme`, active: true, secret_set: true }],
    });
    // The next one has nothing to do.
    expect(await reconcile.invoke(SCHEDULED)).toEqual([{ workspace: "acme", jobCount: 0 }]);
    expect(await jobs()).toEqual([]);
  });

  test("a signed push event is one message", async () => {
    await primary.commit("main", "pushed.txt", "pushed\n");
    await pushed();
    await primary.fake.controls.settled();
    expect(primary.fake.controls.deliveries, front.log()).toMatchObject([
      { eventKey: "repo:push", status: 202 },
    ]);
    expect(await jobs()).toMatchObject([
      { kind: "repository", uuid, reason: "push", facts: { slug: "sample" }, factsFrom: "event" },
    ]);
  });

  test("what is not signed so, or changed on its way, is refused, and makes no message", async () => {
    const url = `${front.url}/-/webhooks/acme`;
    const headers = { "content-type": "application/json", "x-event-key": "repo:push" };
    const signature = `sha256=${"0".repeat(64)}`;
    for (const more of [{}, { "x-hub-signature": signature }]) {
      const response = await fetch(url, { method: "POST", headers: { ...headers, ...more }, body: "{}" });
      expect(response.status).toBe(401);
    }
    // API Gateway's answer to a method that is none of the API's.
    expect((await fetch(url)).status).toBe(403);
    expect(front.log()).toContain("webhook:bad-signature");
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
