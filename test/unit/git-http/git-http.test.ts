import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { LimitExceededError, ProtocolError } from "../../../lib/errors.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { StreamBudget } from "../../../lib/git/pack/stream-prefetch.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import type { UploadPackSource } from "../../../lib/git/ports.ts";
import { DEFAULT_REQUEST_LIMITS } from "../../../lib/git/upload-pack/fetch-request.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import { textOf, utf8 } from "../../support/byte-chunks.ts";
import { type RequestParts, readResponse, requestFor } from "../../support/http-request.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";

const ID = parseObjectId("a".repeat(40));
const SOURCE: UploadPackSource = {
  forReader: () => SOURCE,
  objectCount: 0,
  readRefs: async () => ({ head: { ref: "refs/heads/main" }, refs: [{ name: "refs/heads/main", id: ID }] }),
  openObjects: () => Promise.reject(new Error("not needed here")),
  mayHoldUnreachable: false,
  packBodies: [],
  streamBudget: new StreamBudget(),
  openPacks: () => Promise.reject(new Error("not needed here")),
  handsOutUrls: false,
  offerBundles: async () => [],
};
const asked: RepositoryReference[] = [];
const handler = gitHttp({
  ...OPEN_ACCESS,
  find: async (repository) => {
    asked.push(repository);
    return "slug" in repository && repository.slug === "widgets" ? SOURCE : undefined;
  },
  log: SILENT_LOGGER,
  agent: "nearside/1",
  limits: { ...DEFAULT_REQUEST_LIMITS, maxBodyBytes: 10_000 },
});

const send = async (target: string, parts: RequestParts = {}) =>
  readResponse(await handler(requestFor(target, parts)));

const POST = {
  method: "POST",
  headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
};
const LS_REFS = Buffer.concat([encodePktLine("command=ls-refs\n"), DELIM_PKT, FLUSH_PKT]);

describe("info/refs", () => {
  test.each(["/acme/widgets", "/acme/widgets.git", "/%61cme/%77idgets%2Egit"])(
    "%s is the repository",
    async (path) => {
      asked.length = 0;
      const response = await send(`${path}/info/refs?service=git-upload-pack`);
      expect(asked).toEqual([{ kind: "name", workspace: "acme", slug: "widgets" }]);
      expect(response.status).toBe(200);
      expect(response.headers).toEqual({
        "content-type": "application/x-git-upload-pack-advertisement",
        expires: "Fri, 01 Jan 1980 00:00:00 GMT",
        pragma: "no-cache",
        "cache-control": "no-cache, max-age=0, must-revalidate",
      });
    },
  );

  test("announces the service before the refs, but not in version 2", async () => {
    const target = "/acme/widgets.git/info/refs?service=git-upload-pack";
    const [v0, v1, v2] = await Promise.all(
      ["", "version=1", "version=2"].map((version) => send(target, { headers: { "git-protocol": version } })),
    );
    expect(v0?.text.startsWith(`001e# service=git-upload-pack\n0000`)).toBe(true);
    expect(v0?.text.slice(34)).toMatch(new RegExp(`^[0-9a-f]{4}${ID} HEAD\0`));
    expect(v1?.text.startsWith("001e# service=git-upload-pack\n0000000eversion 1\n")).toBe(true);
    expect(v2?.text.startsWith("000eversion 2\n")).toBe(true);
  });

  test("HEAD has the status and headers of GET", async () => {
    const target = "/acme/widgets.git/info/refs?service=git-upload-pack";
    const [head, get] = [await send(target, { method: "HEAD" }), await send(target)];
    expect([head.status, head.headers]).toEqual([get.status, get.headers]);
  });
});

