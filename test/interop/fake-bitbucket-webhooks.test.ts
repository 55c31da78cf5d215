/** Pushes by real git, and the webhooks that follow. */
import { createHmac } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { startWebhookReceiver, type WebhookReceiver } from "../support/fake-bitbucket/webhook-receiver.ts";
import { git, tryGit } from "../support/git/run-git.ts";

const WEBHOOK_SECRET = "It's a Secret to Everybody";

let acme: AcmeWorkspace;
let receiver: WebhookReceiver;

beforeEach(async () => {
  receiver = await startWebhookReceiver();
  const webhook = { url: receiver.url, secret: WEBHOOK_SECRET };
  acme = await openAcmeWorkspace({ webhook, webhookRetryDelayMs: 1 });
});

afterEach(async () => {
  await acme.close();
  await receiver.close();
});

async function commit(folder: string, message: string): Promise<string> {
  await git(["commit", "--quiet", "--allow-empty", "-m", message], { cwd: folder });
  return git(["rev-parse", "HEAD"], { cwd: folder });
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
  await acme.fake.controls.settled();
  return JSON.parse(receiver.received.at(-1)?.body ?? "").push.changes;
}

test("a push is announced once, signed, with the commits pushed", async () => {
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
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
  expect(receiver.received).toHaveLength(1);
  const [webhook] = receiver.received;
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
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
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

test("a push that the repository refuses is not announced", async () => {
  await git(["config", "receive.denyNonFastForwards", "true"], { cwd: acme.primary("vault") });
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  const refused = await tryGit(["push", "--force", "origin", "main~1:main"], { cwd: clone });
  expect(refused.stderr).toContain("[remote rejected]");
  await acme.fake.controls.settled();
  expect(acme.fake.controls.requests.at(-1)).toMatchObject({ method: "POST", service: "git-receive-pack" });
  expect(acme.fake.controls.deliveries).toEqual([]);
});

test.each([
  { status: 503, attempts: ["1", "2", "3"] },
  { status: 404, attempts: ["1"] },
])("an answer $status leads to attempts $attempts of one request", async ({ status, attempts }) => {
  receiver.status = status;
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
  await acme.fake.controls.settled();
  expect(receiver.received.map(({ headers }) => headers["x-attempt-number"])).toEqual(attempts);
  expect(new Set(receiver.received.map(({ headers }) => headers["x-request-uuid"])).size).toBe(1);
});

test("subscriptions over REST are managed by admins and get events of their repositories only", async () => {
  const headers = { Authorization: `Basic ${btoa("olga@example.com:olga-token")}` };
  const hooksUrl = `${acme.fake.apiUrl}/repositories/acme/site/hooks`;
  const url = `${receiver.url}/site`;
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

  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
  await git(["push", "--quiet", acme.gitUrlAs("wanda:wanda-token", "acme/site"), "main:another"], {
    cwd: clone,
  });
  await acme.fake.controls.settled();
  expect(acme.fake.controls.deliveries.filter((delivery) => delivery.hookUuid === hookUuid)).toHaveLength(1);

  const deleted = await fetch(`${hooksUrl}/${encodeURIComponent(uuid ?? "")}`, {
    method: "DELETE",
    headers,
  });
  expect(deleted.status).toBe(204);
  expect(await (await fetch(hooksUrl, { headers })).json()).toMatchObject({ values: [] });
});

test("webhooks can be dropped", async () => {
  acme.fake.controls.misbehave({ dropWebhooks: true });
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  await git(["push", "--quiet", "origin", "main:another"], { cwd: clone });
  await acme.fake.controls.settled();
  expect(receiver.received).toEqual([]);
});

test("a payload above 256 KiB is not sent, and nothing says so", async () => {
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  const input = "x".repeat(200 * 1024);
  await git(["commit", "--quiet", "--allow-empty", "-F", "-"], { cwd: clone, input });
  await git(["push", "--quiet", "origin", "main"], { cwd: clone });
  await acme.fake.controls.settled();
  expect(receiver.received).toEqual([]);
  await git(["push", "--quiet", "origin", "main~1:refs/heads/another"], { cwd: clone });
  expect(await lastChanges()).toHaveLength(1);
});
