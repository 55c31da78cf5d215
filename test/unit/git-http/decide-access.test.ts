/** The decision from what the mirror knows of a name and what the primary answers to the caller. */
import { beforeEach, describe, expect, test } from "vitest";
import { RequestRate } from "../../../lib/auth/request-limits.ts";
import { decideAccess } from "../../../lib/git-http/decide-access.ts";
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

beforeEach(() => {
  rig = new AuthorizerRig();
});

interface Changes {
  readonly known?: ResolvedRepository;
  readonly authorization?: string;
  readonly repository?: RepositoryReference;
  readonly service?: Service;
}

async function decide({ known, authorization, repository = SITE, service = "info-refs" }: Changes) {
  const request: HttpRequest = {
    method: "GET",
    path: "/",
    query: new URLSearchParams(),
    headers: { ...(authorization !== undefined && { authorization }) },
    body: (async function* () {})(),
    signal: new AbortController().signal,
  };
  return decideAccess({
    authorizer: rig.process(),
    lookUp: async () => known,
    allowsAnonymous: true,
    sendsOn: "off",
    anonymousRate: new RequestRate(0),
    anonymousTotalRate: new RequestRate(0),
    log: SILENT_LOGGER,
  })({ request, service, repository });
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
