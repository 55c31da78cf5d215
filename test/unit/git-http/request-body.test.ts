import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import { decodedBody } from "../../../lib/git-http/request-body.ts";
import { collect, textOf, utf8 } from "../../support/byte-chunks.ts";
import { requestFor } from "../../support/http-request.ts";

const textIn = async (encoding: string | undefined, body: Uint8Array) => {
  const headers = { ...(encoding !== undefined && { "content-encoding": encoding }) };
  const decoded = decodedBody(requestFor("/", { headers, body }));
  return decoded && textOf(await collect(decoded));
};

test.each([undefined, "", "identity", " Identity "])("encoding %j is none", async (encoding) => {
  expect(await textIn(encoding, utf8("0000"))).toBe("0000");
});

test.each(["gzip", "x-gzip", " GZIP "])("encoding %j is gzip", async (encoding) => {
  expect(await textIn(encoding, gzipSync("0000"))).toBe("0000");
  await expect(textIn(encoding, utf8("0000"))).rejects.toBeInstanceOf(ProtocolError);
});

test.each(["br", "deflate", "gzip, gzip"])("encoding %j is not supported", async (encoding) => {
  expect(await textIn(encoding, utf8("0000"))).toBeUndefined();
});

test("a caller who goes away is not blamed for the compression", async () => {
  const gone = Object.assign(new Error("gone"), { code: "ECONNRESET" });
  const body = (async function* () {
    yield gzipSync("0000").subarray(0, 5);
    throw gone;
  })();
  const request = { ...requestFor("/", { headers: { "content-encoding": "gzip" } }), body };
  await expect(collect(decodedBody(request) ?? [])).rejects.toBe(gone);
});

test("a bomb is inflated only as far as it is read", async () => {
  const bomb = gzipSync(Buffer.alloc(200_000_000));
  const headers = { "content-encoding": "gzip" };
  let inflatedBytes = 0;
  for await (const chunk of decodedBody(requestFor("/", { headers, body: bomb })) ?? []) {
    inflatedBytes += chunk.length;
    if (inflatedBytes > 100_000) break;
  }
  expect(inflatedBytes).toBeLessThan(1_000_000);
});
