/** What keeps pages safe: sessions, forms, escaping, headers. */
import { gunzipSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import { Sessions } from "../../../lib/pages/sessions.ts";
import { collect } from "../../support/byte-chunks.ts";
import { requestFor } from "../../support/http-request.ts";
import { cookieOf, pageRig, type RigCaller } from "../../support/page-rig.ts";

const RITA: RigCaller = { user: "rita@example.com", token: "rita-page-token", reads: ["vault"] };
const REPOSITORIES = [{ slug: "vault", isPrivate: true }];
const rig = (sessionSecret?: string) =>
  pageRig({ repositories: REPOSITORIES, callers: [RITA], ...(sessionSecret && { sessionSecret }) });
const HOUR_MS = 3_600_000;

test("a session's cookie is encrypted, and for this server's pages only", async () => {
  const { signIn } = await rig();
  const plain = await signIn(RITA.user, RITA.token);
  expect(plain).toMatchObject({ status: 303, headers: { location: "/" } });
  const cookie = plain.headers["set-cookie"] ?? "";
  expect(cookie).toMatch(/^nearside=[\w-]+; Max-Age=3600; Path=\/; HttpOnly; SameSite=Strict$/);
  const bytes = Buffer.from(cookieOf(plain).split("=")[1] ?? "", "base64url").toString("latin1");
  expect(bytes).not.toMatch(/rita/);
  const tls = await signIn(RITA.user, RITA.token, { "x-forwarded-proto": "https" });
  expect(tls.headers["set-cookie"]).toMatch(/^__Host-nearside=[\w-]+; .*; SameSite=Strict; Secure$/);
});

test("a session ends after an hour, by signing out, and where another secret counts", async () => {
  const { send, sessionOf, clock } = await rig();
  const headers = await sessionOf(RITA);
  clock.nowMs += HOUR_MS - 1;
  expect((await send("/", { headers })).text).toContain("acme/vault");
  clock.nowMs += 1;
  const ended = await send("/", { headers });
  expect(ended).toMatchObject({ status: 401 });
  expect(ended.text).toContain("Your session has ended");
  expect(ended.headers["set-cookie"]).toContain("Max-Age=0");

  const out = await send("/-/sign-out", { method: "POST", headers: { "sec-fetch-site": "same-origin" } });
  expect(out.headers["set-cookie"]).toMatch(/^nearside=; Max-Age=0/);
  const headersOfRita = await sessionOf(RITA);
  const [same, other] = [await rig(), await rig("another secret")];
  expect(await same.send("/", { headers: headersOfRita })).toMatchObject({ status: 200 });
  expect(await other.send("/", { headers: headersOfRita })).toMatchObject({ status: 401 });
});

test("a new key each hour; the one before opens what it sealed", () => {
  let nowMs = 0;
  const sessions = new Sessions("secret", () => nowMs);
  sessions.seal("", "first");
  nowMs = HOUR_MS - 1;
  const last = sessions.seal("", "last of the first key");
  nowMs += 2;
  const next = sessions.seal("", "of the second key");
  nowMs += HOUR_MS - 3;
  expect(sessions.open(last)?.token).toBe("last of the first key");
  expect(sessions.open(next)?.token).toBe("of the second key");
  nowMs += 1;
  expect(sessions.open(last)).toBeUndefined();
});

test("while the secret is replaced, sessions of the old and of the new one open", () => {
  const [old, next] = ["o".repeat(32), "n".repeat(32)];
  const sessions = { old: new Sessions(old), both: new Sessions(`${next},${old}`), next: new Sessions(next) };
  const before = sessions.old.seal("", "before");
  const during = sessions.both.seal("", "during");
  expect([before, during].map((cookie) => sessions.both.open(cookie)?.token)).toEqual(["before", "during"]);
  expect([before, during].map((cookie) => sessions.next.open(cookie)?.token)).toEqual([undefined, "during"]);
  expect(sessions.old.open(during)).toBeUndefined();
});

test("a changed cookie is no session", () => {
  const sessions = new Sessions("secret");
  const bytes = Buffer.from(sessions.seal("rita", "token"), "base64url");
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(sessions.open(changed.toString("base64url"))).toBeUndefined();
  }
  for (const text of ["", "x", bytes.subarray(0, 20).toString("base64url"), "€", "a".repeat(5_000)])
    expect(sessions.open(text)).toBeUndefined();
});

test.each([
  [{ "sec-fetch-site": "cross-site" }],
  [{ "sec-fetch-site": "same-site", origin: "http://mirror.example" }],
  [{ origin: "http://evil.example" }],
  [{ origin: "null" }],
  [{}],
])("a form of another site, %j, begins and ends no session", async (headers) => {
  const { send } = await rig();
  const body = Buffer.from("user=rita@example.com&token=rita-page-token");
  const into = await send("/-/sign-in", { method: "POST", headers, body });
  expect(into.status).toBe(403);
  expect(into.headers["set-cookie"]).toBeUndefined();
  const out = await send("/-/sign-out", { method: "POST", headers });
  expect(out.headers["set-cookie"]).toBeUndefined();
});

