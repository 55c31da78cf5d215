import { expect, test, vi } from "vitest";
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
const QUESTION = "https://api.bitbucket.example/2.0/repositories/acme?pagelen=10&fields=values.uuid";
const MINUTE_MS = 60_000;

const account = parsed([FIRST, SECOND]);
const rest = restAuthorization(account) ?? "";
const git = gitAuthorization(account) ?? "";
const NAMES: Record<string, string> = {
  [rest]: "first",
  [git]: "git first",
  "Bearer second": "second",
  [`Basic ${btoa("x-token-auth:second")}`]: "git second",
};

function parsed(json: unknown): BitbucketAccount {
  const found = parseAccount(JSON.stringify(json));
  if (found === undefined) throw new Error("no account");
  return found;
}

interface Answers {
  /** Of a path, by credential; 200 where absent. */
  readonly path?: (authorization: string, path: string) => number;
  /** Of the question about a credential: as of a path where absent. */
  readonly question?: (authorization: string) => number | Promise<number>;
}

function tried({ path = () => 200, question = (authorization) => path(authorization, "") }: Answers) {
  const kept: unknown[][] = [];
  const sent: string[] = [];
  const bodies: unknown[] = [];
  const lines: unknown[][] = [];
  let nowMs = 1_000;
  const write = (...line: unknown[]) => void lines.push(line);
  const credentials = new SecondCredentials({ pauseMs: 0, nowMs: () => nowMs });
  const fetch = credentials.fetchFor({
    account,
    questionUrl: QUESTION,
    log: { ...SILENT_LOGGER, warn: write, info: write, debug: (...line) => void kept.push(line) },
    fetch: async (input, init) => {
      const authorization = new Headers(init?.headers).get("authorization") ?? "";
      const isQuestion = input === QUESTION;
      sent.push(`${isQuestion ? "? " : ""}${NAMES[authorization] ?? authorization}`);
      if (!isQuestion) bodies.push(init?.body);
      const status = isQuestion
        ? await question(authorization)
        : path(authorization, new URL(String(input)).pathname);
      init?.signal?.throwIfAborted();
      return new Response("answer", { status });
    },
  });
  return {
    ...{ sent, bodies, lines, kept },
    pass: (milliseconds: number) => (nowMs += milliseconds),
    async ask({ authorization = rest, body, address = ADDRESS, signal }: Asked = {}) {
      const init = { method: "POST", headers: { authorization }, body: body ?? null, signal: signal ?? null };
      const { status } = await fetch(address, init);
      // A question that nothing waits for is sent at once.
      return { status, sent: sent.splice(0) };
    },
  };
}

interface Asked {
  readonly authorization?: string;
  readonly body?: string;
  readonly address?: string;
  readonly signal?: AbortSignal;
}

const rejects =
  (...rejected: string[]) =>
  (authorization: string) =>
    rejected.includes(NAMES[authorization] ?? "") ? 401 : 200;
const firstRejected = rejects("first", "git first");
const switched = ["account:second-credential", { path: "/2.0/repositories/acme" }, { TokensEnding: 1 }];

test("a secret holds one credential, or two", () => {
  expect(parsed([FIRST, SECOND])).toEqual({
    ...parsed(FIRST),
    second: { kind: "access-token", token: "second" },
  });
  for (const json of [[], [FIRST], [FIRST, SECOND, SECOND], [FIRST, "second"], [FIRST, [SECOND]]])
    expect([json, parseAccount(JSON.stringify(json))]).toEqual([json, undefined]);
});

test("a credential that Bitbucket rejects is replaced by the second, for all requests and for ten minutes", async () => {
  const { ask, lines, pass, bodies, sent } = tried({ path: firstRejected });
  const questions = ["? first", "? first", "? second"];
  expect(await ask({ body: "asked" })).toEqual({ status: 200, sent: ["first", ...questions, "second"] });
  expect(bodies).toEqual(["asked", "asked"]);
  for (let count = 0; count < 5; count++) expect(await ask()).toEqual({ status: 200, sent: ["second"] });
  // As at git's server, which takes the same tokens under other names.
  expect(await ask({ authorization: git })).toEqual({ status: 200, sent: ["git second"] });
  pass(10 * MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: ["? first", "second"] });
  await vi.waitFor(() => expect(sent).toEqual(["? first", "? second"]));
  expect(lines).toEqual([switched]);
});

