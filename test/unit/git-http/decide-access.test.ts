/** The decision from what the mirror knows of a name and what the primary answers to the caller. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import type { ReadQuestion } from "../../../lib/auth/ports.ts";
import { RequestRate } from "../../../lib/auth/request-limits.ts";
import { type DecideAccessOptions, decideAccess } from "../../../lib/git-http/decide-access.ts";
import type { Service } from "../../../lib/git-http/route.ts";
import type { HttpRequest } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { parseRepositoryUuid } from "../../../lib/repo/layout.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import type { ResolvedRepository } from "../../../lib/repo/resolve-repository.ts";
import { AuthorizerRig, AWAY, NO, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

const SITE: RepositoryReference = { kind: "name", workspace: "acme", slug: "site" };
const UUID = parseRepositoryUuid("0a1b2c3d-0000-4000-8000-000000000001");
const KNOWN: ResolvedRepository = {
  uuid: UUID,
  primaryPath: "acme/site",
  uuidPath: `acme/{${UUID}}`,
  isFormer: false,
  isPublic: false,
};

let rig: AuthorizerRig;
let logged: object[];

beforeEach(() => {
  rig = new AuthorizerRig();
  logged = [];
});

interface Changes {
  readonly known?: ResolvedRepository;
  readonly authorization?: string;
  readonly repository?: RepositoryReference;
  readonly service?: Service;
  readonly options?: Partial<DecideAccessOptions>;
}

async function decide(changes: Changes) {
  const { known, authorization, repository = SITE, service = "info-refs", options } = changes;
  const request = requestOf(authorization);
  return decideAccess({ ...optionsOf(known), ...options })({ request, service, repository });
}

function requestOf(authorization: string | undefined, remoteAddress = "203.0.113.9"): HttpRequest {
  return {
    method: "GET",
    path: "/",
    remoteAddress,
    query: new URLSearchParams(),
    headers: { ...(authorization !== undefined && { authorization }) },
    body: (async function* () {})(),
    signal: new AbortController().signal,
  };
}

function optionsOf(known: ResolvedRepository | undefined): DecideAccessOptions {
  return {
    authorizer: rig.process(),
    lookUp: async () => known,
    allowsAnonymous: true,
    relaysPushes: false,
    anonymousRate: new RequestRate(0),
    anonymousTotalRate: new RequestRate(0),
    log: { ...SILENT_LOGGER, info: (event, fields) => logged.push({ event, ...fields }) },
  };
}

const asked = () => rig.asked.map(({ question }) => question.repositoryPath);
const authorization = "Basic YTpi";

describe("a name that means nothing here", () => {
  test.each([
    ["a yes", YES, { kind: "refused", status: 404 }],
    ["a no", NO, { kind: "refused", status: 404 }],
    ["a 401", UNAUTHORIZED, { kind: "refused", status: 401 }],
    ["no answer", AWAY, { kind: "refused", status: 503 }],
  ])("is never allowed: %s of the primary", async (_, answer, decision) => {
    rig.answer = answer;
    expect(await decide({ authorization })).toMatchObject(decision);
    expect(asked()).toEqual(["acme/site"]);
  });

  test("is challenged without a question if there is no credential", async () => {
    expect(await decide({})).toMatchObject({ kind: "refused", status: 401 });
    expect(asked()).toEqual([]);
  });

  test("by project, the key is not sent to the primary: it may be someone's workspace", async () => {
    const repository: RepositoryReference = { kind: "project", projectKey: "core", slug: "site" };
    expect(await decide({ authorization, repository })).toMatchObject({ kind: "refused", status: 404 });
    expect(asked().join()).toMatch(/^\{0{8}-.*\}\/\{0{8}-.*\}$/);
  });
});

test("a yes is bound to the repository that the name means here", async () => {
  rig.answer = { kind: "allowed", finalPath: `acme/{${UUID}}` };
  expect(await decide({ known: KNOWN, authorization })).toEqual({
    kind: "allowed",
    primaryPath: `acme/{${UUID}}`,
    plainPath: "acme/site",
    uuid: UUID,
  });
});

test("of a former name the primary says where it leads, and who may read the repository", async () => {
  rig.answer = async ({ question }) => ({
    kind: "allowed",
    finalPath: question.repositoryPath === "acme/site" ? "other/page" : question.repositoryPath,
  });
  const decision = await decide({ known: { ...KNOWN, isFormer: true }, authorization });
  expect(decision).toEqual({ kind: "allowed", primaryPath: "other/page", uuid: UUID });
  expect(asked()).toEqual(["acme/site", `other/{${UUID}}`]);
});

test.each([
  ["to another host", { kind: "allowed" } as const, 404],
  ["nowhere", NO, 404],
])("a former name that leads %s is not found", async (_, answer, status) => {
  rig.answer = answer;
  expect(await decide({ known: { ...KNOWN, isFormer: true }, authorization })).toMatchObject({ status });
  expect(asked()).toEqual(["acme/site"]);
});

test("without a credential the primary is asked only if everyone may read", async () => {
  rig.answer = { kind: "allowed", finalPath: `acme/{${UUID}}` };
  expect(await decide({ known: KNOWN })).toMatchObject({ kind: "refused", status: 401 });
  expect(asked()).toEqual([]);
  expect(await decide({ known: { ...KNOWN, isPublic: true } })).toMatchObject({ kind: "allowed" });
  rig = new AuthorizerRig();
  rig.answer = NO;
  expect(await decide({ known: { ...KNOWN, isPublic: true } })).toMatchObject({ status: 401 });
});

test("a header that cannot be a credential is rejected without a question", async () => {
  for (const odd of ["", "Basic \u0007", "x".repeat(8193)]) {
    expect(await decide({ known: KNOWN, authorization: odd })).toMatchObject({ status: 401 });
  }
  expect(asked()).toEqual([]);
});

describe("a refusal of the primary", () => {
  test.each([
    [{ status: 401 }, 401, "Bitbucket rejects this credential: it may be wrong, expired or revoked"],
    [{ status: 401, hint: "expired" }, 401, "Bitbucket says: expired"],
    [{ status: 410, hint: "use a token" }, 401, "Bitbucket says: use a token"],
    [{ status: 403 }, 404, ""],
    [
      { status: 503 },
      503,
      "Bitbucket shows other refs under this name than the mirror has; try again in 5 s",
    ],
  ] as const)("%j is %i here", async (refusal, status, text) => {
    rig.answer = { kind: "refused", ...refusal };
    expect(await decide({ known: KNOWN, authorization })).toMatchObject({ kind: "refused", status, text });
  });

  test("of an anonymous caller asks for a credential, but not where the refs differ", async () => {
    const known = { ...KNOWN, isPublic: true };
    rig.answer = { kind: "refused", status: 503 };
    expect(await decide({ known })).toMatchObject({ status: 503 });
  });

  test("that says where to ask later is passed on", async () => {
    rig.answer = { kind: "undecided", cause: "rate-limited", reason: "429", retryAfterSeconds: 17 };
    expect(await decide({ known: KNOWN, authorization })).toMatchObject({
      status: 429,
      text: expect.stringMatching(/^Bitbucket limits the rate of your credential.*; try again in 17 s$/),
      retryAfterSeconds: 17,
    });
  });
});

describe("a repository that is not mirrored yet", () => {
  const COMING: ResolvedRepository = { ...KNOWN, isReserved: true };
  const allowed = { kind: "allowed", primaryPath: "acme/site", uuid: UUID };
  const challenged = { kind: "refused", status: 401, text: "log in with your Bitbucket credential" };

  test("is asked for without a credential, by its name, where it is public", async () => {
    rig.answer = { kind: "allowed", finalPath: "acme/site" };
    const known = { ...COMING, isPublic: true };
    expect(await decide({ known })).toEqual(allowed);
    expect(asked()).toEqual(["acme/site"]);
    rig = new AuthorizerRig();
    rig.answer = UNAUTHORIZED;
    expect(await decide({ known })).toEqual(challenged);
  });

  test("is challenged without a question where it is not public, whether mirrored or unknown", async () => {
    for (const known of [COMING, KNOWN, undefined])
      expect(await decide(known === undefined ? {} : { known })).toEqual(challenged);
    expect(asked()).toEqual([]);
  });

  test("is the caller's to wait for after a yes to the name", async () => {
    expect(await decide({ known: COMING, authorization })).toEqual(allowed);
    expect(asked()).toEqual(["acme/site"]);
    rig = new AuthorizerRig();
    rig.answer = NO;
    expect(await decide({ known: COMING, authorization })).toMatchObject({ kind: "refused", status: 404 });
  });

  test("is counted among the anonymous requests", async () => {
    const known = { ...COMING, isPublic: true };
    const options = { anonymousRate: new RequestRate(1) } as const;
    expect(await decide({ known, options })).toEqual(allowed);
    expect(await decide({ known, options })).toMatchObject({ status: 429 });
  });
});

describe("anonymous requests", () => {
  const known = { ...KNOWN, isPublic: true };

  test("are limited by address, then all together", async () => {
    for (const [limit, text] of [
      ["anonymousRate", /^too many requests without a credential from your address, try again in \d+ s$/],
      ["anonymousTotalRate", /^too many requests without a credential, try again in \d+ s$/],
    ] as const) {
      const options = { [limit]: new RequestRate(1) };
      expect(await decide({ known, options })).toMatchObject({ kind: "allowed" });
      const refused = await decide({ known, options });
      expect(refused).toMatchObject({ kind: "refused", status: 429, text: expect.stringMatching(text) });
      expect(refused).toHaveProperty("retryAfterSeconds");
    }
    expect(logged).toContainEqual(expect.objectContaining({ verdict: "limited", status: 429 }));
  });

  test("of one address leave the others' share", async () => {
    const options = { anonymousRate: new RequestRate(1), anonymousTotalRate: new RequestRate(2) };
    for (let request = 0; request < 5; request++) await decide({ known, options });
    expect(options.anonymousTotalRate.take("all")).toBe(0);
  });

  test("are challenged where they are not allowed", async () => {
    expect(await decide({ known, options: { allowsAnonymous: false } })).toMatchObject({ status: 401 });
    expect(asked()).toEqual([]);
  });
});

describe("a push", () => {
  const service = "receive-pack";
  const byProject: RepositoryReference = { kind: "project", projectKey: "CORE", slug: "site" };

  test("that is redirected is not asked about, but by a project's key only after a yes", async () => {
    expect(await decide({ service })).toEqual({ kind: "allowed", primaryPath: "acme/site" });
    expect(asked()).toEqual([]);
    expect(await decide({ service, repository: byProject })).toMatchObject({ kind: "refused", status: 401 });
  });

  test("that is relayed needs a credential first, which is asked about by the name alone", async () => {
    const options = { relaysPushes: true };
    for (const repository of [SITE, byProject])
      expect(
        await decide({ service, options, repository, known: { ...KNOWN, isPublic: true } }),
      ).toMatchObject({
        kind: "refused",
        status: 401,
      });
    expect(asked()).toEqual([]);
    rig.answer = { kind: "allowed", finalPath: "acme/renamed" };
    for (const known of [KNOWN, undefined])
      expect(await decide({ service, options, authorization, ...(known && { known }) })).toEqual({
        kind: "allowed",
        primaryPath: "acme/renamed",
      });
    expect(asked()).toEqual(["acme/site"]);
    rig = new AuthorizerRig();
    rig.answer = NO;
    expect(await decide({ service, options, authorization })).toMatchObject({ kind: "refused", status: 404 });
  });
});

test("the log has the decision, its age, and of the caller no more than a name", async () => {
  rig.answer = { kind: "allowed", finalPath: "acme/site", callerName: "ann" };
  await decide({ known: KNOWN, authorization });
  rig.answer = NO;
  await decide({ authorization, repository: { ...SITE, slug: "other" } });
  await decide({});
  const [yes, no, challenge] = logged;
  expect(yes).toMatchObject({
    ...{ event: "access:decided", address: "203.0.113.9", method: "GET", service: "info-refs" },
    ...{ repo: "acme/site", verdict: "allowed", source: "primary", ageSeconds: 0 },
    ...{ isStale: false, callerName: "ann" },
  });
  expect(yes).not.toHaveProperty("status");
  expect(no).toMatchObject({ verdict: "refused", status: 404, repo: "acme/other" });
  expect(challenge).toMatchObject({ verdict: "challenged", status: 401 });
  expect(challenge).not.toHaveProperty("source");
  expect(JSON.stringify(logged)).not.toContain("YTpi");
});

test("a yes during an outage says how old it is", async () => {
  const options = { authorizer: rig.process() };
  expect(await decide({ known: KNOWN, authorization, options })).not.toHaveProperty("staleSeconds");
  rig.answer = AWAY;
  rig.isPrimaryUp = false;
  rig.pass(300_500);
  expect(await decide({ known: KNOWN, authorization, options })).toMatchObject({
    kind: "allowed",
    staleSeconds: 300,
  });
  expect(logged.at(-1)).toMatchObject({ isStale: true, ageSeconds: 300 });
});

test("requests that wait for the primary are limited by address and in all; a caller that is known passes", async () => {
  const process = rig.process();
  const hanging = Promise.withResolvers<never>();
  const authorizer = Object.assign(Object.create(process), {
    check: (question: ReadQuestion) =>
      question.authorization === authorization ? process.check(question) : hanging.promise,
    isKnown: (question: ReadQuestion) => process.isKnown(question),
    loggedName: (text: string) => process.loggedName(text),
  });
  const access = decideAccess({ ...optionsOf(KNOWN), authorizer });
  const send = (remoteAddress: string, credential: string) =>
    access({ request: requestOf(credential, remoteAddress), service: "info-refs", repository: SITE });
  rig.answer = YES;
  expect(await send("203.0.113.1", authorization)).toMatchObject({ kind: "allowed" });
  let refusedCount = 0;
  const flood = async (remoteAddress: string, count: number) => {
    refusedCount = 0;
    for (let number = 0; number < count; number++)
      void send(remoteAddress, `Bearer unknown-${number}`).then(() => (refusedCount += 1));
    // Those that are not refused never end.
    for (let before = -1; before !== refusedCount; await sleep(100)) before = refusedCount;
    return count - refusedCount;
  };
  const ofFirst = await flood("203.0.113.9", 1_000);
  expect(ofFirst).toBeGreaterThan(400);
  expect(ofFirst).toBeLessThan(600);
  // Another address gets its share of what is left.
  expect(await flood("198.51.100.1", 100)).toBe(100);
  for (let address = 2; address < 30; address++) await flood(`198.51.100.${address}`, 100);
  expect(await send("192.0.2.1", "Bearer late")).toMatchObject({ status: 429, retryAfterSeconds: 15 });
  expect(await send("203.0.113.9", authorization)).toMatchObject({ kind: "allowed" });
});

test("of requests that wait for one answer of Bitbucket 30 go on in each turn of the event loop", async () => {
  const answered = Promise.withResolvers<typeof YES>();
  rig.answer = () => answered.promise;
  const access = decideAccess(optionsOf(KNOWN));
  let decidedCount = 0;
  const decisions = Array.from({ length: 300 }, () =>
    access({ request: requestOf("Basic YTpi"), service: "info-refs", repository: SITE }).then(() => {
      decidedCount += 1;
    }),
  );
  await expect.poll(() => rig.asked.length).toBe(1);
  answered.resolve(YES);
  const steps: number[] = [];
  while (decidedCount < 300) {
    const before = decidedCount;
    await new Promise((resolve) => setImmediate(resolve));
    steps.push(decidedCount - before);
  }
  await Promise.all(decisions);
  expect(Math.max(...steps)).toBeLessThanOrEqual(60);
});

test("a loop of requests over a limit is answered without the store; another address is not concerned", async () => {
  rig.answer = NO;
  let lookedUpCount = 0;
  const access = decideAccess({
    ...optionsOf(undefined),
    lookUp: async () => {
      lookedUpCount += 1;
      return undefined;
    },
  });
  const send = (slug: string, address?: string) =>
    access({
      request: requestOf("Basic YTpi", address),
      service: "info-refs",
      repository: { kind: "name", workspace: "acme", slug },
    });
  const statuses: unknown[] = [];
  for (let number = 0; number < 200; number++) {
    const decision = await send(`name-${number}`);
    if (decision.kind === "refused") statuses.push(decision.status);
  }
  expect(new Set(statuses.slice(5))).toEqual(new Set([429]));
  // More than one second may pass.
  expect(lookedUpCount).toBeLessThan(150);
  const before = lookedUpCount;
  await send("name-0", "198.51.100.7");
  expect(lookedUpCount).toBe(before + 1);
});
