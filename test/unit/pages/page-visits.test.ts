/** Pages for programs and open tabs: git's credential by header, polling, and recipes that show no token. */
import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { requestFor } from "../../support/http-request.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

const OLGA: RigCaller = {
  ...{ user: "olga@example.com", token: "olga-page-token", reads: ["vault"] },
  administers: ["acme"],
};
const REPOSITORIES = [
  { slug: "site", isPrivate: false },
  { slug: "vault", isPrivate: true },
];

const rig = (hangingSlug?: string) =>
  pageRig({
    ...(hangingSlug !== undefined && { hangingSlug }),
    repositories: REPOSITORIES,
    callers: [OLGA],
    administration: () => ({
      canConnect: true,
      requests: { request: async () => undefined },
      log: SILENT_LOGGER,
    }),
  });

const basic = (token: string) => ({
  authorization: `Basic ${Buffer.from(`${OLGA.user}:${token}`).toString("base64")}`,
});

test("pages take git's credential by Basic; a session counts before it", async () => {
  const { send, sessionOf } = await rig();
  const { text } = await send("/", { headers: basic(OLGA.token) });
  expect(text).toContain("acme/vault");
  expect(text).toContain(OLGA.user);
  expect(text).not.toContain("Sign out");
  const html = { accept: "text/html" };
  expect((await send("/acme/vault", { headers: { ...basic(OLGA.token), ...html } })).status).toBe(200);
  expect((await send("/acme/vault", { headers: { ...basic("wrong"), ...html } })).status).toBe(404);
  const wrong = await send("/", { headers: basic("wrong") });
  expect(wrong.text).not.toContain("acme/vault");
  const both = await send("/", { headers: { ...(await sessionOf(OLGA)), ...basic("wrong") } });
  expect(both.text).toContain("acme/vault");
});

test("administrators have a session: a browser sends a remembered header by itself", async () => {
  const { send } = await rig();
  const headers = { ...basic(OLGA.token), "sec-fetch-site": "same-origin" };
  for (const method of ["GET", "POST"]) {
    const answer = await send("/-/admin/acme/sync", { method, headers });
    expect(answer).toMatchObject({ status: 303, headers: { location: "/-/sign-in" } });
  }
});

test("a tab that polls gets 304 until something changes", async () => {
  const { send, store, uuidOf, clock } = await rig();
  const first = await send("/-/events?once");
  const etag = first.headers["etag"] ?? "";
  expect(first.headers["cache-control"]).toBe("private, no-cache");
  clock.nowMs += 10_000;
  const same = await send("/-/events?once", { headers: { "if-none-match": etag } });
  expect(same).toMatchObject({ status: 304, text: "" });
  await nameRepository(store, uuidOf("site"), { workspace: "acme", slug: "site", isPrivate: false });
  clock.nowMs += 20_000;
  const changed = await send("/-/events?once", { headers: { "if-none-match": etag } });
  expect(changed.status).toBe(200);
  expect(JSON.parse(changed.text).repositories).toMatchObject([{ name: "acme/site", state: "AVAILABLE" }]);
});

test("no recipe for CI has a token in an address or on a command line", async () => {
  const { send } = await rig();
  const { text } = await send("/acme/site", { headers: { accept: "text/html" } });
  expect(text).toContain("password=$MIRROR_TOKEN");
  expect(text).not.toMatch(/:\/\/[^\s"<]*@/);
  // Within single quotes the shell that runs git does not put the token in.
  for (const [line] of text.matchAll(/.*\$MIRROR_TOKEN.*/g))
    expect(line).toMatch(/GIT_CONFIG_VALUE_0=&#39;!f\(\) \{[^']*\$MIRROR_TOKEN[^']*\}; f&#39;/);
});

test("pages whose questions Bitbucket leaves unanswered keep no place from others", async () => {
  const { answer, questions } = await rig("hangs");
  const ask = (path: string, at: number) =>
    answer({
      ...requestFor(path, { headers: { host: "mirror.example", accept: "text/html", ...basic(OLGA.token) } }),
      remoteAddress: `192.0.2.${at}`,
    });
  for (let number = 0; number < 200; number++) void ask("/acme/hangs", number % 4);
  await expect.poll(() => questions.length).toBe(200);
  expect([(await ask("/", 9))?.status, (await ask("/acme/vault", 1))?.status]).toEqual([200, 200]);
});
