import { describe, expect, test } from "vitest";
import {
  type BitbucketAccount,
  gitAuthorization,
  restAuthorization,
} from "../../../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import type { SkippedEntry } from "../../../lib/bitbucket/rest-pages.ts";
import { DEFAULT_REST_API_LIMITS, type RestApiOptions } from "../../../lib/bitbucket/rest-request.ts";
import { LimitExceededError, NotFoundError, UpstreamError } from "../../../lib/errors.ts";
import { brokenAfter, failureOf, fetchGiving, repositoryJson } from "../../support/rest-answers.ts";

const API_URL = "https://api.example/2.0";
const UUID = "3deb8c29-778a-450c-8f69-3e50a18079df";

function api(fetchPort: typeof fetch, options: Partial<RestApiOptions> = {}) {
  return bitbucketRestApi({ fetch: fetchPort, apiUrl: API_URL, authorization: undefined, ...options });
}

async function slugsOf(listing: AsyncIterable<{ readonly slug: string }>): Promise<string[]> {
  const slugs: string[] = [];
  for await (const { slug } of listing) slugs.push(slug);
  return slugs;
}

describe("one repository", () => {
  test("is read with its uuid bare", async () => {
    const { fetch, seen } = fetchGiving(Response.json(repositoryJson()));
    expect(await api(fetch).repository("acme", "{3deb8c29-778a-450c-8f69-3e50a18079df}")).toEqual({
      uuid: "3deb8c29-778a-450c-8f69-3e50a18079df",
      workspace: "acme",
      slug: "tools",
      fullName: "acme/tools",
      isPrivate: true,
      projectKey: "OPS",
      updatedOn: "2026-01-27T14:15:58.600540+00:00",
      sizeBytes: 284_698,
    });
    expect(seen[0]?.url.pathname).toBe("/2.0/repositories/acme/%7B3deb8c29-778a-450c-8f69-3e50a18079df%7D");
    expect(seen[0]?.headers.has("authorization")).toBe(false);
  });

  test.each(["", ".", ".."])("a name %j that would change the path is not sent", async (name) => {
    const { fetch, seen } = fetchGiving();
    await expect(api(fetch).repository("acme", name)).rejects.toThrow(NotFoundError);
    expect(seen).toEqual([]);
  });

  const basicOf = (name: string) => `Basic ${Buffer.from(name).toString("base64")}`;

  test.each<[BitbucketAccount, { rest: string | null; git?: string }]>([
    [{ kind: "none" }, { rest: null }],
    [
      { kind: "api-token", email: "ädа@example.com", token: "t:1" },
      { rest: basicOf("ädа@example.com:t:1"), git: basicOf("x-bitbucket-api-token-auth:t:1") },
    ],
    [
      { kind: "access-token", token: "abc" },
      { rest: "Bearer abc", git: basicOf("x-token-auth:abc") },
    ],
  ])(
    "the account %j is sent in the form that REST takes, and git in its own",
    async (account, { rest, git }) => {
      const { fetch, seen } = fetchGiving(Response.json(repositoryJson()));
      await api(fetch, { authorization: restAuthorization(account) }).repository("acme", "tools");
      expect(seen[0]?.headers.get("authorization")).toBe(rest);
      expect(gitAuthorization(account)).toBe(git);
    },
  );
});

