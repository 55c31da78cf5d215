/** Which repositories pages show to whom, and what they cost. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { LIST_MS, OUTDATED_LIST_MS, PAGE_LENGTH } from "../../../lib/pages/visible-repositories.ts";
import { type RepositoryRecord, repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { requestFor } from "../../support/http-request.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

const RITA: RigCaller = { user: "rita@example.com", token: "rita-page-token", reads: ["vault"] };
const ROBOT: RigCaller = { user: "", token: "robot-page-token", reads: ["vault", "plans"] };
const STRANGER: RigCaller = { user: "stranger@example.com", token: "stranger-page-token", reads: [] };
/** Its username is one of git's, which REST does not take. */
const GIT_ONLY: RigCaller = { user: "gina", token: "gina-page-token", reads: ["plans"] };
const NO_SCOPE: RigCaller = { ...GIT_ONLY, user: "gina@example.com", listStatus: 403 };

const REPOSITORIES = [
  { slug: "site", isPrivate: false },
  { slug: "vault", isPrivate: true },
  { slug: "plans", isPrivate: true },
];

const rig = (callers: readonly RigCaller[] = []) => pageRig({ repositories: REPOSITORIES, callers });

const basic = (user: string, token: string) => `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`;

/** Names that a page shows. */
function shownIn(text: string): string[] {
  return [...text.matchAll(/data-repository="acme\/([^"]+)"/g)].map(([, slug = ""]) => slug).sort();
}

test.each([
  ["without sign-in", undefined, ["site"]],
  ["a reader of one", RITA, ["site", "vault"]],
  ["an access token", ROBOT, ["plans", "site", "vault"]],
  ["an account without rights", STRANGER, ["site"]],
  ["a member of other workspaces only", { ...STRANGER, listStatus: 404 }, ["site"]],
])("%s sees exactly its own, on the page and in the API", async (_, caller, expected) => {
  const { send, sessionOf } = await rig(caller ? [caller] : []);
  const headers = caller ? await sessionOf(caller) : {};
  const page = await send("/", { headers });
  expect(shownIn(page.text)).toEqual(expected);
  for (const { slug } of REPOSITORIES)
    expect([slug, page.text.includes(`acme/${slug}`)]).toEqual([slug, expected.includes(slug)]);
  const api = JSON.parse((await send("/-/api/v1/repositories", { headers })).text);
  expect(api.data.repositories.map(({ slug }: { slug: string }) => slug).sort()).toEqual(expected);
  const once = JSON.parse((await send("/-/events?once", { headers })).text);
  expect(once.repositories.map(({ name }: { name: string }) => name.slice(5)).sort()).toEqual(expected);
  for (const { slug } of REPOSITORIES) {
    const { status } = await send(`/acme/${slug}`, { headers: { ...headers, accept: "text/html,*/*" } });
    expect([slug, status]).toEqual([slug, expected.includes(slug) ? 200 : 404]);
  }
});

test("what one may not read and what is not there have the same page", async () => {
  const { send, sessionOf } = await rig([RITA]);
  for (const headers of [{}, await sessionOf(RITA)]) {
    const html = { ...headers, accept: "text/html" };
    const [hidden, absent] = [
      await send("/acme/plans", { headers: html }),
      await send("/acme/nothing", { headers: html }),
    ];
    expect(hidden).toMatchObject({ status: 404, text: absent.text });
    expect(hidden.headers).toEqual(absent.headers);
  }
});

test.each([
  ["a username of git's", GIT_ONLY],
  ["a token that may not list", NO_SCOPE],
])("%s gets public repositories, and opens others by name", async (_, caller) => {
  const { send, sessionOf } = await rig([caller]);
  const headers = await sessionOf(caller);
  const { text } = await send("/", { headers });
  expect(shownIn(text)).toEqual(["site"]);
  expect(text).toContain("Open a private one at /&lt;workspace&gt;/&lt;repository&gt;");
  for (const [slug, status] of [
    ["plans", 200],
    ["vault", 404],
  ] as const) {
    const page = await send(`/acme/${slug}`, { headers: { ...headers, accept: "text/html" } });
    expect([slug, page.status]).toEqual([slug, status]);
  }
});

test.each([
  ["an account without rights", STRANGER],
  ["a username of git's", GIT_ONLY],
  ["a token that may not list", NO_SCOPE],
])(
  "%s gets the same list, and asks Bitbucket the same, whether hidden names match or not",
  async (_, caller) => {
    const hidden = Array.from({ length: 2 * PAGE_LENGTH }, (_value, n) => ({
      slug: `merger-${n}`,
      isPrivate: true,
    }));
    const listAt = async (target: string, repositories: typeof hidden) => {
      const { send, sessionOf, questions } = await pageRig({
        repositories,
        callers: [{ ...caller, reads: [] }],
      });
      const headers = await sessionOf(caller);
      questions.length = 0;
      const { data } = JSON.parse((await send(`/-/api/v1/repositories${target}`, { headers })).text);
      return { data, questionCount: questions.length };
    };
    const none = await listAt("?search=absent", hidden.slice(0, 1));
    expect(none.data).toMatchObject({ repositories: [], totalCount: 0 });
    for (const target of [
      "",
      "?search=merger",
      "?search=merger-7",
      "?search=mergex",
      "?start=20",
      "?search=m&start=50",
    ])
      expect([target, await listAt(target, hidden)]).toEqual([target, none]);
  },
);

