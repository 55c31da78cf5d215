/** Pages for administrators: who gets them, what they do, and what is logged. */
import { expect, test } from "vitest";
import { MetricHistory } from "../../../functions/local/metric-history.ts";
import { ConfigError, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { readAdminLog } from "../../../lib/mirror/admin-log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../../lib/mirror/config-store.ts";
import type { MirroredWorkspaceInput } from "../../../lib/mirror/mirror-config.ts";
import { failed, firstRecord, markFailure } from "../../../lib/mirror/repository-state.ts";
import type { SyncJob } from "../../../lib/mirror/sync-job.ts";
import { ADMINISTRATOR_MS } from "../../../lib/pages/administrators.ts";
import type { Administration } from "../../../lib/pages/ports.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

const OLGA = {
  ...{ user: "olga@example.com", token: "olga-page-token", reads: ["vault", "plans"] },
  administers: ["acme", "elsewhere"],
};
const RITA: RigCaller = { user: "rita@example.com", token: "rita-page-token", reads: ["vault"] };
/** An administrator of a workspace that is not mirrored. */
const OTHER: RigCaller = { ...RITA, token: "other-page-token", administers: ["elsewhere"] };
const GIT_ONLY: RigCaller = { ...OLGA, user: "olga", token: "git-page-token" };

const REPOSITORIES = [
  { slug: "vault", isPrivate: true },
  { slug: "plans", isPrivate: true },
];
const SAME_ORIGIN = { "sec-fetch-site": "same-origin" };

interface AdminRigOptions {
  readonly workspaces?: readonly MirroredWorkspaceInput[];
  readonly changed?: Partial<Administration>;
}

async function adminRig({ workspaces, changed }: AdminRigOptions = {}) {
  const jobs: SyncJob[] = [];
  const history = new MetricHistory();
  history.record({
    SentBytes: 5_000_000,
    PacksCopied: 3,
    PacksPlanned: 1,
    JobFailures: 2,
    SyncLagSeconds: 7,
  });
  const letters = ["acme/vault, push"];
  const rig = await pageRig({
    repositories: REPOSITORIES,
    callers: [OLGA, RITA, OTHER, GIT_ONLY],
    ...(workspaces && { workspaces }),
    administration: (store) => ({
      requests: { request: async (some) => void jobs.push(...some.map(({ job }) => job)) },
      configuration: {
        change: (change) => changeMirrorConfig(store, change),
        tryAccount: async ({ credential }) => {
          if (credential === "bad") throw new ConfigError("Bitbucket rejects the account");
          return "acme/vault";
        },
        acceptRemovals: async () => 0,
      },
      deadLetters: {
        list: async (workspace) => (workspace === "acme" ? letters : []),
        replay: async () => letters.splice(0).length,
      },
      history: () => history.read(),
      log: SILENT_LOGGER,
      ...changed,
    }),
  });
  const act = async (action: string, fields: Record<string, string> = {}, headers: object = SAME_ORIGIN) =>
    rig.send(`/-/admin/acme/${action}`, {
      method: "POST",
      headers: { ...(await rig.sessionOf(OLGA)), ...headers },
      body: Buffer.from(new URLSearchParams(fields).toString()),
    });
  const config = async () => (await readMirrorConfig(rig.configStore))?.workspaces[0];
  return { ...rig, jobs, act, config, log: () => readAdminLog(rig.store, "acme") };
}

test.each([
  ["a reader", RITA],
  ["an administrator of another workspace", OTHER],
  ["a username that REST does not take", GIT_ONLY],
])("%s gets no page and does nothing", async (_, caller) => {
  const { send, sessionOf, jobs, config } = await adminRig();
  const headers = await sessionOf(caller);
  for (const path of ["/-/admin", "/-/admin/acme", "/-/admin/acme/select"]) {
    const page = await send(path, { headers });
    expect([path, page.status]).toEqual([path, 403]);
    expect(page.text).not.toMatch(/vault|plans|<code>bot/);
  }
  for (const action of ["sync", "pause", "remove", "replay"]) {
    const answer = await send(`/-/admin/acme/${action}`, {
      method: "POST",
      headers: { ...headers, ...SAME_ORIGIN },
      body: Buffer.from("confirm=acme"),
    });
    expect([action, answer.status]).toEqual([action, 403]);
  }
  expect({ jobs, config: await config() }).toMatchObject({ jobs: [], config: { disabled: false } });
});

test("without a session one is sent to sign in", async () => {
  const { send } = await adminRig();
  expect(await send("/-/admin")).toMatchObject({ status: 303, headers: { location: "/-/sign-in" } });
  const post = await send("/-/admin/acme/pause", { method: "POST", headers: SAME_ORIGIN });
  expect(post).toMatchObject({ status: 303, headers: { location: "/-/sign-in" } });
});

test("an administrator sees the own workspaces that are mirrored, and the metrics as charts", async () => {
  const { send, sessionOf } = await adminRig();
  const headers = await sessionOf(OLGA);
  expect((await send("/", { headers })).text).toContain('href="/-/admin"');
  const { status, text } = await send("/-/admin", { headers });
  expect(status).toBe(200);
  expect(text).toMatch(/\/-\/admin\/acme">acme<\/a>\s*<span>.*Active.*2 repositories/);
  expect(text).not.toContain("elsewhere");
  expect(text.match(/<svg /g)).toHaveLength(5);
  expect(text).toContain("Bytes sent to clients, the last 24 hours. sent: 5.0 MB");
  expect(text).toContain(
    "stored packs, copied: 3; kept or shared answers: 0; by kept recipes: 0; planned for the request: 1",
  );
  expect(text).toContain("longest: 7 s");
  expect(text).not.toMatch(/ style=|<script(?![^>]* src=)/);
});

test("Bitbucket is asked once a minute for an administrator's rights, and a right that ends there ends here", async () => {
  const caller = { ...OLGA, token: "once-page-token", administers: ["acme"] };
  const { send, sessionOf, roles, clock } = await pageRig({
    repositories: REPOSITORIES,
    callers: [caller],
    administration: () => ({ requests: { request: async () => undefined }, log: SILENT_LOGGER }),
  });
  const headers = await sessionOf(caller);
  await send("/", { headers });
  expect(roles).toEqual([]);
  await Promise.all(Array.from({ length: 5 }, () => send("/-/admin/acme", { headers })));
  expect(roles).toHaveLength(1);
  caller.administers.length = 0;
  expect((await send("/-/admin/acme", { headers })).status).toBe(200);
  clock.nowMs += ADMINISTRATOR_MS + 1;
  expect((await send("/-/admin/acme", { headers })).status).toBe(403);
  expect(roles).toHaveLength(2);
});

test.each([
  [{ "sec-fetch-site": "cross-site" }],
  [{ "sec-fetch-site": "same-site" }],
  [{ origin: "http://evil.example" }],
  [{ origin: "null" }],
  [{}],
])("a form of another site, %j, does nothing and is not logged", async (headers) => {
  const { act, config, log, send, sessionOf } = await adminRig();
  expect((await act("pause", {}, headers)).status).toBe(403);
  // Nor does a link.
  const link = await send("/-/admin/acme/pause", { headers: await sessionOf(OLGA) });
  expect(link.status).toBe(404);
  expect({ disabled: (await config())?.disabled, log: await log() }).toEqual({ disabled: false, log: [] });
});

test("pause, resume, remove and restore change the configuration, and are logged with who did it", async () => {
  const { act, send, sessionOf, config, log } = await adminRig();
  const paused = await act("pause");
  expect(paused).toMatchObject({ status: 303, headers: { location: "/-/admin/acme?done=pause" } });
  expect(await config()).toMatchObject({ disabled: true });
  const page = await send("/-/admin/acme?done=pause", { headers: await sessionOf(OLGA) });
  expect(page.text).toContain("The workspace is paused: nothing of it is served.");
  await act("resume");
  expect(await config()).toMatchObject({ disabled: false });
  expect(await act("remove", { confirm: "other" })).toMatchObject({ status: 400 });
  expect((await config())?.removedAt).toBeUndefined();
  await act("remove", { confirm: "ACME", retentionDays: "3" });
  expect(await config()).toMatchObject({ removedAt: "2026-11-25T12:00:00.000Z", retentionDays: 3 });
  await act("restore");
  expect((await config())?.removedAt).toBeUndefined();
  const at = "2026-11-25T12:00:00.000Z";
  const who = "olga@example.com";
  expect(await log()).toEqual([
    { at, who, action: "pause" },
    { at, who, action: "resume" },
    { at, who, action: "remove", detail: "data kept for 3 days" },
    { at, who, action: "restore" },
  ]);
});

test("the only workspace's administrator signs in while it is paused, and others do not", async () => {
  const { signIn } = await adminRig({
    workspaces: [{ workspace: "acme", credential: "bot", projects: "all", disabled: true }],
  });
  expect(await signIn(OLGA.user, OLGA.token)).toMatchObject({ status: 303 });
  expect(await signIn(RITA.user, RITA.token)).toMatchObject({ status: 503 });
  for (let n = 0; n < 10; n++) await signIn(OLGA.user, `guess-${n}`);
  expect((await signIn(OLGA.user, OLGA.token)).text).toContain("Too many attempts");
});

test("sync now queues the workspace or a repository of it, and retry those that failed", async () => {
  const { act, jobs, store, uuidOf, send, sessionOf } = await adminRig();
  await nameRepository(store, uuidOf("vault"), { workspace: "acme", slug: "vault", isPrivate: true });
  await act("sync");
  await act("sync", { repository: "Vault" });
  expect(await act("sync", { repository: "../config" })).toMatchObject({ status: 400 });
  expect(await act("sync", { repository: "nothing" })).toMatchObject({ status: 400 });
  const seenAt = "2026-11-25T11:00:00.000Z";
  const facts = { workspace: "acme", slug: "plans", isPrivate: true, seenAt };
  const error = new UpstreamError("no answer", { retryable: true });
  await repositoryDocument(store, uuidOf("plans")).change(() =>
    failed(firstRecord(facts), error, new Date("2026-11-25T11:58:00Z")),
  );
  await markFailure(store, "acme", uuidOf("plans"), true);
  const page = await send("/-/admin/acme", { headers: await sessionOf(OLGA) });
  expect(page.text).toMatch(
    /Failed or not finished: 1[\s\S]*acme\/plans[\s\S]*Bitbucket did not answer[\s\S]*2 min ago/,
  );
  await act("retry");
  expect(jobs).toMatchObject([
    { kind: "workspace", workspace: "acme", reason: "asked" },
    { kind: "repository", uuid: uuidOf("vault"), reason: "asked" },
    { kind: "repository", uuid: uuidOf("plans"), reason: "asked" },
  ]);
});

test("a selection is previewed with the administrator's own list, and applied by a form", async () => {
  const { act, send, sessionOf, config, lists } = await adminRig();
  const headers = await sessionOf(OLGA);
  lists.length = 0;
  const query = "projects=core&include=&exclude=pl*&public=on&retentionDays=5";
  const preview = await send(`/-/admin/acme/select?${query}`, { headers });
  expect(preview.text).toContain("1 of 2 repositories that you see at Bitbucket would be mirrored");
  expect(preview.text).toMatch(/No longer served: 1[\s\S]*plans/);
  expect(lists).toEqual(["acme"]);
  expect(await config()).toMatchObject({ projects: "all" });
  const wrong = await send("/-/admin/acme/select?projects=not%20a-key!", { headers });
  expect(wrong).toMatchObject({ status: 400 });
  expect(wrong.text).toContain('role="alert"');
  await act("select", Object.fromEntries(new URLSearchParams(query)));
  expect(await config()).toMatchObject({ projects: ["core"], exclude: ["pl*"], retentionDays: 5 });
  expect(await act("select", { projects: "<script>" })).toMatchObject({ status: 409 });
});

test("reconnect checks the account first; what fails is logged as failed, and changes nothing", async () => {
  const { act, config, log } = await adminRig();
  const refused = await act("reconnect", { credential: "bad" });
  expect(refused.status).toBe(409);
  expect(refused.text).toContain("Bitbucket rejects the account");
  expect(await config()).toMatchObject({ credential: "bot" });
  await act("reconnect", { credential: "robot" });
  expect(await config()).toMatchObject({ credential: "robot" });
  expect(await log()).toMatchObject([
    { action: "reconnect", detail: "account bad" },
    { action: "reconnect", detail: "account bad", problem: "Bitbucket rejects the account" },
    { action: "reconnect", detail: "account robot" },
  ]);
});

test("dead letters of the workspace are listed and queued again", async () => {
  const { act, send, sessionOf } = await adminRig();
  const headers = await sessionOf(OLGA);
  expect((await send("/-/admin/acme", { headers })).text).toContain("acme/vault, push");
  await act("replay");
  expect((await send("/-/admin/acme", { headers })).text).not.toContain("Dead letters");
});

test("where the process may not do it, the page says what to use", async () => {
  const changed = { elsewhere: "Use npx nearside here." };
  const {
    send,
    sessionOf,
    answer: _,
  } = await pageRig({
    repositories: REPOSITORIES,
    callers: [OLGA],
    administration: () => ({ requests: { request: async () => undefined }, log: SILENT_LOGGER, ...changed }),
  });
  const headers = await sessionOf(OLGA);
  const { text } = await send("/-/admin/acme", { headers });
  expect(text.match(/Use npx nearside here/g)).toHaveLength(2);
  expect(text).not.toMatch(/\/pause"|\/remove"|\/replay"/);
  const refused = await send("/-/admin/acme/pause", {
    method: "POST",
    headers: { ...headers, ...SAME_ORIGIN },
  });
  expect(refused.text).toContain("this page may not do that. Use npx nearside here.");
});

test("what Bitbucket cannot be asked is said, and nothing is done", async () => {
  const caller = { ...OLGA };
  const { send, sessionOf } = await pageRig({
    repositories: REPOSITORIES,
    callers: [caller],
    administration: () => ({ requests: { request: async () => undefined }, log: SILENT_LOGGER }),
  });
  const headers = await sessionOf(caller);
  Object.defineProperty(caller, "administers", {
    get() {
      throw new UpstreamError("no answer", { retryable: true, status: 503 });
    },
  });
  expect(await send("/-/admin/acme", { headers })).toMatchObject({ status: 503 });
});