describe("a list", () => {
  test("follows `next` as it is given, with the credential, to the last page", async () => {
    const next = `${API_URL}/repositories/acme?page=zq8%2Fh`;
    const { fetch, seen } = fetchGiving(
      Response.json({ values: [repositoryJson({ slug: "one" }), repositoryJson({ slug: "two" })], next }),
      Response.json({ values: [repositoryJson({ slug: "three" })] }),
    );
    const client = api(fetch, { authorization: "Bearer abc" });
    expect(await slugsOf(client.repositories("acme", { projectKey: 'A"B\\C' }))).toEqual([
      "one",
      "two",
      "three",
    ]);
    expect(seen[0]?.url.searchParams.get("q")).toBe('project.key="A\\"B\\\\C"');
    expect(seen[0]?.url.searchParams.get("pagelen")).toBe("100");
    expect(seen[1]?.url.href).toBe(next);
    expect(seen[1]?.headers.get("authorization")).toBe("Bearer abc");
  });

  test("is read only as far as it is pulled", async () => {
    const next = `${API_URL}/repositories/acme?page=2`;
    const { fetch, seen } = fetchGiving(Response.json({ values: [repositoryJson()], next }));
    for await (const { slug } of api(fetch).repositories("acme")) {
      expect(slug).toBe("tools");
      break;
    }
    expect(seen).toHaveLength(1);
  });

  test("does not follow `next` to another host", async () => {
    const next = "https://elsewhere.example/2.0/repositories/acme?page=2";
    const { fetch, seen } = fetchGiving(Response.json({ values: [], next }));
    const failure = await failureOf(slugsOf(api(fetch).repositories("acme")));
    expect(failure).toBeInstanceOf(UpstreamError);
    expect(failure).toMatchObject({ retryable: false, context: { host: "elsewhere.example" } });
    expect(seen).toHaveLength(1);
  });

  test("takes no credential out of `next`", async () => {
    const next = `${API_URL.replace("//", "//eve:planted@")}/repositories/acme?page=2`;
    const { fetch, seen } = fetchGiving(
      Response.json({ values: [], next }),
      Response.json({ values: [repositoryJson()] }),
    );
    await slugsOf(api(fetch).repositories("acme"));
    expect(seen[1]?.url.href).toBe(`${API_URL}/repositories/acme?page=2`);
  });

  test.each([
    ["lacks links and a main branch", { links: undefined, mainbranch: undefined }],
    ["has a negative size", { size: -1 }],
    ["has no size", { size: undefined }],
    ["has no time", { updated_on: undefined }],
    ["has null for a time", { updated_on: null }],
    ["has a time that is none", { updated_on: "yesterday" }],
    ["has no project", { project: undefined }],
  ])("an entry that %s is used", async (_name, changes) => {
    const { fetch } = fetchGiving(Response.json({ values: [repositoryJson(changes)], next: null }));
    const skipped: SkippedEntry[] = [];
    const list = api(fetch).repositories("acme", { onSkipped: (entry) => skipped.push(entry) });
    expect([await slugsOf(list), skipped]).toEqual([["tools"], []]);
  });

  test.each([
    [null, { name: "an entry without a name" }],
    [repositoryJson({ full_name: null }), { name: "tools", uuid: UUID }],
    [repositoryJson({ is_private: "yes" }), { name: "acme/tools", uuid: UUID }],
    [repositoryJson({ uuid: "{}" }), { name: "acme/tools" }],
  ])("the odd entry %j is skipped by itself, and named", async (odd, expected) => {
    const values = [repositoryJson({ slug: "one" }), odd, repositoryJson({ slug: "three" })];
    const { fetch } = fetchGiving(Response.json({ values }));
    const skipped: SkippedEntry[] = [];
    const list = api(fetch).repositories("acme", { onSkipped: (entry) => skipped.push(entry) });
    expect(await slugsOf(list)).toEqual(["one", "three"]);
    expect(skipped).toEqual([{ ...expected, problem: expect.any(String) }]);
  });

  test("whose `next` leads back ends with an error, after as many requests as there are pages", async () => {
    const next = `${API_URL}/repositories/acme?page=again`;
    const pages = Array.from({ length: 3 }, () => Response.json({ values: [], next }));
    const { fetch, seen } = fetchGiving(...pages);
    const failure = await failureOf(slugsOf(api(fetch).repositories("acme")));
    expect(failure).toMatchObject({ code: "UPSTREAM", retryable: true });
    expect(seen).toHaveLength(2);
  });

  test("ends with an error when its pages do not end", async () => {
    const pages = Array.from({ length: 3 }, (_, page) =>
      Response.json({ values: [], next: `${API_URL}/repositories/acme?page=${page}` }),
    );
    const { fetch, seen } = fetchGiving(...pages);
    const limits = { ...DEFAULT_REST_API_LIMITS, maxPages: 3 };
    await expect(slugsOf(api(fetch, { limits }).repositories("acme"))).rejects.toThrow(LimitExceededError);
    expect(seen).toHaveLength(3);
  });
});