test("where anonymous access is off, only a credential that Bitbucket accepts sees public repositories", async () => {
  const { send, sessionOf } = await pageRig({
    repositories: REPOSITORIES,
    callers: [RITA],
    allowsAnonymous: false,
  });
  expect(shownIn((await send("/")).text)).toEqual([]);
  const wrong = `Basic ${Buffer.from("rita@example.com:wrong").toString("base64")}`;
  const api = await send("/-/api/v1/repositories", { headers: { authorization: wrong } });
  expect(api.status).toBe(401);
  expect(api.text).not.toContain("site");
  expect(shownIn((await send("/", { headers: await sessionOf(RITA) })).text)).toEqual(["site", "vault"]);
});

test("while Bitbucket's list is not to be had, public repositories are shown, with a line that says why", async () => {
  const { send, sessionOf, clock, lists } = await rig([{ ...RITA, listStatus: 503 }]);
  const headers = await sessionOf(RITA);
  const { text } = await send("/", { headers });
  expect(shownIn(text)).toEqual(["site"]);
  expect(text).toContain("Bitbucket could not be asked");
  await send("/", { headers });
  expect(lists).toHaveLength(1);
  clock.nowMs += 11_000;
  await send("/", { headers });
  expect(lists).toHaveLength(2);
});

test("rights that end at Bitbucket end on the page within five minutes", async () => {
  const reads = ["vault"];
  const { send, sessionOf, clock } = await rig([{ ...RITA, reads }]);
  const headers = await sessionOf(RITA);
  expect(shownIn((await send("/", { headers })).text)).toContain("vault");
  reads.length = 0;
  clock.nowMs += LIST_MS;
  expect(shownIn((await send("/", { headers })).text)).not.toContain("vault");
});

test("a page of 2,000 repositories reads 50 of them, and asks Bitbucket for one list in five minutes", async () => {
  const slugs = Array.from({ length: 2_000 }, (_, n) => `repo-${String(n).padStart(4, "0")}`);
  const repositories = slugs.map((slug) => ({ slug, isPrivate: true }));
  const caller = { ...RITA, reads: slugs };
  const { send, sessionOf, store, lists, questions, clock } = await pageRig({
    repositories,
    callers: [caller],
  });
  const headers = await sessionOf(caller);
  questions.length = 0;
  store.reset();
  const first = await send("/", { headers });
  expect(shownIn(first.text)).toHaveLength(PAGE_LENGTH);
  expect(first.text).toContain("1 to 50 of 2000 repositories");
  // A record and a manifest each; the index was read when the caller signed in.
  expect(store.counts().requests).toBe(2 * PAGE_LENGTH);
  clock.nowMs += 6_000;
  store.reset();
  const found = await send("/?search=REPO-19&start=50&part=list", { headers });
  expect(shownIn(found.text)).toEqual(slugs.slice(1950));
  expect(found.text).not.toContain("<html");
  expect(store.counts().requests).toBe(1 + 2 * PAGE_LENGTH);
  expect({ lists, questions }).toEqual({ lists: ["acme"], questions: ["repo-0000"] });
});

test("credentials that Bitbucket rejects are not used for lists, and drive out no list of others", async () => {
  const { send, sessionOf, lists } = await rig([RITA]);
  const headers = await sessionOf(RITA);
  await send("/", { headers });
  for (let n = 0; n < 600; n++) {
    const authorization = `Basic ${Buffer.from(`guess@example.com:${n}`).toString("base64")}`;
    const { status } = await send("/-/api/v1/repositories", { headers: { authorization } });
    expect(status).toBe(401);
  }
  await send("/", { headers });
  expect(lists).toEqual(["acme"]);
});