describe("what is refused", () => {
  const infoRefs = "/acme/widgets/info/refs";
  test.each([
    [`${infoRefs}`, {}, 403, "smart HTTP"],
    [`${infoRefs}?service=git-upload-archive`, {}, 403, "unsupported service"],
    [`${infoRefs}?service=git-upload-pack&service=git-receive-pack`, {}, 403, "unsupported service"],
    [`${infoRefs}?service=git-upload-pack`, { method: "POST" }, 405, "GET, HEAD"],
    ["/acme/widgets/git-upload-pack", {}, 405, "POST"],
    ["/acme/widgets/git-upload-pack", { method: "POST" }, 415, "application/x-git-upload-pack-request"],
    [
      "/acme/widgets/git-upload-pack",
      { method: "POST", headers: { "content-type": "text/plain" } },
      415,
      "expected",
    ],
    [
      "/acme/widgets/git-upload-pack",
      { ...POST, headers: { ...POST.headers, "content-encoding": "br" } },
      415,
      "content encoding",
    ],
    ["/acme/widgets/git-receive-pack", { method: "POST" }, 403, "read-only"],
    ["/acme/widgets/HEAD", {}, 404, "not found"],
    ["/acme/widgets/objects/info/packs", {}, 404, "not found"],
    ["/acme/widgets", {}, 404, "not found"],
    ["/", {}, 404, "not found"],
    ["/acme/gadgets/info/refs?service=git-upload-pack", {}, 404, "not found"],
    ["/acme/gadgets/git-upload-pack", POST, 404, "not found"],
  ])("%s %j", async (target, parts, status, text) => {
    const response = await send(target, parts);
    expect(response.status).toBe(status);
    expect(response.text).toContain(text);
    expect(response.text).toMatch(/^[^\n]+\n$/);
    expect(response.headers["content-type"]).toMatch(/^text\/plain/);
    const { allow } = response.headers;
    expect(allow).toBe(status === 405 ? text : undefined);
  });

  test.each([
    `/acme/${"w".repeat(10_000)}/info/refs`,
    "/{acme}/widgets/info/refs",
    "/acme/%7Bwidgets%7D/info/refs",
    "/scm/PROJ/..%2fwidgets/info/refs",
    "/scm/%2e%2e/widgets/info/refs",
    "/other/PROJ/widgets/info/refs",
    "/../widgets/info/refs",
    "/%2e%2e/widgets/info/refs",
    "/acme/%2e%2e/info/refs",
    "/acme/..%2fwidgets/info/refs",
    "/acme/widgets%00/info/refs",
    "/acme/widgets%0a/info/refs",
    "/acme/wid%gets/info/refs",
    "/acme/%ff/info/refs",
    "//widgets/info/refs",
    "/acme/.git/info/refs",
    "/acme/x/widgets/info/refs",
    "/acme//info/refs",
  ])("%s never reaches the store", async (path) => {
    asked.length = 0;
    expect((await send(`${path}?service=git-upload-pack`)).status).toBe(404);
    expect(asked).toEqual([]);
  });
});

describe("git-upload-pack", () => {
  const target = "/acme/widgets.git/git-upload-pack";
  const gzipped = { ...POST, headers: { ...POST.headers, "content-encoding": "gzip" } };
  const refLine = encodePktLine(`${ID} refs/heads/main\n`);

  test("answers, whether the body is compressed or not", async () => {
    const plain = await send(target, { ...POST, body: LS_REFS });
    expect(plain.status).toBe(200);
    expect(plain.headers["content-type"]).toBe("application/x-git-upload-pack-result");
    expect(plain.headers["cache-control"]).toBe("no-cache, max-age=0, must-revalidate");
    expect(plain.text).toBe(`${textOf(encodePktLine(`${ID} HEAD\n`))}${textOf(refLine)}0000`);
    const compressed = await send(target, { ...gzipped, body: gzipSync(LS_REFS) });
    expect(compressed).toMatchObject({ status: 200, text: plain.text });
  });

  test.each(["", "version=1", "version=2"])(
    "the probe 0000 is answered with nothing, for %j",
    async (version) => {
      const headers = { ...POST.headers, "git-protocol": version };
      const response = await send(target, { ...POST, headers, body: FLUSH_PKT });
      expect(response).toMatchObject({ status: 200, text: "" });
      expect(response.headers["content-type"]).toBe("application/x-git-upload-pack-result");
    },
  );

  test.each([
    ["a malformed line", POST, utf8("nonsense"), 400],
    ["a cut body", POST, LS_REFS.subarray(0, 10), 400],
    ["what is not gzip", gzipped, utf8("nonsense"), 400],
    ["gzip that is cut", gzipped, gzipSync(LS_REFS).subarray(0, 15), 400],
    ["too much", POST, Buffer.concat(Array(1000).fill(encodePktLine("agent=x\n"))), 413],
    ["a compressed bomb", gzipped, gzipSync(Buffer.alloc(50_000_000, "0009agent")), 413],
  ])("%s is refused", async (_, parts, body, status) => {
    const response = await send(target, { ...parts, body });
    expect(response.status).toBe(status);
    expect(response.text).toMatch(/^[^\n]+\n$/);
  });
});

