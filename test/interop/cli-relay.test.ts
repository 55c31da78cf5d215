/** `nearside relay`, and the dead letters of a mirror in one process. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { StoredMessages } from "../../functions/local/stored-messages.ts";
import { readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { formatSyncJob } from "../../lib/mirror/sync-job.ts";
import { queueMessageOf, type RelayEvent } from "../../lib/relay/relay-message.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { type SecretServer, startSecretServer } from "../support/aws-front/secret-server.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

const SECRET = "relay-secret-of-tests-5d1c";
const URL_1 = "https://ci.example/hook";

let folder: TemporaryFolder;
let s3Server: S3Server;
let secrets: SecretServer;
let storeCount = 0;
let place: string[];
let store: FsBlobStore;

beforeAll(async () => {
  folder = await temporaryFolder();
  [s3Server, secrets] = await Promise.all([
    startS3Server({ folder: join(folder.path, "s3") }),
    startSecretServer({}),
  ]);
  newStore();
});
afterEach(newStore);
afterAll(async () => {
  await Promise.all([s3Server.close(), secrets.close()]);
  await folder.remove();
});

function newStore(): void {
  const path = join(folder.path, `store-${storeCount++}`);
  place = ["--store", path];
  store = new FsBlobStore(path);
}

test("a webhook is added with the name of its secret, listed, and removed", async () => {
  const environment = { NEARSIDE_SECRET_RELAY_CI_1: SECRET };
  const add = ["relay", "add", URL_1, "--secret", "ci-1", "--private-addresses", ...place];
  const missing = await runCli(add);
  expect(missing).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("NEARSIDE_SECRET_RELAY_CI_1 must hold a secret"),
  });
  expect(await readMirrorConfig(store)).toBeUndefined();

  const added = await runCli(add, environment);
  expect(added).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("NEARSIDE_SECRET_RELAY_CI_1") });
  const { relayWebhooks = [] } = (await readMirrorConfig(store)) ?? {};
  expect(relayWebhooks).toMatchObject([{ url: URL_1, secret: "ci-1", privateAddresses: true }]);
  expect(dataOf((await runCli(["relay", "list", "--json", ...place])).stdout)).toEqual(relayWebhooks);
  expect((await runCli(["relay", "list", ...place])).stdout).toMatch(/ci\.example\/hook +ci-1 +allowed/);

  expect(await runCli(add, environment)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("is a receiver already"),
  });
  const id = relayWebhooks[0]?.id ?? "";
  expect((await runCli(["relay", "remove", id, ...place])).exitCode).toBe(0);
  expect((await runCli(["relay", "list", ...place])).stdout).toBe("No webhook gets events.\n");
  expect((await runCli(["relay", "remove", id, ...place])).exitCode).toBe(2);
});

test.each(["http://ci.example/hook", "https://user:word@ci.example/", "ftp://ci.example", "hook"])(
  "%s is refused as an address",
  async (url) => {
    const environment = { NEARSIDE_SECRET_RELAY_CI: SECRET };
    const refused = await runCli(["relay", "add", url, "--secret", "ci", ...place], environment);
    expect(refused).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("must begin with https://"),
    });
    expect(await readMirrorConfig(store)).toBeUndefined();
  },
);

test("an address of a private network has to be meant", async () => {
  const environment = { NEARSIDE_SECRET_RELAY_CI: SECRET };
  const add = ["relay", "add", "https://10.0.0.8/hook", "--secret", "ci", ...place];
  expect(await runCli(add, environment)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("--private-addresses"),
  });
  expect((await runCli([...add, "--private-addresses"], environment)).exitCode).toBe(0);
});

test("for a deployed mirror the secret is made where the mirror reads it, once", async () => {
  const environment = {
    AWS_ENDPOINT_URL_SSM: secrets.endpoint,
    AWS_REGION: s3Server.region,
    AWS_ACCESS_KEY_ID: s3Server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Server.credentials.secretAccessKey,
  };
  const bucket = ["--store", `s3://${s3Server.bucketName}/relay`, "--s3-endpoint", s3Server.endpoint];
  const at = ["--secret-path", "/nearside/", ...bucket];
  const added = await runCli(["relay", "add", URL_1, "--secret", "ci", ...at], environment);
  expect(added).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("/nearside/relay/ci") });
  const made = secrets.parameters.get("/nearside/relay/ci") ?? "";
  expect(made).toMatch(/^[0-9a-f]{64}$/);
  expect(added.stdout).not.toContain(made);
  await runCli(["relay", "add", "https://other.example/", "--secret", "ci", ...at], environment);
  expect(secrets.parameters.get("/nearside/relay/ci")).toBe(made);
  const listed = await runCli(["relay", "list", "--json", ...bucket], environment);
  expect(dataOf(listed.stdout)).toMatchObject([{ url: URL_1 }, { url: "https://other.example/" }]);
});

test("dead letters that a mirror in one process has left are listed and replayed", async () => {
  const uuid = "01234567-89ab-cdef-0123-456789abcdef";
  const at = "2026-01-02T03:04:05.000Z";
  const facts = { workspace: "acme", slug: "website", isPrivate: true, seenAt: at };
  const job = { kind: "repository", workspace: "acme", uuid, reason: "push", queuedAt: at, facts } as const;
  const event: RelayEvent = {
    uuid,
    workspace: "acme",
    slug: "website",
    isPrivate: true,
    generation: 3,
    at,
    syncType: "SNAPSHOT",
    refLimitExceeded: true,
    changes: [],
  };
  const syncs = new StoredMessages(store, "sync");
  const relays = new StoredMessages(store, "relay");
  await syncs.put("dead", { groupId: uuid, dedupId: "one", body: formatSyncJob(job) });
  await relays.put("dead", queueMessageOf({ kind: "webhook", id: "hook" }, event, "ab"));

  expect(await runCli(["dead-letters", "list", ...place])).toMatchObject({
    exitCode: 0,
    stdout: [
      `acme/website, push, of ${at}`,
      `acme/website, generation 3 of ${at}, not relayed to webhook hook`,
      "2 dead letters.\n",
    ].join("\n"),
  });
  const one = await runCli(["dead-letters", "replay", "--max", "1", ...place]);
  expect(one.stdout).toBe("Sent 1 dead letter to the queue again.\n");
  expect(await syncs.list("waiting", 10)).toMatchObject([{ message: { groupId: uuid } }]);
  expect((await runCli(["dead-letters", "replay", ...place])).stdout).toMatch(/^Sent 1 dead/);
  expect(await relays.list("waiting", 10)).toHaveLength(1);
  expect((await runCli(["dead-letters", "list", ...place])).stdout).toBe("0 dead letters.\n");
});