test("lists of 2,000 repositories for a hundred callers take less than 5 MB", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const slugs = Array.from({ length: 2_000 }, (_, n) => `repo-${n}`);
  const callers = Array.from({ length: 101 }, (_, n) => ({
    ...RITA,
    token: `page-token-${n}`,
    reads: slugs,
  }));
  const repositories = slugs.map((slug) => ({ slug, isPrivate: true }));
  const { send, lists } = await pageRig({ repositories, callers });
  const counts = async (some: typeof callers) => {
    for (const { user, token } of some) {
      const { text } = await send("/-/api/v1/repositories", {
        headers: { authorization: basic(user, token) },
      });
      expect(JSON.parse(text).data.totalCount).toBe(2_000);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const beforeBytes = await counts(callers.slice(0, 1));
  expect((await counts(callers.slice(1))) - beforeBytes).toBeLessThan(5_000_000);
  expect(lists).toHaveLength(101);
});

test("a repository that is mirrored after the list was read is shown a minute after it", async () => {
  const reads = ["vault", "later"];
  const { send, sessionOf, store, clock, lists, uuidOf } = await rig([{ ...RITA, reads }]);
  const headers = await sessionOf(RITA);
  expect(shownIn((await send("/", { headers })).text)).toEqual(["site", "vault"]);
  const at = "2026-11-25T11:59:48.000Z";
  const later = { slug: "later", isPrivate: true, updatedOn: at, seenAt: at, held: "mirrored" as const };
  await workspaceIndex(store, "acme").change((index) => ({
    repositories: { ...index?.repositories, [uuidOf("later")]: later },
  }));
  clock.nowMs += OUTDATED_LIST_MS;
  await send("/", { headers });
  expect(shownIn((await send("/", { headers })).text)).toEqual(["later", "site", "vault"]);
  expect(lists).toHaveLength(2);
});

test("concurrent pages share one list and one read of each repository", async () => {
  const { send, sessionOf, store, lists } = await rig([ROBOT]);
  const headers = await sessionOf(ROBOT);
  store.reset();
  await Promise.all(Array.from({ length: 8 }, () => send("/", { headers })));
  expect(lists).toHaveLength(1);
  expect(store.counts().requests).toBe(2 * REPOSITORIES.length);
});

test("a repository's page says in words why its last sync failed, and names nothing of the mirror", async () => {
  const { send, sessionOf, store, uuidOf } = await rig([RITA]);
  const uuid = uuidOf("vault");
  await nameRepository(store, uuid, { workspace: "acme", slug: "vault", isPrivate: true });
  await repositoryDocument(store, uuid).change((record) => ({
    ...(record as RepositoryRecord),
    state: "ERROR_AVAILABLE",
    failedSyncCount: 2,
    lastError: { at: "2026-11-25T11:00:00.000Z", code: "UPSTREAM", message: "secret of the account at /srv" },
  }));
  const headers = { ...(await sessionOf(RITA)), accept: "text/html" };
  const { text } = await send("/acme/vault", { headers });
  expect(text).toContain("Bitbucket did not answer");
  expect(text).not.toContain("/srv");
  const api = await send("/-/api/v1/repositories/acme/vault", { headers });
  expect(api.text).not.toContain("/srv");
  expect(JSON.parse(api.text).data.lastError).toMatchObject({ code: "UPSTREAM" });
});

test("a repository's page and the API show recent syncs, and lists do not", async () => {
  const { send, sessionOf, store, uuidOf } = await rig([RITA]);
  await nameRepository(store, uuidOf("vault"), { workspace: "acme", slug: "vault", isPrivate: true });
  const at = "2026-11-25T11:00:00.000Z";
  const pushed = { durationMs: 1_200, changedRefs: 2, objects: 7, receivedBytes: 5_400 };
  const recentSyncs = [
    { kind: "published", at, ...pushed } as const,
    { kind: "failed", at, code: "UPSTREAM", tries: 4 } as const,
  ];
  await repositoryDocument(store, uuidOf("vault")).change((record) => ({
    ...(record as RepositoryRecord),
    recentSyncs,
  }));
  const headers = { ...(await sessionOf(RITA)), accept: "text/html" };
  const { text } = await send("/acme/vault", { headers });
  expect(text).toMatch(/2 refs, 7 objects[\s\S]*5\.4 kB[\s\S]*1\.2 s/);
  expect(text).toContain("Failed 4 times. Bitbucket did not answer");
  expect(text.match(/<rect /g)).toHaveLength(2);
  const one = await send("/-/api/v1/repositories/acme/vault", { headers });
  expect(JSON.parse(one.text).data.recentSyncs).toEqual(recentSyncs);
  const list = await send("/-/api/v1/repositories", { headers });
  expect(list.text).not.toContain("recentSyncs");
  // One that has never been synchronized has no such part.
  expect((await send("/acme/site", { headers })).text).not.toContain("Recent syncs");
});

test("paths without HTML, and git's, are left to git", async () => {
  const { answer } = await rig();
  for (const [target, accept] of [
    ["/acme/site", "*/*"],
    ["/acme/site.git/info/refs?service=git-upload-pack", "text/html"],
    ["/-/repositories/acme/site/status", "text/html"],
    ["/-/webhooks/acme", "text/html"],
    ["/-/health", "text/html"],
  ] as const)
    expect([target, await answer(requestFor(target, { headers: { accept } }))]).toEqual([target, undefined]);
});
