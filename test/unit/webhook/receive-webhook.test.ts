import { createHmac } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { parseAddressSetting } from "../../../lib/address-ranges.ts";
import { QueueError } from "../../../lib/errors.ts";
import { answer } from "../../../lib/http/answer.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import type { SyncJob } from "../../../lib/mirror/sync-job.ts";
import { type ReceiveWebhookOptions, receiveWebhook } from "../../../lib/webhook/receive-webhook.ts";
import { isSigned, workspaceSecret } from "../../../lib/webhook/signature.ts";
import { rereadSecret } from "../../../lib/webhook/webhook-secret.ts";

const UUID = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa";
const AT = "2026-11-01T00:00:00.000Z";

let sent: { job: SyncJob; eventId: string }[];
let workspace: MirroredWorkspaceInput;
let queueFails: boolean;
let announced: string[];
let storeFails: boolean;
let bodiesRead: number;
let nowMs: number;

beforeEach(() => {
  sent = [];
  workspace = { workspace: "acme", projects: ["CORE"], credential: "bot" };
  queueFails = false;
  announced = [];
  storeFails = false;
  bodiesRead = 0;
  nowMs = Date.parse(AT);
});

const options = {
  readSecret: async () => "master",
  readConfig: async () => mirrorConfigOf([workspace]),
  requests: {
    request: async (jobs: readonly { job: SyncJob; eventId: string }[]) => {
      if (queueFails) throw new QueueError("full");
      sent.push(...jobs);
    },
  },
  notePush: async (uuid: string, at: Date) => {
    if (storeFails) throw new Error("no store");
    announced.push(`${uuid} ${at.toISOString()}`);
  },
  log: SILENT_LOGGER,
  now: () => new Date(nowMs),
} satisfies ReceiveWebhookOptions;

interface Delivery {
  readonly event?: string;
  readonly path?: string;
  readonly method?: string;
  readonly signature?: string;
  readonly headers?: Record<string, string>;
  readonly from?: string;
  /** Which addresses are taken. */
  readonly addresses?: string;
  /** By default a new process for each delivery. */
  readonly handler?: HttpHandler;
}

