import { expect, test } from "vitest";
import {
  type BitbucketAccount,
  gitAuthorization,
  parseAccount,
  restAuthorization,
} from "../../../lib/bitbucket/credential.ts";
import { SecondCredentials } from "../../../lib/bitbucket/second-credential.ts";
import { tokenExpiry } from "../../../lib/bitbucket/token-expiry.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";

const FIRST = { email: "bot@example.com", token: "first" };
const SECOND = { token: "second" };
const ADDRESS = "https://api.bitbucket.example/2.0/repositories/acme";
const MINUTE_MS = 60_000;

const account = parsed([FIRST, SECOND]);
const first = { rest: restAuthorization(account), git: gitAuthorization(account) };
const second = "Bearer second";

function parsed(json: unknown): BitbucketAccount {
  const found = parseAccount(JSON.stringify(json));
  if (found === undefined) throw new Error("no account");
  return found;
}

/** @param statusOf - What Bitbucket answers to a header. */
function tried(statusOf: (authorization: string) => number) {
  const sent: string[] = [];
  const bodies: unknown[] = [];
  const lines: unknown[][] = [];
  let nowMs = 1_000;
  const log = { ...SILENT_LOGGER, warn: (...line: unknown[]) => void lines.push(line) };
  const credentials = new SecondCredentials({ pauseMs: 0, nowMs: () => nowMs });
  const fetch = credentials.fetchFor(
    account,
    async (_input, init) => {
      const authorization = new Headers(init?.headers).get("authorization") ?? "";
      sent.push(authorization);
      bodies.push(init?.body);
      return new Response("answer", { status: statusOf(authorization) });
    },
    log,
  );
  return {
    ...{ sent, bodies, lines },
    pass: (milliseconds: number) => (nowMs += milliseconds),
    async ask(authorization = first.rest ?? "", body: string | null = null) {
      const { status } = await fetch(ADDRESS, { method: "POST", headers: { authorization }, body });
      return { status, sent: sent.splice(0) };
    },
  };
}

test("a secret holds one credential, or two", () => {
  expect(parsed([FIRST, SECOND])).toEqual({
    ...parsed(FIRST),
    second: { kind: "access-token", token: "second" },
  });
  for (const json of [[], [FIRST], [FIRST, SECOND, SECOND], [FIRST, "second"], [FIRST, [SECOND]]])
    expect([json, parseAccount(JSON.stringify(json))]).toEqual([json, undefined]);
});

test("a rejection that lasts is answered by the second credential, which is then used alone for ten minutes", async () => {
  const { ask, lines, pass, bodies } = tried((authorization) => (authorization === second ? 200 : 401));
  const { rest = "" } = first;
  expect(await ask(rest, "question")).toEqual({ status: 200, sent: [rest, rest, second] });
  expect(new Set(bodies)).toEqual(new Set(["question"]));
  for (let count = 0; count < 5; count++) expect(await ask()).toEqual({ status: 200, sent: [second] });
  const line = ["account:second-credential", { path: "/2.0/repositories/acme" }, { TokensEnding: 1 }];
  expect(lines).toEqual([line]);
  pass(10 * MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: [rest, rest, second] });
  expect(lines).toEqual([line, line]);
  // As at git's server, which takes the same tokens under other names.
  const gitSecond = `Basic ${btoa("x-token-auth:second")}`;
  expect((await ask(first.git)).sent).toEqual([first.git, first.git, gitSecond]);
});

test("one rejection of a valid token changes nothing, nor does any other answer", async () => {
  const statuses = [401, 200, 403, 404, 429, 500];
  const { ask, lines } = tried(() => statuses.shift() ?? 200);
  const { rest } = first;
  expect(await ask()).toEqual({ status: 200, sent: [rest, rest] });
  for (const status of [403, 404, 429, 500, 200]) expect(await ask()).toEqual({ status, sent: [rest] });
  expect(lines).toEqual([]);
});

test("while both are rejected, each request is one request, and the second is tried again after a minute", async () => {
  let isSecondValid = false;
  const { ask, lines, pass } = tried((authorization) =>
    authorization === second && isSecondValid ? 200 : 401,
  );
  const { rest } = first;
  expect(await ask()).toEqual({ status: 401, sent: [rest, rest, second] });
  for (let count = 0; count < 5; count++) expect(await ask()).toEqual({ status: 401, sent: [rest] });
  isSecondValid = true;
  pass(MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: [rest, rest, second] });
  expect(lines).toHaveLength(1);
});

test("requests without the account's credential, and accounts with one, are sent as they are", async () => {
  const { ask } = tried(() => 401);
  expect(await ask("Bearer of-a-storage")).toEqual({ status: 401, sent: ["Bearer of-a-storage"] });
  const credentials = new SecondCredentials();
  for (const one of [parsed(FIRST), { kind: "none" } as const])
    expect(credentials.fetchFor(one, fetch)).toBe(fetch);
});

test("the alarm of a token's end waits for the one that lasts longer", () => {
  const nowMs = Date.parse("2026-11-30");
  const ends = (...expires: (string | undefined)[]) =>
    tokenExpiry(
      parsed(expires.map((date) => ({ ...SECOND, ...(date !== undefined && { expires: date }) }))),
      nowMs,
    )?.expires;
  expect(ends("2026-12-01", "2027-11-30")).toBe("2027-11-30");
  expect(ends("2027-11-30", "2026-12-01")).toBe("2027-11-30");
  expect(ends("2026-12-01", "soon")).toBe("2026-12-01");
  expect(ends(undefined, "2026-12-01")).toBeUndefined();
  expect(ends("2026-12-01", undefined)).toBeUndefined();
});

test("when the second one ends meanwhile, the first is tried again", async () => {
  let rejected = [first.rest];
  const { ask } = tried((authorization) => (rejected.includes(authorization) ? 401 : 200));
  const { rest = "" } = first;
  expect(await ask()).toEqual({ status: 200, sent: [rest, rest, second] });
  rejected = [second];
  expect(await ask()).toEqual({ status: 200, sent: [second, rest] });
  expect(await ask()).toEqual({ status: 200, sent: [rest] });
});
