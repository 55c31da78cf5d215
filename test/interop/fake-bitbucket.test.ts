/** Real git and real HTTP against the fake Bitbucket Cloud. */
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AccountsInput } from "../support/fake-bitbucket/accounts.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const ACCOUNTS: AccountsInput = {
  callers: [
    { name: "wanda", token: "wanda-token", rights: { acme: "write" } },
    { name: "rita", token: "rita-token", rights: { "acme/vault": "read" } },
    { name: "olga", token: "olga-token", rights: { acme: "admin" } },
    { name: "robot", token: "robot-token", kind: "access-token", rights: { acme: "read" } },
    { name: "stranger", token: "stranger-token", rights: {} },
  ],
  repositories: { "acme/site": { public: true } },
};
const WEBHOOK_SECRET = "It's a Secret to Everybody";

interface ReceivedWebhook {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

let work: TemporaryFolder;
let fake: FakeBitbucket;
let receiver: Server;
let received: ReceivedWebhook[];
let receiverStatus: number;

beforeEach(async () => {
  work = await temporaryFolder();
  await makeSampleRepository(join(work.path, "primary/acme/vault.git"));
  await makeSampleRepository(join(work.path, "primary/acme/site.git"), { commitCount: 2 });
  received = [];
  receiverStatus = 200;
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString("utf8") });
      response.writeHead(receiverStatus).end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  fake = await startFakeBitbucket({
    repositoriesFolder: join(work.path, "primary"),
    accounts: ACCOUNTS,
    webhook: {
      url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`,
      secret: WEBHOOK_SECRET,
    },
    webhookRetryDelayMs: 1,
  });
});

afterEach(async () => {
  await fake.close();
  receiver.closeAllConnections();
  await new Promise((done) => receiver.close(done));
  await work.remove();
});

function primary(slug: string): string {
  return join(work.path, `primary/acme/${slug}.git`);
}

/** With credentials in the URL, as `git clone https://user:token@bitbucket.org/…` has them. */
function gitUrlAs(userinfo: string, path: string): string {
  return `${fake.gitUrl.replace("//", `//${userinfo}@`)}/${path}`;
}

async function cloneAs(userinfo: string, path: string, folder: string): Promise<string> {
  const target = join(work.path, folder);
  await git(["clone", "--quiet", gitUrlAs(userinfo, path), target]);
  return target;
}

async function commit(folder: string, message: string): Promise<string> {
  await git(["commit", "--quiet", "--allow-empty", "-m", message], { cwd: folder });
  return git(["rev-parse", "HEAD"], { cwd: folder });
}

async function refsOf(folder: string): Promise<string> {
  return git(["for-each-ref", "--format=%(objectname) %(refname)"], { cwd: folder });
}

interface PushedRef {
  readonly type: string;
  readonly name: string;
  readonly message?: string | null;
  readonly target: { readonly hash: string };
}

interface PushedChange {
  readonly old: PushedRef | null;
  readonly new: PushedRef | null;
  readonly created: boolean;
  readonly closed: boolean;
  readonly forced: boolean;
  readonly truncated: boolean;
  readonly commits?: readonly { readonly hash: string }[];
}

async function lastChanges(): Promise<PushedChange[]> {
  await fake.controls.settled();
  return JSON.parse(received.at(-1)?.body ?? "").push.changes;
}

describe("git", () => {
  test.each([0, 1, 2])(
    "a mirror clone in protocol %i has the primary's refs and passes fsck",
    async (version) => {
      const target = join(work.path, "clone.git");
      const url = gitUrlAs("rita:rita-token", "acme/vault.git");
      await git(["-c", `protocol.version=${version}`, "clone", "--quiet", "--mirror", url, target]);
      expect(await refsOf(target)).toBe(await refsOf(primary("vault")));
      expect(await git(["fsck", "--full", "--strict"], { cwd: target })).toBe("");
      const asked = fake.controls.requests.map(({ gitProtocol }) => gitProtocol);
      expect(new Set(asked)).toEqual(new Set([version === 0 ? undefined : `version=${version}`]));
    },
  );

  test("a repository is found without .git, in any case and by its uuid", async () => {
    const { uuid } = (await (await fetch(`${fake.apiUrl}/repositories/acme/site`)).json()) as {
      uuid: string;
    };
    expect(uuid).toMatch(/^\{[0-9a-f-]{36}\}$/);
    const refs = await git(["ls-remote", primary("site")]);
    for (const path of ["acme/site", "ACME/Site.git", `acme/${encodeURIComponent(uuid)}.git`]) {
      expect(await git(["ls-remote", `${fake.gitUrl}/${path}`])).toBe(refs);
    }
  });

  test("filters and wants by commit id are allowed, and the repository's own configuration is untouched", async () => {
    const target = join(work.path, "partial");
    await git(["clone", "--quiet", "--bare", "--filter=blob:none", `${fake.gitUrl}/acme/site`, target]);
    const missing = await git(["rev-list", "--objects", "--all", "--missing=print"], { cwd: target });
    expect(missing).toMatch(/^\?/m);
    const hidden = await git(["rev-parse", "refs/heads/main~2"], { cwd: primary("site") });
    await git(["fetch", "--quiet", "--depth=1", `${fake.gitUrl}/acme/site`, hidden], { cwd: target });
    expect(await git(["config", "--local", "--list"], { cwd: primary("site") })).not.toContain("allow");
  });

  test("request bodies may be gzip'd and chunked", async () => {
    const tip = await git(["rev-parse", "refs/heads/main"], { cwd: primary("site") });
    const wants = Buffer.from(`0032want ${tip}\n00000009done\n`);
    const body = new ReadableStream({
      start(controller) {
        const zipped = gzipSync(wants);
        controller.enqueue(zipped.subarray(0, 5));
        controller.enqueue(zipped.subarray(5));
        controller.close();
      },
    });
    const response = await fetch(`${fake.gitUrl}/acme/site.git/git-upload-pack`, {
      method: "POST",
      headers: { "Content-Type": "application/x-git-upload-pack-request", "Content-Encoding": "gzip" },
      body,
      duplex: "half",
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-git-upload-pack-result");
    expect(Buffer.from(await response.arrayBuffer()).toString("latin1", 0, 12)).toBe("0008NAK\nPACK");
  });

  test("a private repository challenges the anonymous and is not found by strangers, like one that is not there", async () => {
    const statusOf = async (path: string, credential?: string) => {
      const headers = credential === undefined ? {} : { Authorization: `Basic ${btoa(credential)}` };
      const response = await fetch(`${fake.gitUrl}/${path}.git/info/refs?service=git-upload-pack`, {
        headers,
      });
      return [response.status, response.headers.get("www-authenticate"), await response.text()];
    };
    for (const path of ["acme/vault", "acme/nothing"]) {
      expect(await statusOf(path)).toEqual([401, 'Basic realm="Bitbucket.org HTTP"', expect.any(String)]);
      expect((await statusOf(path, "wanda:wrong"))[0]).toBe(401);
      expect(await statusOf(path, "stranger:stranger-token")).toEqual([
        404,
        null,
        expect.stringMatching(/^You may not have access to this repository or it no longer exists/),
      ]);
    }
    for (const credential of [
      "rita:rita-token",
      "x-bitbucket-api-token-auth:rita-token",
      "x-token-auth:robot-token",
    ]) {
      expect((await statusOf("acme/vault", credential))[0]).toBe(200);
    }
    expect((await statusOf("acme/vault", "rita@example.com:rita-token"))[0]).toBe(401);
    expect((await statusOf("acme/vault", "x-token-auth:rita-token"))[0]).toBe(401);
  });

  test("only writers push", async () => {
    const clone = await cloneAs("rita:rita-token", "acme/vault.git", "clone");
    const before = await refsOf(primary("vault"));
    await commit(clone, "Mine");
    const refused = await tryGit(["push", "origin", "main"], { cwd: clone });
    expect(refused.stderr).toContain("403");
    expect(await refsOf(primary("vault"))).toBe(before);
    await git(["push", "--quiet", gitUrlAs("wanda:wanda-token", "acme/vault.git"), "main"], { cwd: clone });
    expect(await git(["rev-parse", "main"], { cwd: primary("vault") })).toBe(
      await git(["rev-parse", "HEAD"], { cwd: clone }),
    );
  });
});

describe("webhooks", () => {
  test("a push is announced once, signed, with the commits pushed", async () => {
    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    const old = await git(["rev-parse", "HEAD"], { cwd: clone });
    const pushed: string[] = [];
    for (let i = 0; i < 6; i++) pushed.unshift(await commit(clone, `Commit ${i}`));
    await git(["push", "--quiet", "origin", "main"], { cwd: clone });
    const [change, ...others] = await lastChanges();
    expect(others).toEqual([]);
    expect(change).toMatchObject({
      old: { type: "branch", name: "main", target: { type: "commit", hash: old } },
      new: { type: "branch", name: "main", target: { hash: pushed[0] } },
      created: false,
      closed: false,
      forced: false,
      truncated: true,
    });
    expect(change?.commits?.map(({ hash }) => hash)).toEqual(pushed.slice(0, 5));
    expect(received).toHaveLength(1);
    const [webhook] = received;
    const signature = createHmac("sha256", WEBHOOK_SECRET)
      .update(webhook?.body ?? "")
      .digest("hex");
    expect(webhook?.headers).toMatchObject({
      "x-event-key": "repo:push",
      "x-attempt-number": "1",
      "x-hub-signature": `sha256=${signature}`,
      "x-hook-uuid": expect.stringMatching(/^[0-9a-f-]{36}$/),
      "x-request-uuid": expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(JSON.parse(webhook?.body ?? "")).toMatchObject({
      actor: { display_name: "wanda" },
      repository: { full_name: "acme/vault", uuid: expect.stringMatching(/^\{/) },
    });
  });

  test("created, deleted, rewound and tagged refs say so; an annotated tag shows its commit", async () => {
    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    const tip = await git(["rev-parse", "HEAD"], { cwd: clone });
    await git(["tag", "-a", "-m", "Second\n\nrelease", "v2.0"], { cwd: clone });
    await git(["tag", "plain"], { cwd: clone });
    await git(
      ["push", "--quiet", "--force", "origin", ":pages", "main~1:develop", "main:fresh", "v2.0", "plain"],
      { cwd: clone },
    );
    const changes = await lastChanges();
    const byName = new Map(changes.map((change) => [(change.new ?? change.old)?.name, change]));
    expect([...byName.keys()].sort()).toEqual(["develop", "fresh", "pages", "plain", "v2.0"]);
    expect(byName.get("pages")).toMatchObject({ new: null, closed: true, created: false, forced: false });
    expect(byName.get("fresh")).toMatchObject({ old: null, created: true, new: { target: { hash: tip } } });
    expect(byName.get("develop")).toMatchObject({ forced: true, created: false, closed: false });
    expect(byName.get("v2.0")).toMatchObject({
      created: true,
      new: { type: "tag", message: "Second\n\nrelease\n", target: { type: "commit", hash: tip } },
    });
    expect(byName.get("plain")).toMatchObject({ new: { type: "tag", message: null, target: { hash: tip } } });
  });

  test("a fetch and a push that changes nothing are not announced", async () => {
    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    await git(["push", "--quiet", "origin", "main"], { cwd: clone });
    await fake.controls.settled();
    expect(fake.controls.deliveries).toEqual([]);
  });

  test.each([
    { status: 503, attempts: ["1", "2", "3"] },
    { status: 404, attempts: ["1"] },
  ])("an answer $status leads to attempts $attempts of one request", async ({ status, attempts }) => {
    receiverStatus = status;
    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
    await fake.controls.settled();
    expect(received.map(({ headers }) => headers["x-attempt-number"])).toEqual(attempts);
    expect(new Set(received.map(({ headers }) => headers["x-request-uuid"])).size).toBe(1);
  });

  test("subscriptions over REST are managed by admins and told of their repositories only", async () => {
    const headers = { Authorization: `Basic ${btoa("olga@example.com:olga-token")}` };
    const hooksUrl = `${fake.apiUrl}/repositories/acme/site/hooks`;
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/site`;
    const body = JSON.stringify({ url, description: "mine", events: ["repo:push"], secret: "s" });
    const forbidden = { Authorization: `Basic ${btoa("wanda@example.com:wanda-token")}` };
    expect((await fetch(hooksUrl, { method: "POST", headers: forbidden, body })).status).toBe(403);
    expect((await fetch(hooksUrl, { method: "POST", headers, body: "{}" })).status).toBe(400);
    const created = await fetch(hooksUrl, { method: "POST", headers, body });
    expect(created.status).toBe(201);
    const { uuid, ...shown } = (await created.json()) as Record<string, string>;
    expect(shown).toMatchObject({ url, secret_set: true, active: true });
    expect(shown).not.toHaveProperty("secret");
    const hookUuid = uuid?.replace(/[{}]/g, "");

    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
    await git(["push", "--quiet", gitUrlAs("wanda:wanda-token", "acme/site"), "main:another"], {
      cwd: clone,
    });
    await fake.controls.settled();
    expect(fake.controls.deliveries.filter((delivery) => delivery.hookUuid === hookUuid)).toHaveLength(1);

    const deleted = await fetch(`${hooksUrl}/${encodeURIComponent(uuid ?? "")}`, {
      method: "DELETE",
      headers,
    });
    expect(deleted.status).toBe(204);
    expect(await (await fetch(hooksUrl, { headers })).json()).toMatchObject({ values: [] });
  });

  test("webhooks can be dropped", async () => {
    fake.controls.misbehave({ dropWebhooks: true });
    const clone = await cloneAs("wanda:wanda-token", "acme/vault.git", "clone");
    await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
    await fake.controls.settled();
    expect(received).toEqual([]);
  });
});