test("a hundred requests at once share the questions, and the switch is one line", async () => {
  const { ask, lines, sent } = tried({ path: firstRejected });
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask()));
  expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200));
  const all = [...answers.flatMap((answer) => answer.sent), ...sent];
  expect(Object.groupBy(all, (name) => name)).toEqual({
    first: Array(100).fill("first"),
    second: Array(100).fill("second"),
    "? first": ["? first", "? first"],
    "? second": ["? second"],
  });
  expect(lines).toEqual([switched]);
});

test("a path that is rejected, while Bitbucket accepts the credential, changes nothing", async () => {
  const { ask, lines, pass } = tried({
    path: (_authorization, path) => (path.endsWith("/secret") ? 401 : 200),
    question: () => 200,
  });
  const address = `${ADDRESS}/secret`;
  expect(await ask({ address })).toEqual({ status: 401, sent: ["first", "? first", "first"] });
  expect(await ask()).toEqual({ status: 200, sent: ["first"] });
  for (let count = 0; count < 5; count++)
    expect(await ask({ address })).toEqual({ status: 401, sent: ["first", "first"] });
  pass(MINUTE_MS + 1);
  expect((await ask({ address })).sent).toEqual(["first", "? first", "first"]);
  expect(lines).toEqual([]);
});

test("one rejection of a valid token is repeated, and no other answer is", async () => {
  const statuses = [401, 200, 403, 404, 429, 500];
  const { ask, lines } = tried({ path: () => statuses.shift() ?? 200, question: () => 200 });
  expect(await ask()).toEqual({ status: 200, sent: ["first", "? first", "first"] });
  for (const status of [403, 404, 429, 500, 200]) expect(await ask()).toEqual({ status, sent: ["first"] });
  expect(lines).toEqual([]);
});

test("one rejection of the question is no evidence either", async () => {
  const questions = [401, 200];
  const { ask, lines } = tried({ path: () => 401, question: () => questions.shift() ?? 500 });
  expect((await ask()).sent).toEqual(["first", "? first", "? first", "first"]);
  expect(lines).toEqual([]);
});

test.each([429, 500, "broken"] as const)(
  "a question without an answer (%s) changes nothing, and is asked again after five seconds",
  async (failure) => {
    const question = () => (failure === "broken" ? Promise.reject(new Error("broken")) : failure);
    const { ask, lines, pass } = tried({ path: firstRejected, question });
    expect(await ask()).toEqual({ status: 401, sent: ["first", "? first"] });
    expect(await ask()).toEqual({ status: 401, sent: ["first"] });
    pass(5_001);
    expect((await ask()).sent).toEqual(["first", "? first"]);
    expect(lines).toEqual([]);
  },
);

test("over six hours the metric is written every ten minutes, and the line once", async () => {
  const { ask, lines, kept, pass } = tried({ path: firstRejected });
  for (let minutes = 0; minutes < 360; minutes++) {
    await ask();
    await new Promise(setImmediate);
    await vi.waitFor(() => expect(kept.length).toBe(Math.floor(minutes / 10)));
    pass(MINUTE_MS);
  }
  expect(lines).toEqual([switched]);
  expect(kept).toEqual(Array(35).fill(switched));
});