test("a browser without fetch metadata signs in by its Origin", async () => {
  const { send } = await rig();
  const headers = { origin: "http://mirror.example" };
  const body = Buffer.from("user=rita@example.com&token=rita-page-token");
  expect(await send("/-/sign-in", { method: "POST", headers, body })).toMatchObject({ status: 303 });
});

test("forms that never end keep no page from others, and are refused after ten seconds", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  try {
    const { answer, send } = await rig();
    const body = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
    const form = requestFor("/-/sign-in", {
      method: "POST",
      headers: { host: "mirror.example", "sec-fetch-site": "same-origin" },
    });
    const forms = Array.from({ length: 100 }, (_, n) =>
      answer({ ...form, body, remoteAddress: `192.0.2.${n % 2 === 0 ? 7 : n}` }).catch((error) => error),
    );
    expect(await send("/")).toMatchObject({ status: 200 });
    await vi.advanceTimersByTimeAsync(10_000);
    for (const refused of await Promise.all(forms)) expect(refused).toMatchObject({ status: 408 });
  } finally {
    vi.useRealTimers();
  }
});

test.each([
  ["wrong", 401, "Bitbucket did not accept this credential"],
  ["", 400, "Enter a token"],
  ["line\nbreak", 400, "not a token"],
  ["x".repeat(3_000), 400, "too long"],
])("the token %j is refused in words, and not repeated", async (token, status, words) => {
  const { signIn } = await rig();
  const answer = await signIn(`"><script>alert(1)</script>`, token);
  expect(answer.status).toBe(status);
  expect(answer.text).toContain(words);
  expect(answer.headers["set-cookie"]).toBeUndefined();
  expect(answer.text).not.toContain("<script>alert");
  if (token.length > 2) expect(answer.text).not.toContain(`>${token}`);
});

test("text of callers is escaped", async () => {
  const { send } = await rig();
  const { text } = await send(`/?search=${encodeURIComponent(`"><img src=x onerror=alert(1)>'`)}`);
  expect(text).not.toContain("<img");
  expect(text).toContain("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&#39;");
});

test("pages have no script or style of their own, and a policy that would refuse one", async () => {
  const { send, sessionOf } = await rig();
  const headers = { ...(await sessionOf(RITA)), accept: "text/html" };
  for (const target of ["/", "/acme/vault", "/acme/nothing", "/-/sign-in"]) {
    const page = await send(target, { headers });
    expect(page.headers["content-security-policy"]).toContain(
      "default-src 'none'; script-src 'self'; style-src 'self'",
    );
    expect(page.headers["cache-control"]).toBe("no-store");
    expect(page.text).not.toMatch(/<script(?![^>]* src="\/-\/page)|<style| style=| on[a-z]+=|javascript:/);
    expect(page.text).not.toMatch(/(?:src|href)="https?:/);
  }
});

test("the first page, its style and script are below 60 kB when compressed", async () => {
  const slugs = Array.from({ length: 50 }, (_, n) => `a-repository-with-a-long-name-${n}`);
  const { answer } = await pageRig({ repositories: slugs.map((slug) => ({ slug, isPrivate: false })) });
  let bytes = 0;
  for (const target of ["/", "/-/page.css", "/-/page.js"]) {
    const response = await answer(requestFor(target, { headers: { "accept-encoding": "br, gzip" } }));
    expect(response?.headers["content-encoding"]).toBe("gzip");
    const body = await collect(response?.body ?? []);
    expect(gunzipSync(body).length).toBeGreaterThan(body.length);
    bytes += body.length;
  }
  expect(bytes).toBeLessThan(60_000);
});

test("an event stream says what changes, for as long as it is read", async () => {
  const { answer } = await pageRig({ repositories: [{ slug: "site", isPrivate: false }] });
  const response = await answer(requestFor("/-/events"));
  expect(response?.headers["content-type"]).toBe("text/event-stream");
  let text = "";
  for await (const chunk of response?.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (text.split("event: states").length > 3) break;
  }
  expect(text).toContain('"name":"acme/site","state":"NOT_MIRRORED"');
});

test("pages that stay open read a repository every 15 seconds, all together", async () => {
  const { answer, store, clock } = await pageRig({ repositories: [{ slug: "site", isPrivate: false }] });
  const streams = await Promise.all(
    ["/-/events", "/-/events?search=site", "/-/events?repository=acme/site"].map(async (target) =>
      (await answer(requestFor(target)))?.body[Symbol.asyncIterator](),
    ),
  );
  for (const stream of streams) await stream?.next();
  clock.nowMs += 2_500;
  store.reset();
  const counts: number[] = [];
  for (let n = 0; n < 4; n++) {
    for (const stream of streams)
      expect(Buffer.from((await stream?.next())?.value ?? []).toString()).toContain("site");
    counts.push(store.counts().requests);
    clock.nowMs += 5_000;
  }
  expect(counts).toEqual([0, 0, 0, 2]);
  for (const stream of streams) await stream?.return?.();
});
