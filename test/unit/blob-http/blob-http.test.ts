import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { blobHttp, requestedRange } from "../../../lib/blob-http/blob-http.ts";
import { SignedBlobUrls } from "../../../lib/blob-http/signed-blob-urls.ts";
import { startNodeServer } from "../../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { BLOB_URL_LIFETIME_SECONDS } from "../../../lib/store/blob-urls.ts";
import { utf8 } from "../../support/byte-chunks.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const KEY = "repos/one/objects/pack/pack-1.pack";
const TEXT = "0123456789";
const START_MS = 1_700_000_000_000;

let nowMs: number;
let serverUrl: string;
const store = new MemoryBlobStore();
const urls = new SignedBlobUrls({ serverUrl: () => serverUrl, nowMs: () => nowMs });

beforeEach(async () => {
  nowMs = START_MS;
  await store.write(KEY, utf8(TEXT));
  const server = await startNodeServer(blobHttp({ store, urls }), { log: SILENT_LOGGER });
  serverUrl = server.url;
  return () => server.close();
});

async function get(headers: Record<string, string> = {}, method = "GET", key = KEY): Promise<Response> {
  return fetch(await urls.urlOf(key, TEXT.length), { headers, method });
}

describe("what is asked for", () => {
  test("whole, with what a later request needs to go on", async () => {
    const response = await get();
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-length": "10",
      "accept-ranges": "bytes",
      etag: '"pack-1.pack"',
    });
    expect(await response.text()).toBe(TEXT);
  });

  test.each([
    ["bytes=0-0", "0", "bytes 0-0/10"],
    ["bytes=4-", "456789", "bytes 4-9/10"],
    ["bytes=4-400", "456789", "bytes 4-9/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=-30", TEXT, "bytes 0-9/10"],
  ])("%s", async (range, text, contentRange) => {
    const response = await get({ range });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(contentRange);
    expect(await response.text()).toBe(text);
  });

  test.each(["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"])("%s is past the end", async (range) => {
    const response = await get({ range });
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe("bytes */10");
  });

  test.each(["bytes=1-2,4-5", "bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2"])(
    "%s is passed over",
    async (range) => {
      const response = await get({ range });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe(TEXT);
    },
  );

  test("a part only if it is of the same file", async () => {
    expect((await get({ range: "bytes=1-2", "if-range": '"pack-1.pack"' })).status).toBe(206);
    expect((await get({ range: "bytes=1-2", "if-range": '"pack-2.pack"' })).status).toBe(200);
  });

  test("HEAD is GET without the body", async () => {
    const response = await get({ range: "bytes=1-2" }, "HEAD");
    expect(response.status).toBe(206);
    expect(response.headers.get("content-length")).toBe("2");
    expect(await response.text()).toBe("");
  });

  test.each(["GET", "HEAD"])("%s of what is gone is 404", async (method) => {
    expect((await get({}, method, "repos/one/gone")).status).toBe(404);
  });

  test("nothing but GET and HEAD", async () => {
    const response = await get({}, "DELETE");
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("an address", () => {
  test("works until it expires", async () => {
    const url = await urls.urlOf(KEY, TEXT.length);
    nowMs += BLOB_URL_LIFETIME_SECONDS * 1000;
    expect((await fetch(url)).status).toBe(200);
    nowMs += 1001;
    expect((await fetch(url)).status).toBe(403);
  });

  test("works for its own blob only, and as it was made", async () => {
    const other = "repos/two/objects/pack/pack-1.pack";
    await store.write(other, utf8(TEXT));
    const url = await urls.urlOf(KEY, TEXT.length);
    for (const [from, to] of [
      ["/one/", "/two/"],
      ["bytes=10", "bytes=9"],
      [/expires=\d/, "expires=9"],
      [/signature=../, "signature="],
      [/signature=.*/, "signature=zz"],
      [/&signature=.*/, ""],
      [/\?.*/, ""],
      ["/repos/", "/%ff/"],
    ] as const) {
      const changed = url.replace(from, to);
      expect(changed).not.toBe(url);
      expect((await fetch(changed)).status).toBe(403);
    }
  });

  test("is another server's", async () => {
    const stranger = new SignedBlobUrls({ serverUrl: () => serverUrl, nowMs: () => nowMs });
    expect((await fetch(await stranger.urlOf(KEY, TEXT.length))).status).toBe(403);
  });
});

test("a range is inside the file, whatever is asked for", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(20), fc.nat(12), (first, last, sizeBytes) => {
      for (const header of [`bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`]) {
        const range = requestedRange(header, sizeBytes);
        if (range === undefined || range === "unsatisfiable") continue;
        expect(range.startBytes).toBeLessThan(range.endBytes);
        expect(range.endBytes).toBeLessThanOrEqual(sizeBytes);
      }
    }),
  );
});
