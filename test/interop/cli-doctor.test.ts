/** `nearside doctor`: over a running local mirror, and over a bucket. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Finding } from "../../functions/cli/doctor/finding.ts";
import { StoredMessages } from "../../functions/local/stored-messages.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { startSecretServer } from "../support/aws-front/secret-server.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { OPEN_ACCOUNTS } from "../support/fake-bitbucket/accounts.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";
import { startSqsServer } from "../support/queue/sqs-server.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";

const BOT = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}' };

let folder: TemporaryFolder;
let storeFolder: string;
let rig: LocalMirrorRig;

beforeEach(async () => {
  folder = await temporaryFolder();
  storeFolder = join(folder.path, "store");
  await mkdir(storeFolder);
  rig = await startLocalMirrorRig({ store: new FsBlobStore(storeFolder) });
});
afterEach(async () => {
  await rig.close();
  await folder.remove();
});

async function connected(): Promise<void> {
  await rig.create("acme", "a", "CORE");
  await rig.select({ workspace: "acme", credential: "bot", projects: "all" });
  await rig.settled();
}

function primaryOptions(): string[] {
  return ["--api-url", rig.fake.apiUrl, "--git-url", rig.fake.gitUrl];
}

async function doctor(environment: Record<string, string> = BOT, ...more: string[]) {
  const args = ["doctor", "--json", "--store", storeFolder, ...primaryOptions(), ...more];
  const { exitCode, stdout, stderr } = await runCli(args, environment);
  expect(stderr).toBe("");
  const findings = dataOf(stdout) as Finding[];
  const failures = findings.filter(({ status }) => status === "fail");
  expect(exitCode).toBe(failures.length === 0 ? 0 : 3);
  for (const { advice } of failures) expect(advice).toMatch(/\w/);
  return { findings, failed: failures.map(({ check, detail }) => `${check}: ${detail}`) };
}

function hookAddress(): { url: string; headers: { authorization: string } } {
  return {
    url: `${rig.fake.apiUrl}/workspaces/acme/hooks`,
    headers: { authorization: `Basic ${btoa("developer@example.com:developer")}` },
  };
}

describe("a local mirror", () => {
  test("that is well passes every check, and people read so", async () => {
    await connected();
    const { findings, failed } = await doctor();
    expect(failed).toEqual([]);
    const stateOf = new Map(findings.map(({ check, status }) => [check, status]));
    for (const check of ["REST", "git", "clock", "webhook", "rounds"])
      expect([check, stateOf.get(`acme: ${check}`)]).toEqual([check, "ok"]);
    expect(stateOf.get("mirror: takes webhooks")).toBe("ok");
    expect(stateOf.get("mirror: serves git")).toBe("ok");
    expect(findings.find(({ check }) => check === "acme: webhook")?.detail).toContain(rig.server.url);
    const text = await runCli(["doctor", "--store", storeFolder, ...primaryOptions()], BOT);
    expect(text.stdout).toMatch(/^OK {3}store: write: /m);
    expect(text.stdout).toMatch(/^SKIP acme: scopes: /m);
    expect(text.stdout).toMatch(/All is well\.\n$/);
  });

  test("without a workspace gets the first steps", async () => {
    const { failed } = await doctor();
    expect(failed).toEqual(["config.json: no workspace is connected"]);
  });

  test("whose account is not there, wrong, or may see nothing", async () => {
    await connected();
    expect((await doctor({})).failed[0]).toMatch(
      /^acme: REST: NEARSIDE_SECRET_BOT is not set in the environment/,
    );
    const { findings } = await doctor({});
    expect(findings.find(({ check }) => check === "acme: REST")?.command).toMatch(
      /^export NEARSIDE_SECRET_BOT='\{"email":"…","token":"…"\}' /,
    );
    const wrong = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"wrong"}' };
    expect((await doctor(wrong)).failed[0]).toMatch(/^acme: REST: Bitbucket answered 401/);
    rig.fake.controls.replaceAccounts({
      ...OPEN_ACCOUNTS,
      repositories: { "*": { public: false } },
      callers: [{ name: "developer", token: "developer", rights: {} }],
    });
    expect((await doctor()).failed).toContain("acme: REST: Bitbucket shows no repository to this account");
  });

  test("whose account lacks scopes: each is named", async () => {
    await connected();
    const withScopes = (...scopes: string[]) =>
      rig.fake.controls.replaceAccounts({
        ...OPEN_ACCOUNTS,
        callers: [{ name: "developer", token: "developer", rights: { "*": "admin" }, scopes }],
      });
    withScopes("read:repository:bitbucket", "read:webhook:bitbucket");
    expect((await doctor()).failed).toEqual([
      "acme: scopes: the account lacks write:webhook:bitbucket, delete:webhook:bitbucket",
    ]);
    withScopes("repository", "webhook");
    expect((await doctor()).failed).toEqual([]);
  });

  test("whose token ends soon, has ended, or has an end that is not recorded", async () => {
    await connected();
    const day = 86_400_000;
    const ending = async (inDays: number) => {
      const expires = new Date(Date.now() + inDays * day).toISOString().slice(0, 10);
      const account = { email: "developer@example.com", token: "developer", expires };
      const { findings, failed } = await doctor({ NEARSIDE_SECRET_BOT: JSON.stringify(account) });
      expect(findings.find(({ check }) => check === "acme: token")?.detail).toContain(expires);
      return failed;
    };
    expect(await ending(60)).toEqual([]);
    expect(await ending(20)).toEqual([expect.stringMatching(/^acme: token: it ends in (19|20) days, on /)]);
    expect(await ending(-2)).toEqual([expect.stringMatching(/^acme: token: it ended on /)]);
    const { findings } = await doctor();
    expect(findings.find(({ check }) => check === "acme: token")).toMatchObject({ status: "skipped" });
  });

  test("whose webhook is gone, or turned off", async () => {
    await connected();
    const { url, headers } = hookAddress();
    const { values } = (await (await fetch(url, { headers })).json()) as {
      values: { uuid: string; url: string; description: string; events: string[] }[];
    };
    const [hook] = values;
    const place = `${url}/${encodeURIComponent(hook?.uuid ?? "")}`;
    const body = JSON.stringify({ ...hook, active: false, secret: "secret" });
    await fetch(place, { method: "PUT", headers: { ...headers, "content-type": "application/json" }, body });
    expect((await doctor()).failed).toEqual(["acme: webhook: it is turned off at Bitbucket"]);
    await fetch(place, { method: "DELETE", headers });
    expect((await doctor()).failed).toEqual(["acme: webhook: it is gone from Bitbucket"]);
  });

  test("that cannot be reached, beside a Bitbucket that cannot, and a clock that is off", async () => {
    await connected();
    rig.fake.controls.misbehave({ clockAheadSeconds: 600 });
    expect((await doctor()).failed).toEqual([
      expect.stringMatching(/^acme: clock: this machine's clock is (59|60)\d s behind Bitbucket's$/),
    ]);
    rig.fake.controls.behave();
    const elsewhere = ["--mirror-url", "http://127.0.0.1:1"];
    expect((await doctor(BOT, ...elsewhere)).failed).toEqual([
      expect.stringMatching(/^mirror: takes webhooks: http.*:1\/-\/webhooks\/acme cannot be reached: \w/),
      expect.stringMatching(/^mirror: serves git: .* cannot be reached: \w/),
    ]);
    const other = ["--mirror-url", rig.fake.gitUrl];
    expect((await doctor(BOT, ...other)).failed.join()).toMatch(/mirror: takes webhooks: .* answers 400/);
    rig.fake.controls.misbehave({ down: true });
    expect((await doctor()).failed).toEqual([
      expect.stringMatching(/^acme: REST: Bitbucket at http.* cannot be reached/),
      expect.stringMatching(/^acme: webhook: Bitbucket at http.* cannot be reached/),
    ]);
    rig.fake.controls.behave();
  });

  test("that has given up something", async () => {
    await connected();
    const dead = { groupId: "g", dedupId: "d", body: "b" };
    await new StoredMessages(rig.store, "sync").put("dead", dead);
    expect((await doctor()).failed).toEqual(["dead letters: 1 in the store"]);
  });
});

describe("a deployed mirror", () => {
  test("is checked through its bucket, its secrets and its queues", async () => {
    await rig.create("acme", "a", "CORE");
    const [s3Server, secrets, sqs] = await Promise.all([
      startS3Server({ folder: join(folder.path, "s3") }),
      startSecretServer({ "/nearside/accounts/bot": BOT.NEARSIDE_SECRET_BOT }),
      startSqsServer(),
    ]);
    const environment = {
      AWS_ENDPOINT_URL_SSM: secrets.endpoint,
      AWS_REGION: s3Server.region,
      AWS_ACCESS_KEY_ID: s3Server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3Server.credentials.secretAccessKey,
    };
    const bucket = ["--store", `s3://${s3Server.bucketName}`, "--s3-endpoint", s3Server.endpoint];
    const at = [...bucket, ...primaryOptions(), "--secret-path", "/nearside/"];
    for (const args of [
      ["connect", "acme", "--credential", "bot", ...at],
      ["select", "acme", "--all", ...bucket],
      ["sync", ...at],
      ["relay", "add", "https://ci.example/hook", "--secret", "ci", "--secret-path", "/nearside/", ...bucket],
    ])
      expect(await runCli(args, environment)).toMatchObject({ exitCode: 0 });
    const { queueUrl, deadLetterQueueUrl } = await sqs.createQueues({ maxReceiveCount: 5 });
    const here = (url: string) => `${sqs.endpoint}${new URL(url).pathname}`;
    const queues = ["--queue-url", here(queueUrl), "--dead-letter-queue-url", here(deadLetterQueueUrl)];
    const run = async (...more: string[]) => {
      const { exitCode, stdout } = await runCli(["doctor", "--json", ...at, ...queues, ...more], environment);
      const findings = dataOf(stdout) as Finding[];
      return {
        exitCode,
        failed: findings.flatMap(({ check, status }) => (status === "fail" ? [check] : [])),
      };
    };
    expect(await run("--mirror-url", rig.server.url)).toEqual({ exitCode: 3, failed: ["acme: webhook"] });
    await new SqsJobQueue(sqs.client, deadLetterQueueUrl).send([{ groupId: "g", dedupId: "d", body: "b" }]);
    secrets.parameters.delete("/nearside/relay/ci");
    expect((await run()).failed).toEqual([
      "acme: webhook",
      "dead letter queue",
      expect.stringMatching(/^relay /),
    ]);
    const denied = { ...environment, AWS_SECRET_ACCESS_KEY: "wrong" };
    const refused = await runCli(["doctor", "--json", ...at], denied);
    expect(refused.exitCode).toBe(3);
    expect(dataOf(refused.stdout)).toMatchObject([
      { check: "store: write", status: "fail" },
      { check: "config.json", status: "fail" },
    ]);
    await Promise.all([s3Server.close(), secrets.close(), sqs.close()]);
  });
});