describe("a refusal", () => {
  test("404 is NotFoundError, with what Bitbucket said", async () => {
    const body = { type: "error", error: { message: "You may not have access to this repository" } };
    const { fetch } = fetchGiving(Response.json(body, { status: 404 }));
    const failure = await failureOf(api(fetch).repository("acme", "tools"));
    expect(failure).toBeInstanceOf(NotFoundError);
    expect((failure as Error).message).toContain("You may not have access");
  });

  test.each([
    { status: 401, retryable: false, requestCount: 2 },
    { status: 403, retryable: false, requestCount: 2 },
    { status: 410, retryable: false, requestCount: 1 },
    { status: 429, retryable: true, requestCount: 1 },
    { status: 500, retryable: true, requestCount: 2 },
    { status: 503, retryable: true, requestCount: 2 },
  ])("$status is UpstreamError, retryable: $retryable, after $requestCount requests", async (refusal) => {
    const { status, retryable, requestCount } = refusal;
    const sorry = () => new Response("<html>sorry</html>", { status });
    const { fetch, seen } = fetchGiving(sorry(), sorry());
    const failure = await failureOf(api(fetch).repository("acme", "tools"));
    expect(failure).toBeInstanceOf(UpstreamError);
    expect(failure).toMatchObject({ retryable, retryAfterSeconds: undefined, context: { status } });
    expect(seen).toHaveLength(requestCount);
  });

  test("Retry-After is understood as seconds and as a date", async () => {
    const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
    const { fetch } = fetchGiving(
      new Response("", { status: 429, headers: { "Retry-After": "17" } }),
      new Response("", { status: 503, headers: { "Retry-After": inAnHour } }),
      new Response("", { status: 503, headers: { "Retry-After": "soon" } }),
    );
    const client = api(fetch);
    expect(await failureOf(client.repository("acme", "a"))).toMatchObject({ retryAfterSeconds: 17 });
    const dated = (await failureOf(client.repository("acme", "a"))) as UpstreamError;
    expect(dated.retryAfterSeconds).toBeGreaterThan(3_000);
    expect(dated.retryAfterSeconds).toBeLessThanOrEqual(3_600);
    expect(await failureOf(client.repository("acme", "a"))).toMatchObject({ retryAfterSeconds: undefined });
  });
});

describe("an answer of no use", () => {
  test("no connection, twice, is retryable, with its cause", async () => {
    const cause = new TypeError("fetch failed");
    const { fetch, seen } = fetchGiving(cause, cause);
    const failure = await failureOf(api(fetch).repository("acme", "tools"));
    expect(failure).toBeInstanceOf(UpstreamError);
    expect(failure).toMatchObject({ retryable: true, cause });
    expect(seen).toHaveLength(2);
  });

  test.each([
    ["no connection", new TypeError("fetch failed")],
    ["a 502", new Response("<html>", { status: 502 })],
    ["a body that breaks off", brokenAfter('{"values": [')],
  ])("%s is repeated once, and the page counts", async (_name, broken) => {
    const { fetch, seen } = fetchGiving(broken, Response.json({ values: [repositoryJson()] }));
    expect(await slugsOf(api(fetch).repositories("acme"))).toEqual(["tools"]);
    expect(seen.map(({ url }) => url.href)).toEqual(Array(2).fill(seen[0]?.url.href));
  });

  test("one that does not come in time is retryable and says so", async () => {
    const hanging = ((_url: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      })) as typeof fetch;
    const limits = { ...DEFAULT_REST_API_LIMITS, timeoutMs: 5 };
    const failure = await failureOf(api(hanging, { limits }).repository("acme", "tools"));
    expect(failure).toMatchObject({ code: "UPSTREAM", retryable: true });
    expect((failure as Error).message).toContain("within 5 ms");
  });

  test("a longer one than the limit is given up while it streams", async () => {
    let pulledChunks = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulledChunks += 1;
        controller.enqueue(new Uint8Array(1000).fill(0x20));
      },
    });
    const limits = { ...DEFAULT_REST_API_LIMITS, maxAnswerBytes: 10_000 };
    const { fetch } = fetchGiving(new Response(endless));
    await expect(api(fetch, { limits }).repository("acme", "tools")).rejects.toThrow(LimitExceededError);
    expect(pulledChunks).toBeLessThan(20);
  });

  test.each([
    ["not JSON", () => new Response("<html>")],
    ["a bad uuid", () => Response.json(repositoryJson({ uuid: "{}" }))],
    ["no name", () => Response.json(repositoryJson({ full_name: null }))],
    ["no word on who may read it", () => Response.json(repositoryJson({ is_private: undefined }))],
  ])("%s is UpstreamError and not retryable", async (_name, response) => {
    const failure = await failureOf(api(fetchGiving(response()).fetch).repository("acme", "tools"));
    expect(failure).toMatchObject({ code: "UPSTREAM", retryable: false });
  });
});