test("tokens that may not ask the question: a rejected path is asked with the other one, once a minute", async () => {
  let rejected = rejects("first", "second");
  const { ask, lines, pass, sent, kept } = tried({ path: (asked) => rejected(asked), question: () => 401 });
  const questions = ["? first", "? first", "? second", "? second"];
  expect(await ask()).toEqual({ status: 401, sent: ["first", ...questions, "second"] });
  rejected = firstRejected;
  expect(await ask()).toEqual({ status: 401, sent: ["first"] });
  pass(MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: ["first", ...questions, "second"] });
  expect(await ask()).toEqual({ status: 200, sent: ["second"] });
  pass(10 * MINUTE_MS);
  expect(await ask()).toEqual({ status: 200, sent: ["? first", "second"] });
  await vi.waitFor(() => expect(kept).toEqual([switched]));
  expect(sent.splice(0)).toEqual(questions.slice(1));
  expect(await ask()).toEqual({ status: 200, sent: ["second"] });
  expect(lines).toEqual([switched]);
  rejected = rejects("second");
  pass(MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: ["second", ...questions, "first"] });
});

test("a new second credential does not wait for the verdict about the old one", async () => {
  const credentials = new SecondCredentials({ pauseMs: 0, nowMs: () => 1_000 });
  const statusWith = async (token: string) => {
    const both = parsed([FIRST, { token }]);
    const way = credentials.fetchFor({
      account: both,
      questionUrl: QUESTION,
      fetch: async (_input, init) => {
        const isNew = new Headers(init?.headers).get("authorization") === "Bearer new";
        return new Response(null, { status: isNew ? 200 : 401 });
      },
    });
    return (await way(ADDRESS, { headers: { authorization: rest } })).status;
  };
  expect([await statusWith("old"), await statusWith("old"), await statusWith("new")]).toEqual([
    401, 401, 200,
  ]);
});

test("while both are rejected, each request is one request, and both are asked about again after a minute", async () => {
  let rejected = rejects("first", "second");
  const { ask, lines, pass } = tried({ path: (authorization) => rejected(authorization) });
  const questions = ["? first", "? first", "? second", "? second"];
  expect(await ask()).toEqual({ status: 401, sent: ["first", ...questions, "second"] });
  for (let count = 0; count < 5; count++) expect(await ask()).toEqual({ status: 401, sent: ["first"] });
  rejected = firstRejected;
  pass(MINUTE_MS + 1);
  const sent = ["first", "? first", "? first", "? second", "second"];
  expect(await ask()).toEqual({ status: 200, sent });
  expect(lines).toEqual([switched]);
});

test("when the second one ends meanwhile, the first is tried again", async () => {
  let rejected = firstRejected;
  const { ask, lines, pass } = tried({ path: (authorization) => rejected(authorization) });
  await ask();
  rejected = rejects("second");
  pass(MINUTE_MS + 1);
  expect(await ask()).toEqual({ status: 200, sent: ["second", "? first", "first"] });
  expect(await ask()).toEqual({ status: 200, sent: ["first"] });
  expect(lines).toEqual([switched, ["account:first-credential", { path: "/2.0/repositories/acme" }]]);
});

test("a request that is given up does not wait for the question, and takes it from no other", async () => {
  const { promise: answer, resolve } = Promise.withResolvers<number>();
  const { ask, sent } = tried({
    path: firstRejected,
    question: async (asked) => (await answer) && firstRejected(asked),
  });
  const abort = new AbortController();
  const gone = ask({ signal: abort.signal });
  const waiting = ask();
  await vi.waitFor(() => expect(sent).toEqual(["first", "first", "? first"]));
  abort.abort(new Error("gone"));
  await expect(gone).rejects.toThrow("gone");
  resolve(200);
  expect((await waiting).status).toBe(200);
});

test("requests without the account's credential, and accounts with one, are sent as they are", async () => {
  const { ask } = tried({ path: () => 401 });
  expect(await ask({ authorization: "Bearer of-a-storage" })).toEqual({
    status: 401,
    sent: ["Bearer of-a-storage"],
  });
  const credentials = new SecondCredentials();
  for (const one of [parsed(FIRST), { kind: "none" } as const])
    expect(credentials.fetchFor({ account: one, questionUrl: QUESTION, fetch })).toBe(fetch);
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
