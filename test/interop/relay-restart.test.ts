/** Undelivered events of a local mirror's relay outlive the mirror's process, killed or not. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { StoredMessages } from "../../functions/local/stored-messages.ts";
import { queueMessageOf, type RelayEvent } from "../../lib/relay/relay-message.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../support/fake-bitbucket/webhook-receiver.ts";
import { type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { type Primary, startPrimary } from "../support/primary.ts";

const ENVIRONMENT = {
  NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}',
  NEARSIDE_SECRET_RELAY_CI: "relay-secret-of-tests-5d1c",
};

let primary: Primary;
let receiver: WebhookReceiver;
let mirror: MirrorProcess | undefined;
let kept: StoredMessages;

beforeEach(async () => {
  [primary, receiver] = await Promise.all([startPrimary(), startWebhookReceiver()]);
  kept = new StoredMessages(new FsBlobStore(primary.storeFolder), "relay");
  for (const args of [
    ["connect", "acme", "--credential", "bot", ...primaryOptions()],
    ["select", "acme", "--all"],
    ["relay", "add", receiver.url, "--secret", "ci"],
  ])
    expect(await run(...args)).toMatchObject({ exitCode: 0 });
});

afterEach(async () => {
  await mirror?.stop();
  await receiver.close();
  await primary.close();
});

function primaryOptions(): string[] {
  return ["--api-url", primary.fake.apiUrl, "--git-url", primary.fake.gitUrl];
}

function run(...args: string[]) {
  return runCli([...args, "--store", primary.storeFolder], ENVIRONMENT);
}

async function start(): Promise<void> {
  const place = ["--store", primary.storeFolder, "--poll-seconds", "0.1"];
  mirror = await startMirror([...place, ...primaryOptions()], { env: ENVIRONMENT });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function toldGenerations(): number[] {
  return receiver.received.map(({ body }) => JSON.parse(body).generation);
}

test("an event that was not delivered before the mirror was killed is delivered by the next process", async () => {
  receiver.status = 503;
  await start();
  await until(() => receiver.received.length > 0);
  await mirror?.stop("SIGKILL");
  expect(await kept.list("waiting", 10)).toHaveLength(1);
  receiver.status = 200;
  await start();
  await until(() => receiver.received.length > 1);
  expect(toldGenerations()).toEqual([1, 1]);
  await mirror?.stop();
  expect(await kept.list("waiting", 10)).toEqual([]);
});

test("a dead letter that is replayed beside a running mirror is delivered in its next round", async () => {
  await start();
  await until(() => receiver.received.length > 0);
  const [{ id } = { id: "" }] = dataOf((await run("relay", "list", "--json")).stdout) as { id: string }[];
  const event: RelayEvent = {
    uuid: "01234567-89ab-cdef-0123-456789abcdef",
    workspace: "acme",
    slug: "sample",
    isPrivate: false,
    generation: 42,
    at: "2026-01-02T03:04:05.000Z",
    syncType: "SNAPSHOT",
    refLimitExceeded: true,
    changes: [],
  };
  await kept.put("dead", queueMessageOf({ kind: "webhook", id }, event, "ab"));
  expect((await run("dead-letters", "list")).stdout).toContain("generation 42");
  expect((await run("dead-letters", "replay")).stdout).toBe("Sent 1 dead letter to the queue again.\n");
  await until(() => toldGenerations().includes(42));
  expect((await run("dead-letters", "list")).stdout).toBe("0 dead letters.\n");
});
