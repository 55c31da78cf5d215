/** The local mirror delivers the events of publishes to receivers, over its queue. */
import { createHmac } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startRelay } from "../../functions/local/queues.ts";
import { StoredMessages } from "../../functions/local/stored-messages.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG } from "../../lib/mirror/mirror-config.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { readManifest } from "../../lib/repo/manifest.ts";
import { readName } from "../../lib/repo/names.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../support/fake-bitbucket/webhook-receiver.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

const SECRET = "relay-secret-of-tests-5d1c";

let rig: LocalMirrorRig;
let receiver: WebhookReceiver;

beforeEach(async () => {
  vi.stubEnv("NEARSIDE_SECRET_RELAY_CI", SECRET);
  receiver = await startWebhookReceiver();
  rig = await startLocalMirrorRig({ relayRetries: { maxTries: 3, firstRetrySeconds: 0.02 } });
  await rig.create("acme", "a", "CORE");
});
afterEach(async () => {
  await rig.close();
  await receiver.close();
  vi.unstubAllEnvs();
});

async function mirrored(): Promise<void> {
  await rig.select({ workspace: "acme", credential: "bot", projects: "all" });
  await rig.settled();
}

async function setReceivers(...urls: string[]): Promise<void> {
  const relayWebhooks = urls.map((url, index) => ({
    id: `hook-${index}`,
    url,
    secret: "ci",
    privateAddresses: false,
  }));
  await changeMirrorConfig(rig.store, (config) => ({ ...config, relayWebhooks }));
}

async function push(): Promise<string> {
  const id = await rig.commit("acme", "a");
  await rig.fake.lifecycle.pushed({ workspace: "acme", slug: "a" });
  await rig.settled();
  return id;
}

function delivered(one = receiver) {
  return one.received.map(({ body }) => JSON.parse(body));
}

/** The relay's queue of a process that starts later. */
function laterQueue() {
  const { store, fake, server } = rig;
  const readConfig = async () => (await readMirrorConfig(store)) ?? EMPTY_CONFIG;
  const storage = { store, blocks: new BlockCache(store) };
  return startRelay(
    { storage, readConfig, log: SILENT_LOGGER },
    { gitUrl: fake.gitUrl, serverUrl: () => server.url },
  ).queue;
}

test("each push is one event, in order, signed, in the form of Data Center's", async () => {
  await mirrored();
  await setReceivers(receiver.url);
  const ids = [await push(), await push(), await push()];
  expect(delivered().map(({ changes }) => changes)).toMatchObject(
    ids.map((toHash) => [{ refId: "refs/heads/main", toHash, type: "UPDATE" }]),
  );
  expect(delivered()[0]).toMatchObject({
    eventKey: "mirror:repo_synchronized",
    syncType: "INCREMENTAL",
    refLimitExceeded: false,
    mirrorServer: { baseUrl: rig.server.url },
    repository: { slug: "a", public: true, project: { key: "CORE" } },
  });
  for (const { headers, body } of receiver.received) {
    const signature = createHmac("sha256", SECRET).update(body).digest("hex");
    expect(headers).toMatchObject({
      "x-event-key": "mirror:repo_synchronized",
      "x-hub-signature": `sha256=${signature}`,
      "content-type": "application/json; charset=utf-8",
    });
  }
  await rig.mirror.reconcile("full");
  await rig.settled();
  expect(delivered()).toHaveLength(3);
});

test("a first sync's event is a snapshot with all its refs", async () => {
  await changeMirrorConfig(rig.store, () => EMPTY_CONFIG);
  await mirrored();
  expect(delivered()).toEqual([]);
  await setReceivers(receiver.url);
  await rig.create("acme", "b", "CORE");
  await rig.settled();
  expect(delivered()).toMatchObject([
    { syncType: "SNAPSHOT", repository: { slug: "b" }, changes: [{ refId: "refs/heads/main", type: "ADD" }] },
  ]);
});

test("a receiver that refuses holds up neither syncs nor others; what it did not take is kept, and replayed", async () => {
  const other = await startWebhookReceiver();
  await mirrored();
  await setReceivers(receiver.url, other.url);
  receiver.status = 500;
  const [first, second] = [await push(), await push()];
  expect(await rig.serves("acme/a")).toBe("equal");
  expect(await rig.state("acme/a")).toMatchObject({ state: "AVAILABLE", failedSyncCount: 0 });
  expect(delivered(other).map(({ changes }) => changes[0].toHash)).toEqual([first, second]);
  // Each three times, and the second not before the first is given up.
  expect(delivered().map(({ changes }) => changes[0].toHash)).toEqual([
    first,
    first,
    first,
    second,
    second,
    second,
  ]);
  const requestIds = receiver.received.map(({ headers }) => headers["x-request-id"]);
  expect(new Set(requestIds).size).toBe(2);

  receiver.status = 204;
  const kept = new StoredMessages(rig.store, "relay");
  expect(await kept.list("dead", 10)).toHaveLength(2);
  expect(await kept.list("waiting", 10)).toEqual([]);
  const queue = laterQueue();
  expect(await queue.replay(10)).toBe(2);
  await queue.drained();
  expect(
    delivered()
      .slice(6)
      .map(({ changes }) => changes[0].toHash),
  ).toEqual([first, second]);
  expect(await kept.list("dead", 10)).toEqual([]);
  await other.close();
});

test("what was published by a process that was killed before it announced it is announced by the next job", async () => {
  await mirrored();
  await setReceivers(receiver.url);
  await push();
  const entry = await readName(rig.store, "acme", "a");
  const keys = repositoryKeys(entry?.uuid ?? "");
  const before = await rig.store.read(keys.record);
  // This one has no receivers, and the record is as if it had not been written either.
  await setReceivers();
  await push();
  await rig.store.write(keys.record, before.bytes);
  await setReceivers(receiver.url);
  await rig.mirror.reconcile("full");
  await rig.settled();
  const { generation } = (await readManifest(rig.store, entry?.uuid ?? "")).value;
  expect(delivered().slice(1)).toMatchObject([
    { syncType: "SNAPSHOT", refLimitExceeded: true, generation, changes: [] },
  ]);
  await rig.mirror.reconcile("full");
  await rig.settled();
  expect(delivered()).toHaveLength(2);
});

test("a removed receiver gets no more events, nor those that wait", async () => {
  await mirrored();
  await setReceivers(receiver.url);
  receiver.status = 500;
  const kept = new StoredMessages(rig.store, "relay");
  await push();
  await setReceivers();
  receiver.status = 204;
  const queue = laterQueue();
  await queue.replay(10);
  await queue.drained();
  await push();
  expect(delivered()).toHaveLength(3);
  expect(await kept.list("dead", 10)).toEqual([]);
});