function sign(body: string, name = "acme", mirrorSecret = "master"): string {
  const secret = workspaceSecret(mirrorSecret, name);
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** Pushes have a list of changes, which may be empty. */
function bodyOf(payload: unknown, event: string): string {
  if (typeof payload === "string") return payload;
  return JSON.stringify(event === "repo:push" ? { push: { changes: [] }, ...(payload as object) } : payload);
}

async function deliver(payload: unknown, delivery: Delivery = {}): Promise<{ status: number; text: string }> {
  const body = bodyOf(payload, delivery.event ?? "repo:push");
  const request = {
    method: delivery.method ?? "POST",
    path: delivery.path ?? "/-/webhooks/acme",
    query: new URLSearchParams(),
    headers: {
      "x-event-key": delivery.event ?? "repo:push",
      "x-hub-signature": delivery.signature ?? sign(body),
      ...delivery.headers,
    },
    body: (async function* () {
      bodiesRead += 1;
      yield new TextEncoder().encode(body);
    })(),
    signal: new AbortController().signal,
    ...(delivery.from !== undefined && { remoteAddress: delivery.from }),
  };
  const addresses = parseAddressSetting(delivery.addresses ?? "any");
  const handler = delivery.handler ?? receiveWebhook({ ...options, addresses });
  const response = await answer(handler, request, SILENT_LOGGER);
  let text = "";
  for await (const chunk of response.body) text += new TextDecoder().decode(chunk);
  return { status: response.status, text: text.trim() };
}

function payloadOf(project = "CORE", others: object = {}): unknown {
  const repository = {
    uuid: `{${UUID.toUpperCase()}}`,
    full_name: "acme/engine",
    is_private: true,
    project: { key: project },
  };
  return { actor: { type: "user" }, repository, ...others };
}

const FACTS = { workspace: "acme", slug: "engine", projectKey: "CORE", isPrivate: true, seenAt: AT };

test("while the secret is replaced, deliveries signed with the old and with the new one are taken", async () => {
  const [old, next, wrong] = ["o".repeat(32), "n".repeat(32), "w".repeat(32)];
  let stored = old;
  let reads = 0;
  const read = async () => {
    reads += 1;
    return stored;
  };
  const handler = receiveWebhook({ ...options, readSecret: rereadSecret(read, () => nowMs) });
  const statusWith = async (secret: string) => {
    const body = bodyOf(payloadOf(), "repo:push");
    return (await deliver(body, { handler, signature: sign(body, "acme", secret) })).status;
  };
  expect(await statusWith(old)).toBe(202);
  stored = `${next},${old}`;
  // Reconcile has installed the new one already, and this process has not read it yet.
  nowMs += 11_000;
  expect(await statusWith(next)).toBe(202);
  expect(await statusWith(old)).toBe(202);
  stored = next;
  nowMs += 5 * 60_000 + 1;
  expect([await statusWith(next), await statusWith(old)]).toEqual([202, 401]);
  expect(reads).toBe(3);
  // Wrong signatures do not make requests of it.
  for (let count = 0; count < 20; count++) expect(await statusWith(wrong)).toBe(401);
  expect(reads).toBe(3);
});

test("the signature is Bitbucket's", () => {
  const body = new TextEncoder().encode("Hello World!");
  const header = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
  expect(isSigned(body, "It's a Secret to Everybody", header)).toBe(true);
  expect(isSigned(body, "another", header)).toBe(false);
});

test.each([
  ["repo:push", "push"],
  ["repo:created", "new"],
  ["repo:imported", "new"],
  ["repo:updated", "changed"],
  ["repo:deleted", "gone"],
  ["repo:transfer", "gone"],
])("%s becomes a job, reason %s", async (event, reason) => {
  const payload = payloadOf();
  expect(await deliver(payload, { event })).toEqual({ status: 202, text: "queued" });
  const job = { kind: "repository", workspace: "acme", uuid: UUID, reason, queuedAt: AT };
  const eventId = expect.stringMatching(/^webhook-[0-9a-f]{64}-30-\d+$/);
  expect(sent).toEqual([{ job: { ...job, facts: FACTS, factsFrom: "event" }, eventId }]);
});

test("a push to what is mirrored is announced, nothing else is, and none that is not signed", async () => {
  await deliver(payloadOf(), { signature: sign("{}") });
  await deliver(payloadOf("WEB"));
  await deliver(payloadOf(), { event: "repo:updated" });
  await deliver({ project: {} }, { event: "project:updated" });
  // Whether this one is mirrored is not known here.
  await deliver({ repository: { uuid: `{${UUID}}`, full_name: "../x/y", is_private: true } });
  expect(announced).toEqual([]);
  await deliver(payloadOf());
  expect(announced).toEqual([`${UUID} ${AT}`]);
});

test("a push that could not be announced is queued all the same", async () => {
  storeFails = true;
  expect(await deliver(payloadOf())).toEqual({ status: 202, text: "queued" });
  expect(sent).toHaveLength(1);
});

test("project:updated asks for the workspace to be gone through", async () => {
  expect((await deliver({ project: {} }, { event: "project:updated" })).status).toBe(202);
  expect(sent[0]?.job).toEqual({ kind: "workspace", workspace: "acme", reason: "changed", queuedAt: AT });
});

test("a push to what is not mirrored costs no job; another event does: it may change that", async () => {
  expect((await deliver(payloadOf("WEB"))).text).toBe("ignored");
  expect((await deliver(payloadOf("CORE"), { event: "pullrequest:created" })).text).toBe("ignored");
  expect(sent).toEqual([]);
  expect((await deliver(payloadOf("WEB"), { event: "repo:updated" })).text).toBe("queued");
  workspace = { ...workspace, disabled: true };
  expect((await deliver(payloadOf("CORE"))).text).toBe("ignored");
});

test.each([
  ["no signature", { signature: "" }],
  ["the signature of other bytes", { signature: sign("{}") }],
  ["the signature of another workspace", { signature: sign(bodyOf(payloadOf(), "repo:push"), "other") }],
  ["a signature in another form", { signature: "sha1=0000" }],
])("%s: refused, and nothing is queued", async (_name, delivery) => {
  expect((await deliver(payloadOf(), delivery)).status).toBe(401);
  expect(sent).toEqual([]);
  // Without anything like a signature the body is not even read.
  expect(bodiesRead).toBe(delivery.signature.startsWith("sha256=") ? 1 : 0);
});

test.each([
  ["not JSON", "{"],
  ["no repository", {}],
  ["a uuid that is none", { repository: { uuid: "{..}", full_name: "acme/engine" } }],
])("signed, but %s: 400, which Bitbucket does not send again", async (_name, payload) => {
  expect((await deliver(payload)).status).toBe(400);
  expect(sent).toEqual([]);
});

test("a name that could not be one is left out; the uuid is what counts", async () => {
  const repository = { uuid: `{${UUID}}`, full_name: "../x/y", is_private: true };
  expect((await deliver({ repository })).text).toBe("queued");
  expect(sent[0]?.job).not.toHaveProperty("facts");
});

describe("a delivery that was recorded", () => {
  /** As the queue does, for five minutes. */
  const queued = () => new Set(sent.map(({ eventId }) => eventId)).size;

  test("and comes again under other ids is one event, in any process", async () => {
    const handler = receiveWebhook(options);
    for (let index = 0; index < 50; index++) {
      const headers = { "x-request-uuid": `request-${index}`, "x-hook-uuid": `hook-${index}` };
      await deliver(payloadOf(), { headers, ...(index % 2 === 0 && { handler }) });
    }
    expect(queued()).toBe(1);
  });

  test("may be a push back to where the branch was: it counts again, twice a minute over all processes", async () => {
    const handler = receiveWebhook(options);
    for (let second = 0; second < 120; second += 5) {
      await deliver(payloadOf());
      await deliver(payloadOf(), { handler });
      nowMs += 5_000;
    }
    expect(queued()).toBeGreaterThanOrEqual(4);
    expect(queued()).toBeLessThanOrEqual(5);
  });

  test.each([
    "repo:created",
    "repo:updated",
    "repo:deleted",
    "repo:transfer",
    "project:updated",
    "pullrequest:created",
  ])("of a push is no %s", async (event) => {
    const body = bodyOf(payloadOf(), "repo:push");
    expect(await deliver(body, { event })).toEqual({
      status: 400,
      text: "the payload is not that of this event",
    });
    expect(sent).toEqual([]);
  });

  test("of another event is no push", async () => {
    expect((await deliver(JSON.stringify(payloadOf()), { event: "repo:push" })).status).toBe(400);
    const renamed = JSON.stringify(payloadOf("CORE", { changes: {} }));
    expect((await deliver(renamed, { event: "repo:deleted" })).status).toBe(400);
    expect((await deliver(renamed, { event: "repo:updated" })).status).toBe(202);
  });

  test("after another one may be new, at most every 10 s", async () => {
    const handler = receiveWebhook(options);
    const there = payloadOf("CORE", { push: { changes: ["there"] } });
    const back = payloadOf("CORE", { push: { changes: ["back"] } });
    for (const payload of [there, back, there]) await deliver(payload, { handler });
    expect(queued()).toBe(3);
    for (let index = 0; index < 20; index++) await deliver(index % 2 ? there : back, { handler });
    expect(queued()).toBe(4);
    nowMs += 10_000;
    for (let index = 0; index < 10; index++) await deliver(index % 2 ? there : back, { handler });
    expect(queued()).toBe(6);
  });
});

test("one repository has 600 events a minute, and others theirs", async () => {
  const handler = receiveWebhook(options);
  const statuses = [];
  for (let index = 0; index < 602; index++) {
    statuses.push((await deliver(payloadOf("CORE", { push: { changes: [index] } }), { handler })).status);
  }
  expect(statuses.slice(598)).toEqual([202, 202, 429, 429]);
  const other = {
    repository: {
      uuid: "{0b1c2d3e-4f50-6172-8394-000000000000}",
      full_name: "acme/other",
      is_private: true,
      project: { key: "CORE" },
    },
  };
  expect((await deliver(other, { handler })).status).toBe(202);
  nowMs += 60_000;
  expect((await deliver(payloadOf(), { handler })).status).toBe(202);
});

test("a queue that does not take it is a 5xx, after which Bitbucket sends again", async () => {
  queueFails = true;
  expect((await deliver(payloadOf())).status).toBe(500);
});

test.each([
  [{ path: "/-/webhooks/" }, 404],
  [{ path: "/-/webhooks/a/b" }, 404],
  [{ path: "/-/webhooks/.." }, 404],
  [{ method: "GET" }, 405],
])("%j is %i", async (delivery, status) => {
  expect((await deliver(payloadOf(), delivery)).status).toBe(status);
});

test("a body that is too long is not kept", async () => {
  expect((await deliver("x".repeat(512 * 1024 + 1))).status).toBe(413);
});

test("from other addresses than those that are set nothing is taken, and from those only what is signed", async () => {
  const addresses = "203.0.113.0/24,2001:db8::/32";
  for (const from of ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::7"]) {
    expect(await deliver(payloadOf(), { from, addresses })).toEqual({ status: 202, text: "queued" });
    expect((await deliver(payloadOf(), { from, addresses, signature: "sha256=0" })).status).toBe(401);
  }
  expect(sent).toHaveLength(3);
  for (const delivery of [{ from: "203.0.114.1" }, { from: "2001:db9::7" }, {}]) {
    expect(await deliver(payloadOf(), { ...delivery, addresses })).toEqual({
      status: 403,
      text: "webhooks are not taken from this address",
    });
  }
  expect(await deliver(payloadOf(), { from: "192.0.2.1", addresses: "any" })).toMatchObject({ status: 202 });
  expect(sent).toHaveLength(4);
});