test("what the server itself does wrong is thrown, for the transport to log", async () => {
  const gone = () => Promise.reject(new Error("store is gone"));
  const source: UploadPackSource = { ...SOURCE, readRefs: gone, forReader: () => source };
  const broken = gitHttp({
    ...OPEN_ACCESS,
    find: async () => source,
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
  const request = requestFor("/acme/widgets/git-upload-pack", { ...POST, body: LS_REFS });
  const answering = broken(request);
  await expect(answering).rejects.toThrow("store is gone");
  await expect(answering).rejects.not.toBeInstanceOf(ProtocolError);
  await expect(answering).rejects.not.toBeInstanceOf(LimitExceededError);
});

describe("what a handler is given", () => {
  const needs: object[] = [];
  const events: object[] = [];
  const source = { ...SOURCE, uuid: "a-uuid", verifiedAt: new Date("2026-11-25T12:00:00Z") };
  const given = gitHttp({
    ...OPEN_ACCESS,
    access: async () => ({ kind: "allowed", primaryPath: "acme/site", uuid: "a-uuid", staleSeconds: 12 }),
    find: async (_, asked) => {
      needs.push(asked);
      return source;
    },
    lfs: async ({ request: { path }, ...asked }) => textResponse(200, JSON.stringify({ path, ...asked })),
    log: { ...SILENT_LOGGER, info: (event, fields) => events.push({ event, ...fields }) },
    agent: "nearside/1",
  });
  const request = async (target: string, parts: RequestParts = {}) => {
    needs.length = 0;
    return readResponse(await given(requestFor(target, parts)));
  };
  const infoRefs = "/acme/site/info/refs?service=git-upload-pack";
  const decided = { primaryPath: "acme/site", uuid: "a-uuid" };

  test.each([
    [infoRefs, {}, true],
    [infoRefs, { headers: { "git-protocol": "version=2" } }, false],
    ["/acme/site/git-upload-pack", { ...POST, body: FLUSH_PKT }, true],
    [
      "/-/repositories/acme/site/wait?ref=refs/heads/main",
      { headers: { "git-protocol": "version=2" } },
      true,
    ],
    ["/-/repositories/acme/site/status", { headers: { "git-protocol": "version=2" } }, false],
  ])("of %s %j says whether the refs are needed: %s", async (target, parts, refs) => {
    expect((await request(target, parts)).status).toBe(200);
    expect(needs).toEqual([{ refs, ...decided }]);
  });

  test("is in headers: when the refs were verified, and how old the yes is", async () => {
    const { headers } = await request(infoRefs);
    expect(headers).toMatchObject({
      "x-nearside-verified": "2026-11-25T12:00:00.000Z",
      "x-nearside-access": "stale; age=12",
    });
    const fresh = await send("/acme/widgets/info/refs?service=git-upload-pack");
    expect(Object.keys(fresh.headers).filter((name) => name.startsWith("x-"))).toEqual([]);
  });

  test("waits for a ref, and leaves git-lfs to another", async () => {
    const waited = await request("/-/repositories/acme/site/wait?ref=refs/heads/main");
    expect(JSON.parse(waited.text)).toMatchObject({ isThere: true });
    const path = "/acme/site/info/lfs/objects/batch";
    const answer = await request(path, { method: "POST" });
    expect(JSON.parse(answer.text)).toMatchObject({ path, uuid: "a-uuid", primaryPath: "acme/site" });
  });

  test("is logged, when it is no repository", async () => {
    await request("/nothing");
    expect(events).toContainEqual(
      expect.objectContaining({
        event: "access:decided",
        method: "GET",
        verdict: "no-repository",
        status: 404,
      }),
    );
  });

  test("names the server", async () => {
    expect((await request(infoRefs)).text).toContain(" agent=nearside/1");
    expect((await request(infoRefs)).text).toMatch(/ session-id=[0-9a-f-]{36}/);
  });
});

test("a long list of refs is sent in pieces of 64 KiB, not line by line", async () => {
  const refs = Array.from({ length: 5_000 }, (_, i) => ({ name: `refs/tags/${10_000 + i}`, id: ID }));
  const source: UploadPackSource = {
    ...SOURCE,
    readRefs: async () => ({ head: { ref: "refs/heads/main" }, refs }),
    forReader: () => source,
  };
  const large = gitHttp({
    ...OPEN_ACCESS,
    find: async () => source,
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
  const { body } = await large(requestFor("/acme/site/git-upload-pack", { ...POST, body: LS_REFS }));
  const sizes: number[] = [];
  for await (const chunk of body) sizes.push(chunk.length);
  expect(sizes.length).toBeGreaterThan(2);
  for (const size of sizes.slice(0, -1)) {
    expect(size).toBeGreaterThanOrEqual(65_536);
    expect(size).toBeLessThan(66_000);
  }
  expect(sizes.reduce((sum, size) => sum + size)).toBe(5_000 * (4 + 40 + 1 + 15 + 1) + 4);
});
