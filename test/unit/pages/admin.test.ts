/** Pages for administrators: who gets them, what they do, and what is logged. */
import { expect, test } from "vitest";
import { UpstreamError, VersionConflictError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { failed, firstRecord, markFailure } from "../../../lib/mirror/repository-state.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { ADMINISTRATOR_MS } from "../../../lib/pages/administrators.ts";
import { workspaceIndexKey } from "../../../lib/repo/layout.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { adminRig, GIT_ONLY, OLGA, OTHER, REPOSITORIES, RITA, SAME_ORIGIN } from "../../support/admin-rig.ts";
import { stableUuid } from "../../support/fake-bitbucket/catalogue.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

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
  expect(text).not.toContain('/-/admin/elsewhere"');
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
    administration: () => ({
      canConnect: false,
      requests: { request: async () => undefined },
      log: SILENT_LOGGER,
    }),
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
  // The form has no such field: the data is deleted after the time that was configured.
  await act("remove", { confirm: "ACME", retentionDays: "0" });
  expect(await config()).toMatchObject({ removedAt: "2026-11-25T12:00:00.000Z", retentionDays: 30 });
  await act("restore");
  expect((await config())?.removedAt).toBeUndefined();
  const at = "2026-11-25T12:00:00.000Z";
  const who = "olga@example.com";
  expect(await log()).toEqual([
    { at, who, action: "pause" },
    { at, who, action: "resume" },
    { at, who, action: "remove" },
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
  const { act, send, sessionOf, config, lists, log } = await adminRig();
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
  for (const projects of ["<script>", "A\u202eB", "A\u001b[2J", "A".repeat(3_000)])
    expect(await act("select", { projects })).toMatchObject({ status: 400 });
  // Else an empty form would deselect all.
  expect(await act("select", {})).toMatchObject({ status: 400 });
  expect(await log()).toMatchObject([{ action: "select" }]);
});

test.each([
  [401, 403, "read:repository:bitbucket"],
  [403, 403, "read:repository:bitbucket"],
  [404, 403, "Bitbucket shows no workspace acme"],
  [429, 503, "could not be asked"],
  [500, 503, "could not be asked"],
])("a preview whose list Bitbucket answers with %i: %i, %s", async (listStatus, status, text) => {
  const caller = { ...OLGA, listStatus };
  const { send, sessionOf } = await adminRig({ callers: [caller] });
  const page = await send("/-/admin/acme/select?projects=all", { headers: await sessionOf(caller) });
  expect(page).toMatchObject({ status, text: expect.stringContaining(text) });
  expect(page.headers["content-type"]).toContain("text/html");
});

test("writers that were first are named as the reason, and anything else that fails is logged as failed", async () => {
  let error: Error = new VersionConflictError("config.json changed");
  const { act, log } = await adminRig({ change: () => Promise.reject(error) });
  const refused = await act("pause");
  expect(refused).toMatchObject({ status: 409, text: expect.stringContaining("others changed the same") });
  error = new Error("the disk is full");
  await expect(act("resume")).rejects.toThrow(error);
  expect(await log()).toMatchObject([
    { action: "pause" },
    { action: "pause", problem: expect.stringContaining("others changed the same") },
    { action: "resume" },
    { action: "resume", problem: "an error of the mirror" },
  ]);
});

test("an administrator has 30 actions a minute, and many of one leave the log of others", async () => {
  const { act, jobs, log, clock, sessionOf } = await adminRig();
  // One session: signing in has a limit of its own.
  const headers = { ...SAME_ORIGIN, ...(await sessionOf(OLGA)) };
  await act("pause", {}, headers);
  for (let n = 0; n < 29; n++) await act("sync", {}, headers);
  const refused = await act("sync", {}, headers);
  expect(refused).toMatchObject({ status: 429, text: expect.stringContaining("60 seconds") });
  expect(jobs).toHaveLength(29);
  for (let minute = 0; minute < 2; minute++) {
    clock.nowMs += 60_001;
    for (let n = 0; n < 30; n++) await act("sync", {}, headers);
  }
  expect(jobs).toHaveLength(89);
  const actions = (await log()).map(({ action }) => action);
  expect(actions).toEqual(["pause", ...Array.from({ length: 50 }, () => "sync")]);
});

test("who has taken the name of a workspace at Bitbucket is not its administrator here", async () => {
  const uuidOf = (name: string) => stableUuid("workspace", name);
  const owner = { ...OLGA, workspaceUuid: uuidOf("acme") };
  const taker = { ...OLGA, user: "taker@example.com", token: "taker", workspaceUuid: uuidOf("taken") };
  const unknown = { ...OLGA, user: "no@example.com", token: "no-uuid", workspaceUuid: undefined };
  const { store, send, sessionOf, act, config } = await adminRig({ callers: [owner, taker, unknown] });
  const statusOf = async (caller: RigCaller) =>
    (await send("/-/admin/acme", { headers: await sessionOf(caller) })).status;
  expect([await statusOf(owner), await statusOf(taker), await statusOf(unknown)]).toEqual([200, 403, 403]);
  expect((await act("pause", {}, { ...SAME_ORIGIN, ...(await sessionOf(taker)) })).status).toBe(403);
  expect(await config()).toMatchObject({ disabled: false });
  // A list of a release that noted no uuid.
  await workspaceIndex(store, "acme").change((index) => index && { ...index, workspaceUuid: undefined });
  expect([await statusOf(taker), await statusOf(owner)]).toEqual([403, 403]);
  const { version } = await store.read(workspaceIndexKey("acme"));
  await store.write(workspaceIndexKey("acme"), Buffer.from("{"), { ifVersion: version });
  expect([await statusOf(taker), await statusOf(owner)]).toEqual([403, 403]);
});

test("dead letters of the workspace are listed and queued again", async () => {
  const { act, send, sessionOf } = await adminRig();
  const headers = await sessionOf(OLGA);
  expect((await send("/-/admin/acme", { headers })).text).toContain("acme/vault, push");
  await act("replay");
  expect((await send("/-/admin/acme", { headers })).text).not.toContain("Dead letters");
  const nothing = await act("replay");
  expect([nothing.status, nothing.text]).toEqual([
    409,
    expect.stringContaining("those of others are before it"),
  ]);
});

test("metrics that cannot be read are no charts, and the page has the rest", async () => {
  const lines: string[] = [];
  const { send, sessionOf } = await pageRig({
    repositories: REPOSITORIES,
    callers: [OLGA],
    administration: () => ({
      canConnect: false,
      requests: { request: async () => undefined },
      history: () => Promise.reject(new Error("AccessDeniedException")),
      log: { ...SILENT_LOGGER, warn: (event: string) => void lines.push(event) },
    }),
  });
  const { status, text } = await send("/-/admin", { headers: await sessionOf(OLGA) });
  expect([status, text]).toEqual([200, expect.stringContaining("could not be read just now")]);
  expect(text).toContain('href="/-/admin/acme"');
  expect(lines).toEqual(["admin:metrics-failed"]);
});

test("what Bitbucket cannot be asked is said, and nothing is done", async () => {
  const caller = { ...OLGA };
  const { send, sessionOf } = await pageRig({
    repositories: REPOSITORIES,
    callers: [caller],
    administration: () => ({
      canConnect: false,
      requests: { request: async () => undefined },
      log: SILENT_LOGGER,
    }),
  });
  const headers = await sessionOf(caller);
  Object.defineProperty(caller, "administers", {
    get() {
      throw new UpstreamError("no answer", { retryable: true, status: 503 });
    },
  });
  expect(await send("/-/admin/acme", { headers })).toMatchObject({ status: 503 });
});
